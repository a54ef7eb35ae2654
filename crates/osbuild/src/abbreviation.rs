//! Long options cut short, as upstream's command line takes them.

use std::ffi::{OsStr, OsString};

use anyhow::{Result, bail};

/// Long options of upstream, in its order. Ours take no part: what upstream understands stays understood.
const UPSTREAM: [&str; 18] = [
    "--help",
    "--cache",
    "--store",
    "--libdir",
    "--cache-max-size",
    "--checkpoint",
    "--export",
    "--in-vm",
    "--json",
    "--output-directory",
    "--inspect",
    "--monitor",
    "--monitor-fd",
    "--stage-timeout",
    "--version",
    "--break",
    "--rundir",
    "--quiet",
];

/// Writes out abbreviated long options. `arguments` are those of `osbuild MANIFEST`, the program's name among them.
///
/// # Errors
/// An abbreviation that fits several options.
pub(crate) fn expand(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    let mut arguments = arguments.into_iter();
    let mut expanded = Vec::new();
    for argument in arguments.by_ref() {
        if argument == "--" {
            expanded.push(argument);
            break;
        }
        expanded.push(expand_one(argument)?);
    }
    expanded.extend(arguments);
    Ok(expanded)
}

fn expand_one(argument: OsString) -> Result<OsString> {
    let Some(text) = argument.to_str().filter(|text| text.starts_with("--")) else {
        return Ok(argument);
    };
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let fitting: Vec<&str> = UPSTREAM
        .into_iter()
        .filter(|option| option.starts_with(name))
        .collect();
    match fitting.as_slice() {
        _ if fitting.contains(&name) => Ok(argument),
        [] => Ok(argument),
        [option] => {
            let mut whole = OsString::from(option);
            if let Some(value) = value {
                whole.push(OsStr::new("="));
                whole.push(value);
            }
            Ok(whole)
        }
        several => bail!(
            "ambiguous option: {text} could match {}",
            several.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(line: &str) -> Result<String, String> {
        let words = line.split(' ').map(OsString::from);
        let words = expand(words).map_err(|error| error.to_string())?;
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn an_abbreviation_is_written_out() {
        for (line, whole) in [
            ("--insp m --js", "--inspect m --json"),
            ("--out=a=b", "--output-directory=a=b"),
            ("--cache x", "--cache x"),
            ("--monitor LogMonitor", "--monitor LogMonitor"),
            ("--monitor-", "--monitor-fd"),
            // No option of upstream begins so; the parser will say what it thinks of it.
            ("--build-e --whatever -q -", "--build-e --whatever -q -"),
            ("--e a -- --e", "--export a -- --e"),
        ] {
            assert_eq!(expanded(line).as_deref(), Ok(whole));
        }
    }

    #[test]
    fn one_that_fits_several_is_refused() {
        assert_eq!(
            expanded("--in m").unwrap_err(),
            "ambiguous option: --in could match --in-vm, --inspect"
        );
        assert_eq!(
            expanded("--sto x --st=5").unwrap_err(),
            "ambiguous option: --st=5 could match --store, --stage-timeout"
        );
    }

    #[test]
    fn every_option_of_upstream_is_one_of_ours() {
        use clap::CommandFactory as _;
        let command = crate::command_line::CommandLine::command();
        for option in UPSTREAM.into_iter().filter(|option| *option != "--help") {
            let is_known = command.get_arguments().any(|argument| {
                let names = argument.get_long_and_visible_aliases();
                names.is_some_and(|names| names.contains(&&option[2..]))
            });
            assert!(is_known, "{option}");
        }
    }
}
