//! What is wrong with the command line of `osbuild MANIFEST`, in upstream's form.

use clap::error::{ContextKind, ErrorKind};

/// How upstream's callers see the command line.
const USAGE: &str = "usage: osbuild [OPTIONS] MANIFEST\n       osbuild COMMAND ...\n";

/// Puts the message together: usage, what is wrong, what to do.
pub(crate) fn message(error: &str) -> String {
    format!("{USAGE}osbuild: error: {error}\nosbuild --help lists the options and commands\n")
}

/// Says what the parser did not like, as Python's `argparse` says it.
pub(crate) fn describe(error: &clap::Error) -> String {
    let context = |kind| error.get(kind).map(ToString::to_string);
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            "the following arguments are required: MANIFEST".to_owned()
        }
        ErrorKind::UnknownArgument => {
            let text = format!("unrecognized arguments: {argument}");
            match context(ContextKind::SuggestedArg) {
                Some(similar) => format!("{text} (did you mean {similar}?)"),
                None => text,
            }
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| "invalid value".to_owned());
            format!("argument {}: {reason}", option_names(&argument))
        }
        ErrorKind::TooManyValues => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            format!(
                "argument {}: ignored explicit argument '{value}'",
                option_names(&argument)
            )
        }
        ErrorKind::InvalidValue | ErrorKind::NoEquals => {
            format!(
                "argument {}: expected one argument",
                option_names(&argument)
            )
        }
        // After the manifest every other word looks to the parser like a command that came too late.
        _ => match context(ContextKind::InvalidSubcommand) {
            Some(word) => format!("unrecognized arguments: {word}"),
            None => first_line(error),
        },
    }
}

/// Names an option as upstream does, from the parser's `--cache <DIRECTORY>`.
fn option_names(argument: &str) -> String {
    let name = argument.split([' ', '=', '[']).next().unwrap_or(argument);
    match name {
        "--cache" => "--cache/--store".to_owned(),
        "--libdir" => "-l/--libdir".to_owned(),
        "--quiet" => "--quiet/-q".to_owned(),
        other => other.to_owned(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::command_line::CommandLine;

    #[track_caller]
    fn error_of(line: &str) -> String {
        let words = line.split(' ').filter(|word| !word.is_empty());
        describe(&CommandLine::try_parse_from(["osbuild"].into_iter().chain(words)).unwrap_err())
    }

    #[test]
    fn errors_read_as_upstreams() {
        for (line, text) in [
            ("", "the following arguments are required: MANIFEST"),
            ("--json", "the following arguments are required: MANIFEST"),
            ("m extra", "unrecognized arguments: extra"),
            ("m --bogus", "unrecognized arguments: --bogus"),
            (
                "m --cache-max-size 1.5GiB",
                "argument --cache-max-size: invalid parse_size value: '1.5GiB'",
            ),
            (
                "m --stage-timeout=x",
                "argument --stage-timeout: invalid int value: 'x'",
            ),
            ("m --libdir", "argument -l/--libdir: expected one argument"),
            (
                "m --store",
                "argument --cache/--store: expected one argument",
            ),
            (
                "m --json=1",
                "argument --json: ignored explicit argument '1'",
            ),
        ] {
            assert_eq!(error_of(line), text, "{line}");
        }
    }
}
