//! Adds remotes to an `OSTree` repository.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::ostree_settings;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.ostree.remotes",
    include_str!("ostree_remotes.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    repo: String,
    #[serde(default)]
    remotes: Vec<Remote>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Remote {
    name: String,
    url: String,
    #[serde(default)]
    contenturl: String,
    #[serde(default)]
    branches: Vec<String>,
    #[serde(default)]
    gpgkeys: Vec<String>,
    #[serde(default)]
    gpgkeypaths: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { repo, remotes } = context.options()?;
    if remotes.is_empty() {
        return Ok(());
    }
    let repo = ostree_settings::repository(context, &repo)?;
    let repo = format!("--repo={}", repo.display());
    for remote in &remotes {
        context
            .command("ostree")
            .args(["remote", "add", "--if-not-exists"])
            .args(switches(remote))
            .args([&remote.name, &remote.url])
            .args(&remote.branches)
            .arg(&repo)
            .run()?;
        for key in &remote.gpgkeys {
            context
                .command("ostree")
                .args(["remote", "gpg-import", "--stdin", &remote.name, &repo])
                .input(key.as_str())
                .run()?;
        }
    }
    Ok(())
}

fn switches(remote: &Remote) -> Vec<String> {
    let mut switches = Vec::new();
    if !remote.gpgkeypaths.is_empty() {
        switches.push(format!("--set=gpgkeypath={}", remote.gpgkeypaths.join(",")));
        switches.push("--set=gpg-verify=true".to_owned());
    } else if remote.gpgkeys.is_empty() {
        switches.push("--no-gpg-verify".to_owned());
    }
    if !remote.contenturl.is_empty() {
        switches.push(format!("--set=contenturl={}", remote.contenturl));
    }
    switches
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn keys_decide_whether_signatures_are_checked() {
        let remotes = json!([
            {"name": "a", "url": "http://a", "contenturl": "http://c", "branches": ["x", "y"]},
            {"name": "b", "url": "http://b", "gpgkeys": ["KEY\n"]},
            {"name": "c", "url": "http://c", "gpgkeypaths": ["/etc/k1", "/etc/k2"]}
        ]);
        let test = StageTest::new(&STAGE, json!({"repo": "/repo", "remotes": remotes}))
            .directory("repo")
            .program("ostree", "cat");
        assert_eq!(
            test.run().success().log,
            "$ ostree remote add --if-not-exists --no-gpg-verify --set=contenturl=http://c a http://a x y \
             --repo=TREE/repo\n$ ostree remote add --if-not-exists b http://b --repo=TREE/repo\n\
             $ ostree remote gpg-import --stdin b --repo=TREE/repo\nKEY\n\
             $ ostree remote add --if-not-exists --set=gpgkeypath=/etc/k1,/etc/k2 --set=gpg-verify=true c http://c \
             --repo=TREE/repo\n"
        );
    }
}
