//! Marks packages as wanted or as dependencies.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext, StageError, StageModule};
use serde::Deserialize;

use crate::shared::places::check_places_of_dnf;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dnf4.mark",
    include_str!("dnf4_mark.meta.json"),
    run,
);

const PROGRAM: &str = "dnf-3";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    packages: Option<Vec<Package>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    mark: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { packages } = context.options()?;
    let missing = || StageError::new("KeyError", "there are no `packages`");
    let packages = packages.ok_or_else(missing)?;
    if !context.has_program(PROGRAM) {
        context.log("dnf not found");
        return Err(ExitWith(1).into());
    }
    check_places_of_dnf(context)?;
    for mark in ["install", "group"] {
        let names: Vec<&str> = packages
            .iter()
            .filter(|package| package.mark == mark)
            .map(|package| package.name.as_str())
            .collect();
        if names.is_empty() {
            continue;
        }
        context
            .command(PROGRAM)
            .arg("--installroot")
            .arg(context.tree())
            .args(["mark", "-y", mark])
            .args(names)
            .run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn packages() -> Value {
        json!({"packages": [
            {"name": "a", "mark": "group"}, {"name": "b", "mark": "install"}, {"name": "c", "mark": "group"}
        ]})
    }

    #[test]
    fn packages_of_one_mark_go_together() {
        let test = StageTest::new(&STAGE, packages()).program(PROGRAM, "true");
        assert_eq!(
            test.run().success().log,
            "$ dnf-3 --installroot TREE mark -y install b\n$ dnf-3 --installroot TREE mark -y group a c\n"
        );
    }

    #[test]
    fn the_program_must_be_there() {
        let ran = StageTest::new(&STAGE, packages())
            .without_program(PROGRAM)
            .run();
        assert_eq!(ran.log, "dnf not found\n");
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(1)));
    }
}
