//! Configures the ssh server.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.sshd.config",
    include_str!("sshd_config.meta.json"),
    run,
);

const FILE: &str = "/etc/ssh/sshd_config";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(rename_all = "PascalCase")]
struct Config {
    password_authentication: Option<bool>,
    challenge_response_authentication: Option<bool>,
    client_alive_interval: Option<i64>,
    permit_root_login: Option<Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config } = context.options()?;
    let tree = context.tree_path()?;
    let text = tree.read_to_string(FILE)?;
    tree.write(FILE, apply(&text, wanted(&config)))
}

fn wanted(config: &Config) -> IndexMap<&'static str, String> {
    let word = |is_on: bool| if is_on { "yes" } else { "no" }.to_owned();
    let root = config
        .permit_root_login
        .as_ref()
        .map(|value| value.as_bool().map_or_else(|| python_str(value), word));
    [
        (
            "PasswordAuthentication",
            config.password_authentication.map(word),
        ),
        (
            "ChallengeResponseAuthentication",
            config.challenge_response_authentication.map(word),
        ),
        (
            "ClientAliveInterval",
            config
                .client_alive_interval
                .map(|seconds| seconds.to_string()),
        ),
        ("PermitRootLogin", root),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

/// Changes the first line that sets each option, keeping its spelling, and adds those that no line sets.
fn apply(text: &str, mut wanted: IndexMap<&'static str, String>) -> String {
    let mut result = String::new();
    for line in text.split_inclusive('\n') {
        let words: Vec<_> = line.split_whitespace().collect();
        let option = match words[..] {
            [key, _] => wanted
                .keys()
                .copied()
                .find(|option| option.eq_ignore_ascii_case(key)),
            _ => None,
        };
        match option.and_then(|option| wanted.shift_remove(option)) {
            Some(value) if words[1] != value => result.push_str(&format!("{} {value}\n", words[0])),
            _ => result.push_str(line),
        }
    }
    if !result.is_empty() && !result.ends_with('\n') && !wanted.is_empty() {
        result.push('\n');
    }
    for (option, value) in wanted {
        result.push_str(&format!("{option} {value}\n"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn run_on(config: &Value, before: &str) -> String {
        let test = StageTest::new(&STAGE, json!({"config": config}))
            .file(FILE, before)
            .mode(FILE, 0o600);
        let ran = test.run().success();
        assert!(
            ran.tree.contains("etc/ssh/sshd_config 0600"),
            "{}",
            ran.tree
        );
        fs_err::read_to_string(test.path(FILE)).unwrap()
    }

    #[test]
    fn the_first_line_is_changed_and_the_rest_is_added() {
        let config = json!({
            "PasswordAuthentication": false, "ChallengeResponseAuthentication": true,
            "ClientAliveInterval": 180, "PermitRootLogin": "prohibit-password",
        });
        let before = "#PermitRootLogin yes\npasswordauthentication  yes\nPasswordAuthentication yes\n\
                      ClientAliveInterval 180\nSubsystem sftp x\n";
        assert_eq!(
            run_on(&config, before),
            "#PermitRootLogin yes\npasswordauthentication no\nPasswordAuthentication yes\n\
             ClientAliveInterval 180\nSubsystem sftp x\n\
             ChallengeResponseAuthentication yes\nPermitRootLogin prohibit-password\n"
        );
    }

    #[test]
    fn a_last_line_without_an_end_is_ended_first() {
        assert_eq!(
            run_on(&json!({"PermitRootLogin": false}), "UsePAM yes"),
            "UsePAM yes\nPermitRootLogin no\n"
        );
        assert_eq!(run_on(&json!({}), "UsePAM yes"), "UsePAM yes");
    }

    #[test]
    fn without_a_server_there_is_nothing_to_configure() {
        let test = StageTest::new(&STAGE, json!({"config": {}}));
        assert_eq!(
            test.run().error(),
            "FileNotFoundError: opening TREE/etc/ssh/sshd_config: No such file or directory (os error 2)"
        );
    }
}
