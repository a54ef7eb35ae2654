//! What a failing stage says last: `TypeName: text`.
//!
//! Everything downstream sees of a failure is text, and upstream's tests look for Python's names of the errors.

use std::io;
use std::process::ExitCode;

use crate::command::CommandFailed;

/// An error with a Python type name of its own; anything without one is a `ValueError`.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct StageError {
    type_name: &'static str,
    text: String,
}

impl StageError {
    /// Makes an error that is reported as `type_name: text`.
    pub fn new(type_name: &'static str, text: impl Into<String>) -> Self {
        Self {
            type_name,
            text: text.into(),
        }
    }
}

/// Ends the stage with this exit status; the stage has already said why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exit status {0}")]
pub struct ExitWith(pub u8);

/// Returns the exit code for an error, and the line to print before, if any.
pub fn describe(error: &anyhow::Error) -> (Option<String>, ExitCode) {
    if let Some(ExitWith(status)) = error.downcast_ref() {
        return (None, ExitCode::from(*status));
    }
    // One line: consumers take the last line of a stage's output for the reason.
    let text = format!("{error:#}").replace('\n', " ");
    (
        Some(format!("{}: {text}", type_name(error))),
        ExitCode::FAILURE,
    )
}

fn type_name(error: &anyhow::Error) -> &'static str {
    error
        .chain()
        .find_map(own_type_name)
        .unwrap_or("ValueError")
}

fn own_type_name(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<StageError>() {
        return Some(error.type_name);
    }
    if cause.is::<CommandFailed>() {
        return Some("CalledProcessError");
    }
    let error = cause.downcast_ref::<io::Error>()?;
    Some(match error.kind() {
        io::ErrorKind::NotFound => "FileNotFoundError",
        io::ErrorKind::AlreadyExists => "FileExistsError",
        io::ErrorKind::PermissionDenied => "PermissionError",
        io::ErrorKind::NotADirectory => "NotADirectoryError",
        io::ErrorKind::IsADirectory => "IsADirectoryError",
        // The standard library's own, without a number from the kernel: bad data, not a bad disk.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            if error.raw_os_error().is_none() =>
        {
            "ValueError"
        }
        _ => "OSError",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    fn line(error: &anyhow::Error) -> String {
        describe(error).0.unwrap()
    }

    #[test]
    fn the_last_line_names_a_python_type() {
        let missing = io::Error::from_raw_os_error(2);
        let cases = [
            (anyhow!("bad mode"), "ValueError: bad mode"),
            (StageError::new("KeyError", "'x'").into(), "KeyError: 'x'"),
            (
                Err::<(), _>(missing)
                    .context("opening `/etc/x`")
                    .unwrap_err(),
                "FileNotFoundError: opening `/etc/x`: No such file or directory (os error 2)",
            ),
            (anyhow!("two\nlines"), "ValueError: two lines"),
        ];
        for (error, expected) in cases {
            assert_eq!(line(&error), expected);
        }
    }

    #[test]
    fn a_stage_that_chose_its_status_says_no_more() {
        assert_eq!(describe(&ExitWith(7).into()).0, None);
    }
}
