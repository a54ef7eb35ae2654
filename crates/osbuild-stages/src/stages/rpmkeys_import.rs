//! Imports keys into the database of RPM.

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

use crate::shared::places::check_database;

pub(crate) const STAGE: StageModule = StageModule::new::<NoOptions>(
    "org.osbuild.rpmkeys.import",
    include_str!("rpmkeys_import.meta.json"),
    run,
);

fn run(context: &StageContext) -> Result<()> {
    let keys = context.input("keys")?;
    check_database(context, None)?;
    for (name, _) in keys.files() {
        context
            .command("rpmkeys")
            .args(["--verbose", "--root"])
            .arg(context.tree())
            .arg("--import")
            .arg(keys.path().join(name))
            .run()?;
        context.log(format_args!("imported key '{name}'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn every_key_is_imported() {
        let data = json!({"files": {"a": {}, "b": {}}});
        let test = StageTest::new(&STAGE, json!({}))
            .input("keys", &[], data)
            .program("rpm", "echo /var/lib/rpm")
            .program("rpmkeys", "true");
        assert_eq!(
            test.run().success().log,
            "$ rpmkeys --verbose --root TREE --import INPUTS/keys/a\nimported key 'a'\n\
             $ rpmkeys --verbose --root TREE --import INPUTS/keys/b\nimported key 'b'\n"
        );
    }
}
