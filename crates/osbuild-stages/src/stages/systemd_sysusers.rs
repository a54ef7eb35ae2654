//! Makes the users that packages ask for.

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

use crate::shared::places::{ALL, Place, check_places};

pub(crate) const STAGE: StageModule = StageModule::new::<NoOptions>(
    "org.osbuild.systemd-sysusers",
    include_str!("systemd_sysusers.meta.json"),
    run,
);

/// What the program reads and writes: it takes links of the tree for those of the build root.
const PLACES: [Place; 5] = [
    (
        "/etc",
        &["passwd", "shadow", "group", "gshadow", ".pwd.lock"],
    ),
    ("/etc/sysusers.d", ALL),
    ("/run/sysusers.d", ALL),
    ("/usr/local/lib/sysusers.d", ALL),
    ("/usr/lib/sysusers.d", ALL),
];

fn run(context: &StageContext) -> Result<()> {
    check_places(context, &PLACES)?;
    context
        .command("systemd-sysusers")
        .arg("--root")
        .arg(context.tree())
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_program_is_given_the_tree() {
        let ran = StageTest::new(&STAGE, json!({}))
            .program("systemd-sysusers", "true")
            .run()
            .success();
        assert_eq!(ran.log, "$ systemd-sysusers --root TREE\n");
    }

    #[test]
    fn files_may_be_masked_but_not_elsewhere() {
        let test = |target: &str| {
            StageTest::new(&STAGE, json!({}))
                .symlink("etc/sysusers.d/x.conf", target)
                .program("systemd-sysusers", "true")
                .run()
        };
        test("/dev/null").success();
        assert_eq!(
            test("/etc/hosts").error(),
            "ValueError: /etc/sysusers.d/x.conf is a link out of the tree"
        );
    }
}
