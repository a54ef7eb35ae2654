//! Adds groups.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.groups", include_str!("groups.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    groups: IndexMap<String, Group>,
    #[serde(default)]
    force: bool,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Group {
    gid: Option<Number>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    for (name, group) in &options.groups {
        let mut command = context
            .command("groupadd")
            .arg("--root")
            .arg(context.tree());
        // Quirk of upstream, and of its tests: the number 0 counts as none.
        if let Some(gid) = group.gid.as_ref().filter(|gid| gid.as_f64() != Some(0.0)) {
            command = command.arg("--gid").arg(gid.to_string());
        }
        command
            .args(options.force.then_some("--force"))
            .arg(name)
            .run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn groups_are_added_in_order() {
        let options = json!({"groups": {"wheel": {"gid": 10}, "alpha": {}, "zero": {"gid": 0}}});
        let test = StageTest::new(&STAGE, options).program("groupadd", "true");
        assert_eq!(
            test.run().success().log,
            "$ groupadd --root TREE --gid 10 wheel\n$ groupadd --root TREE alpha\n$ groupadd --root TREE zero\n"
        );
    }

    #[test]
    fn force_is_passed_on() {
        let test = StageTest::new(&STAGE, json!({"groups": {"a": {"gid": 5}}, "force": true}))
            .program("groupadd", "true");
        assert_eq!(
            test.run().success().log,
            "$ groupadd --root TREE --gid 5 --force a\n"
        );
    }

    #[test]
    fn a_name_that_is_taken_fails_the_stage() {
        let test = StageTest::new(&STAGE, json!({"groups": {"root": {}, "never": {}}})).program(
            "groupadd",
            "echo \"groupadd: group 'root' already exists\" >&2; exit 9",
        );
        let ran = test.run();
        assert_eq!(
            ran.error(),
            "CalledProcessError: Command '['groupadd', '--root', 'TREE', 'root']' returned non-zero exit status 9."
        );
        assert!(!ran.log.contains("never"));
    }
}
