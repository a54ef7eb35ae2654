//! Describes users and groups for `systemd-sysusers`.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Value;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd-sysusers.d",
    include_str!("systemd_sysusers_d.meta.json"),
    run,
);

/// Numbers that mean none: `(uid_t) -1` of 16 and of 32 bits.
const RESERVED: [i64; 2] = [65_535, 4_294_967_295];
const TYPES: [&str; 5] = ["u", "u!", "g", "m", "r"];
/// The longest part of a name after its first word, with the mark between.
const REST_MAX: usize = 31;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    config: Option<Config>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default, rename = "path-prefix")]
    path_prefix: String,
    #[serde(default)]
    filename: String,
    /// Decoded once the rest is known to be there.
    #[serde(default)]
    entries: Value,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    name: String,
    #[serde(default = "dash")]
    id: String,
    #[serde(default = "dash")]
    gecos: String,
    #[serde(default = "dash")]
    home: String,
    #[serde(default = "dash")]
    shell: String,
}

fn dash() -> String {
    "-".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config } = context.options()?;
    let config = config.context("'config' is required")?;
    let directory = match config.path_prefix.as_str() {
        "etc" => "etc/sysusers.d",
        _ => "usr/lib/sysusers.d",
    };
    let name = &config.filename;
    ensure!(!name.is_empty(), "'filename' is required");
    ensure!(
        Path::new(name).extension() == Some(OsStr::new("conf")),
        "Name of file '{name}' needs to have .conf file extension"
    );
    let entries: Option<Vec<Entry>> =
        serde_json::from_value(config.entries).context("reading `entries`")?;
    let entries = entries.unwrap_or_default();
    ensure!(!entries.is_empty(), "'entries' is required");
    entries.iter().try_for_each(check)?;
    let text: String = entries.iter().map(line).collect();
    let file = format!("{directory}/{name}");
    context.tree_path()?.write(&file, text)?;
    context.log(format_args!("Wrote file '{file}'"));
    Ok(())
}

fn line(entry: &Entry) -> String {
    let gecos = if entry.gecos == "-" {
        entry.gecos.clone()
    } else {
        format!("\"{}\"", entry.gecos)
    };
    let words = [
        &entry.r#type,
        &entry.name,
        &entry.id,
        &gecos,
        &entry.home,
        &entry.shell,
    ];
    let line = words.map(String::as_str).join(" ");
    format!("{}\n", line.trim())
}

fn check(entry: &Entry) -> Result<()> {
    let kind = entry.r#type.as_str();
    let invalid = |field: &str, value: &str, reason: &str| {
        bail!("Error: sysuser entry '{field}={value}' is invalid: {reason}")
    };
    if !TYPES.contains(&kind) {
        let types = "type needs to be one of: ['u', 'u!', 'g', 'm', 'r']";
        return invalid("Type", kind, types);
    }
    if kind == "r" && entry.name != "-" {
        return invalid("Name", &entry.name, "name needs to be '-' for type 'r'");
    }
    if !is_name(&entry.name) {
        let pattern = "^([a-z]+(?:[-_][a-zA-Z0-9_-]{0,30})?|-)$";
        let reason = format!("name needs to match regex '{pattern}'");
        return invalid("Name", &entry.name, &reason);
    }
    check_id(entry)?;
    if kind == "u" {
        return Ok(());
    }
    let is_unset = |text: &str| matches!(text, "" | "-");
    for (field, value, reason) in [
        ("GECOS", &entry.gecos, "gecos only used for type 'u'"),
        ("Home", &entry.home, "home directory only used for type 'u'"),
        ("Shell", &entry.shell, "shell only used for type 'u'"),
    ] {
        if !is_unset(value) {
            // Quirk of upstream: whatever is wrong, the full name is shown.
            return invalid(field, &entry.gecos, reason);
        }
    }
    Ok(())
}

