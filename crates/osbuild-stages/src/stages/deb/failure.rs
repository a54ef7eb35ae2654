//! What a failing maintainer script has to say.

use anyhow::{Error, anyhow};
use osbuild_stage_api::CommandFailed;

/// How dpkg starts to say which package it could not configure.
const DPKG_ERROR: &str = "dpkg: error processing package ";
/// As many lines of a script explain it.
const LINES: usize = 6;

/// Names the package and its script in the error of a script that we ran.
pub(super) fn of_script(package: &str, script: &str, error: Error) -> Error {
    let Some(failed) = error.downcast_ref::<CommandFailed>() else {
        return error.context(format!("running the {script} of `{package}`"));
    };
    let last = last_lines(failed.tail().lines());
    anyhow!(
        "the {script} of the package `{package}` failed: {}{last}",
        failed.status()
    )
}

/// Names the package and its script in the error of a dpkg that stopped at the first one.
pub(super) fn of_dpkg(error: Error) -> Error {
    let Some(failed) = error.downcast_ref::<CommandFailed>() else {
        return error;
    };
    match explain(failed.tail()) {
        Some(explained) => anyhow!(explained),
        None => error.context("configuring the packages"),
    }
}

fn explain(tail: &str) -> Option<String> {
    let lines: Vec<&str> = tail.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(DPKG_ERROR))?;
    let package = lines[at]
        .strip_prefix(DPKG_ERROR)?
        .split([' ', ':'])
        .next()?;
    let reason = lines.get(at + 1).map_or("", |line| line.trim());
    let before = last_lines(lines[..at].iter().copied());
    Some(format!(
        "the package `{package}` could not be configured: {reason}{before}"
    ))
}

fn last_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() {
        return String::new();
    }
    format!("; its last lines: {}", last.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_dpkg_names_package_script_status_and_last_lines() {
        let tail = "Setting up bad (1) ...\nno such thing\ndpkg: error processing package bad (--configure):\n \
                    installed bad package post-installation script subprocess returned error exit status 3\n\
                    dpkg: too many errors, stopping\n";
        assert_eq!(
            explain(tail).unwrap(),
            "the package `bad` could not be configured: installed bad package post-installation script subprocess \
             returned error exit status 3; its last lines: Setting up bad (1) ... | no such thing"
        );
        assert_eq!(explain("dpkg: error: can not open the database\n"), None);
    }
}
