//! Installs packages with the build root's `yum`.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use serde::Deserialize;

use crate::shared::package_repository::{Configuration, PackageRepository};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.yum", include_str!("yum.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    repos: Vec<PackageRepository>,
    packages: Vec<String>,
    releasever: String,
    #[serde(default = "install")]
    operation: String,
    #[serde(default = "info")]
    verbosity: String,
}

fn install() -> String {
    "install".to_owned()
}

fn info() -> String {
    "info".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let configuration = Configuration::write("yum.conf", "", &options.repos)?;
    let chroot = context.chroot()?;
    let status = context
        .command("yum")
        .arg("--assumeyes")
        .arg(format!("--installroot={}", context.tree().display()))
        .arg("--setopt=reposdir=")
        .arg(format!("--releasever={}", options.releasever))
        .arg(format!("--rpmverbosity={}", options.verbosity))
        .arg(format!("--config={}", configuration.path().display()))
        .arg(options.operation)
        .args(options.packages)
        .status()?;
    drop(chroot);
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(ExitWith(code.unwrap_or(1)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::private_mounts::in_private_mounts;
    use serde_json::json;

    #[test]
    fn yum_gets_the_options_and_a_file_of_repositories() {
        osbuild_testing::needs![root, tool("unshare")];
        in_private_mounts(
            "stages::yum::tests::yum_gets_the_options_and_a_file_of_repositories",
            check_arguments,
        );
    }

    fn check_arguments() {
        let show = r#"printf '%s\n' "$@" | grep -v ^--config; cat "${6#--config=}" | sed s,file:///.*/,file:///,; exit $STATUS"#;
        let options = json!({
            "repos": [{"metalink": "http://a/$basearch"}, {"baseurl": "http://b", "gpgkey": "key"}],
            "packages": ["x", "@y"], "releasever": "7", "verbosity": "debug",
        });
        let test = |status: &str| {
            let script = format!("STATUS={status}\n{show}");
            StageTest::new(&STAGE, options.clone())
                .program("yum", &script)
                .run()
        };
        let ran = test("0").success();
        let (_, shown) = ran.log.split_once("\n--assumeyes\n").unwrap();
        assert_eq!(
            shown,
            "--installroot=TREE\n--setopt=reposdir=\n--releasever=7\n--rpmverbosity=debug\ninstall\nx\n@y\n\
             [repo0]\nname=repo0\nmetalink=http://a/$basearch\n\
             [repo1]\nname=repo1\nbaseurl=http://b\ngpgcheck=1\ngpgkey=file:///repo1.asc\n"
        );
        let ran = test("3");
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(3)));
    }
}
