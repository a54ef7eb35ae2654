//! Settings that may go away again: `OSBUILD_EXPERIMENTAL=key[=value],...`, as upstream reads it.

use anyhow::{Result, bail};

const VARIABLE: &str = "OSBUILD_EXPERIMENTAL";

/// Tells whether a setting that is on or off is on.
///
/// # Errors
/// It is neither.
pub(crate) fn is_set(setting: &str) -> Result<bool> {
    let settings = std::env::var_os(VARIABLE).unwrap_or_default();
    is_set_in(&settings.to_string_lossy(), setting)
}

fn is_set_in(settings: &str, setting: &str) -> Result<bool> {
    let value = settings
        .split(',')
        .map(|item| item.split_once('=').unwrap_or((item, "true")))
        .filter(|(key, _)| *key == setting)
        .map(|(_, value)| value.to_ascii_uppercase())
        .next_back();
    match value.as_deref().unwrap_or_default() {
        "1" | "T" | "TRUE" => Ok(true),
        "" | "0" | "F" | "FALSE" => Ok(false),
        other => bail!("`{setting}` in {VARIABLE} is `{other}`, neither true nor false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_upstream_reads_them() {
        for (settings, expected) in [
            ("", Some(false)),
            ("x", Some(true)),
            ("y,x=1", Some(true)),
            ("x=True", Some(true)),
            ("x,x=0", Some(false)),
            ("x=", Some(false)),
            ("xx", Some(false)),
            ("x=maybe", None),
        ] {
            assert_eq!(is_set_in(settings, "x").ok(), expected, "{settings}");
        }
    }
}
