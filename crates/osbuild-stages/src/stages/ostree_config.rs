//! Configures an `OSTree` repository.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::ostree_settings;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.ostree.config",
    include_str!("ostree_config.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    repo: String,
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    sysroot: Sysroot,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Sysroot {
    bootloader: String,
    bootprefix: Option<bool>,
    readonly: Option<bool>,
    bls_append_except_default: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { repo, config } = context.options()?;
    let Sysroot {
        bootloader,
        bootprefix,
        readonly,
        bls_append_except_default,
    } = config.sysroot;
    let text = |value: String| Some(value).filter(|value| !value.is_empty());
    let word = |value: Option<bool>| value.map(|value| value.to_string());
    let settings = [
        ("sysroot.bootloader", text(bootloader)),
        ("sysroot.bootprefix", word(bootprefix)),
        ("sysroot.readonly", word(readonly)),
        (
            "sysroot.bls-append-except-default",
            text(bls_append_except_default),
        ),
    ];
    ostree_settings::apply(context, &repo, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn what_is_given_is_set() {
        let sysroot = json!({
            "bootloader": "none", "bootprefix": true, "readonly": false, "bls-append-except-default": "grub_users=\"\""
        });
        let options = json!({"repo": "/ostree/repo", "config": {"sysroot": sysroot}});
        let test = StageTest::new(&STAGE, options)
            .directory("ostree/repo")
            .program("ostree", "true");
        assert_eq!(
            test.run().success().log,
            "$ ostree config set sysroot.bootloader none --repo=TREE/ostree/repo\n\
             $ ostree config set sysroot.bootprefix true --repo=TREE/ostree/repo\n\
             $ ostree config set sysroot.readonly false --repo=TREE/ostree/repo\n\
             $ ostree config set sysroot.bls-append-except-default 'grub_users=\"\"' --repo=TREE/ostree/repo\n"
        );
    }

    #[test]
    fn the_repository_must_be_there() {
        let options =
            json!({"repo": "/ostree/repo", "config": {"sysroot": {"bootloader": "none"}}});
        let ran = StageTest::new(&STAGE, options).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
