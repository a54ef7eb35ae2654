//! Installs packages with the build root's `yum`.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use serde::Deserialize;

use crate::shared::package_repository::{Configuration, PackageRepository};
use crate::shared::places::check_places_of_dnf;

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
    check_places_of_dnf(context)?;
    let configuration = Configuration::write("yum.conf", "", &options.repos)?;
    let chroot = context.chroot_to_install()?;
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
    use osbuild_testing::rpm_repository::{
        Package, SigningKey, build, create_repository, metalink, serve,
    };
    use osbuild_testing::server::{Answer, Server};
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

    #[test]
    fn packages_come_from_the_mirror_that_works_and_must_be_signed() {
        osbuild_testing::needs![
            root,
            tool("unshare"),
            tool("dnf"),
            tool("rpmbuild"),
            tool("rpmsign"),
            tool("gpg"),
            tool("createrepo_c")
        ];
        in_private_mounts(
            "stages::yum::tests::packages_come_from_the_mirror_that_works_and_must_be_signed",
            install_from_mirrors,
        );
    }

    /// `dnf` is what `yum` is today.
    fn install_from_mirrors() {
        let (key, server) = (SigningKey::generate().unwrap(), Server::start().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let packages = ["signed", "unsigned"]
            .map(|name| Package::new(name).file(&format!("/usr/share/{name}"), ""));
        let files = build(&packages, directory.path()).unwrap();
        key.sign(&files[..1]).unwrap();
        create_repository(directory.path()).unwrap();
        serve(directory.path(), &server, "/repo").unwrap();
        let mirrors = [server.url("/broken"), server.url("/repo")];
        let text = metalink(directory.path(), &mirrors).unwrap();
        server.answer("/metalink", [Answer::File(text.into_bytes())]);
        let install = |package: &str| {
            let repository =
                json!({"metalink": server.url("/metalink"), "gpgkey": key.public().unwrap()});
            let options = json!({"repos": [repository], "packages": [package], "releasever": "1"});
            StageTest::new(&STAGE, options)
                .program("yum", r#"exec dnf --noplugins "$@""#)
                .run()
        };
        let ran = install("signed").success();
        assert!(ran.tree.contains("usr/share/signed 0644"), "{}", ran.tree);
        let requests = server.requests();
        let broken = "/broken/repodata/repomd.xml";
        assert!(
            requests.iter().any(|request| request.path == broken),
            "{requests:?}"
        );

        let ran = install("unsigned");
        assert!(!ran.tree.contains("usr/share/unsigned"), "{}", ran.tree);
        assert!(ran.log.contains("is not signed"), "{}", ran.log);
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(1)));
    }
}
