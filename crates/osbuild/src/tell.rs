//! The program's own words: results on standard output, talk on standard error.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "everything that is not a monitor is printed here"
)]

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

use crate::failure::Failures;
use crate::printable::printable_lines;

/// The variable that asks for diagnostics, `OSBUILD_LOG=debug`.
const LOG_VARIABLE: &str = "OSBUILD_LOG";

/// Shows warnings on standard error; more when [`LOG_VARIABLE`] asks for it.
pub(crate) fn start_logging() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
}

/// Prints data that the user asked for.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::debug!(%error, "writing to standard output");
    }
}

/// Prints a line about what was done.
pub(crate) fn note(text: &str) {
    eprintln!("{}", shown(text));
}

/// Prints what went wrong, except what the user was told already.
pub(crate) fn failures(failures: &Failures) {
    for failure in failures.0.iter().filter(|failure| !failure.is_told) {
        eprint!("{}", shown(&failure.to_string()));
    }
}

/// Keeps names and output that are not ours from steering the terminal.
fn shown(text: &str) -> Cow<'_, str> {
    if std::io::stderr().is_terminal() {
        printable_lines(text)
    } else {
        Cow::Borrowed(text)
    }
}

/// Prints a line of the report of `osbuild MANIFEST` (standard output, as upstream does).
pub(crate) fn report(text: &str) {
    print!("{text}");
}