fn check_id(entry: &Entry) -> Result<()> {
    let id = &entry.id;
    let separator = match entry.r#type.as_str() {
        "m" => {
            ensure!(
                is_name(id),
                "Error: sysuser entry 'ID={id}' is invalid: id should be group name for m entry"
            );
            return Ok(());
        }
        "r" => '-',
        _ if id == "-" => return Ok(()),
        _ => ':',
    };
    let parts: Vec<_> = id.split(separator).collect();
    ensure!(
        parts.len() <= 2,
        "Error: sysuser entry 'ID={id}' is invalid: invalid format"
    );
    for part in parts {
        let Ok(number) = part.trim().parse::<i64>() else {
            bail!("invalid literal for int() with base 10: '{part}'");
        };
        ensure!(
            !RESERVED.contains(&number),
            "Error: sysuser entry 'ID={id}' is invalid: id can not be [65535, 4294967295]"
        );
    }
    Ok(())
}

/// `-`, or a lower-case word and perhaps, after a dash or underscore, more.
fn is_name(name: &str) -> bool {
    let rest = name.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let is_rest = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    name == "-"
        || rest.len() < name.len()
            && rest.len() <= REST_MAX
            && (rest.is_empty() || rest.starts_with(['-', '_']))
            && rest.chars().all(is_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn run_with(entries: &serde_json::Value, prefix: &str) -> osbuild_stage_api::testing::Ran {
        let config = json!({"filename": "x.conf", "path-prefix": prefix, "entries": entries});
        StageTest::new(&STAGE, json!({"config": config}))
            .directory("usr/lib/sysusers.d")
            .directory("etc/sysusers.d")
            .run()
    }

    #[test]
    fn entries_become_lines() {
        let entries = json!([
            {"type": "u", "name": "web", "id": "404:500", "gecos": "Web server", "home": "/srv", "shell": "/bin/sh"},
            {"type": "g", "name": "input", "id": "-"},
            {"type": "m", "name": "web", "id": "input"},
            {"type": "r", "name": "-", "id": "500-900"},
        ]);
        let ran = run_with(&entries, "etc").success();
        assert_eq!(
            ran.tree.lines().nth(2),
            Some(
                "etc/sysusers.d/x.conf 0644 \"u web 404:500 \\\"Web server\\\" /srv /bin/sh\\ng input - - - -\\n\
                 m web input - - -\\nr - 500-900 - - -\\n\""
            )
        );
        assert!(
            run_with(&entries, "usr")
                .success()
                .tree
                .contains("usr/lib/sysusers.d/x.conf")
        );
    }

    #[test]
    fn what_systemd_would_refuse_fails_the_stage() {
        for (entry, reason) in [
            (
                json!({"type": "x", "name": "a"}),
                "'Type=x' is invalid: type needs to be one of: ['u', 'u!', 'g', 'm', 'r']",
            ),
            (
                json!({"type": "r", "name": "a"}),
                "'Name=a' is invalid: name needs to be '-' for type 'r'",
            ),
            (
                json!({"type": "u", "name": "A"}),
                "'Name=A' is invalid: name needs to match regex '^([a-z]+(?:[-_][a-zA-Z0-9_-]{0,30})?|-)$'",
            ),
            (
                json!({"type": "u", "name": "a", "id": "65535"}),
                "'ID=65535' is invalid: id can not be [65535, 4294967295]",
            ),
            (
                json!({"type": "u", "name": "a", "id": "1:2:3"}),
                "'ID=1:2:3' is invalid: invalid format",
            ),
            (
                json!({"type": "m", "name": "a", "id": "1"}),
                "'ID=1' is invalid: id should be group name for m entry",
            ),
            (
                json!({"type": "g", "name": "a", "home": "/x"}),
                "'Home=-' is invalid: home directory only used for type 'u'",
            ),
        ] {
            let ran = run_with(&json!([entry]), "usr");
            assert_eq!(
                ran.error(),
                format!("ValueError: Error: sysuser entry {reason}")
            );
        }
    }
}
