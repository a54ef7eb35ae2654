//! The options of file-system mounts, in the kernel's words.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// The options of all file-system mounts; each module's schema allows those its file system has.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    readonly: bool,
    #[serde(default)]
    norecovery: bool,
    uid: Option<i64>,
    gid: Option<i64>,
    umask: Option<String>,
    shortname: Option<String>,
    subvol: Option<String>,
    compress: Option<String>,
}

/// What the kernel is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MountOptions {
    pub(super) is_read_only: bool,
    pub(super) flags: Vec<&'static str>,
    pub(super) values: Vec<(&'static str, String)>,
}

impl MountOptions {
    pub(super) fn read(options: &Value) -> Result<Self> {
        let options = match options {
            Value::Null => Options::default(),
            other => Options::deserialize(other).context("reading the options of a mount")?,
        };
        let mut flags = Vec::new();
        if options.norecovery {
            flags.push("norecovery");
        }
        let values = [
            ("uid", options.uid.map(|id| id.to_string())),
            ("gid", options.gid.map(|id| id.to_string())),
            ("umask", options.umask),
            ("shortname", options.shortname),
            ("subvol", options.subvol),
            ("compress", options.compress),
        ];
        Ok(Self {
            is_read_only: options.readonly,
            flags,
            values: values
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_keep_upstreams_order() {
        let options = json!({
            "compress": "zstd:1", "subvol": "root", "shortname": "mixed", "umask": "077",
            "gid": 5, "uid": 1000, "norecovery": true, "readonly": true,
        });
        let own = |text: &str| text.to_owned();
        assert_eq!(
            MountOptions::read(&options).unwrap(),
            MountOptions {
                is_read_only: true,
                flags: vec!["norecovery"],
                values: vec![
                    ("uid", own("1000")),
                    ("gid", own("5")),
                    ("umask", own("077")),
                    ("shortname", own("mixed")),
                    ("subvol", own("root")),
                    ("compress", own("zstd:1")),
                ],
            }
        );
        let nothing = MountOptions::read(&json!({})).unwrap();
        assert_eq!(nothing, MountOptions::default());
    }
}
