//! Makes logical volumes.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use uuid::Uuid;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.lvm2.create",
    include_str!("lvm2_create.meta.json"),
    run,
);

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Options {
    volumes: Vec<Volume>,
}

/// Likewise.
#[derive(Debug, Deserialize)]
struct Volume {
    name: String,
    #[serde(default)]
    extents: String,
    #[serde(default)]
    size: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { volumes } = context.options()?;
    let device = context
        .devices_root()
        .join(context.device("device")?.path());
    // Groups of the machine must not be meant; `org.osbuild.lvm2.metadata` renames it.
    let group = Uuid::new_v4().to_string();
    context.log(format_args!("LVM2: using vg name '{group}'"));
    context.command("pvcreate").arg(&device).run()?;
    context.command("vgcreate").arg(&group).arg(&device).run()?;
    volumes.iter().try_for_each(|volume| {
        context
            .command("lvcreate")
            .args(arguments(volume))
            .arg(&group)
            .run()
    })
}

fn arguments(volume: &Volume) -> Vec<String> {
    // Not activated: the volume would be a device of the machine.
    let mut arguments = vec!["-an".to_owned()];
    for (name, value) in [("--extents", &volume.extents), ("--size", &volume.size)] {
        if !value.is_empty() {
            arguments.extend([name.to_owned(), value.clone()]);
        }
    }
    arguments.extend(["-n".to_owned(), volume.name.clone()]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_group_has_a_name_of_its_own() {
        let volumes =
            json!([{"name": "root", "size": "4G"}, {"name": "home", "extents": "100%FREE"}]);
        let test = ["pvcreate", "vgcreate", "lvcreate"].into_iter().fold(
            StageTest::new(&STAGE, json!({"volumes": volumes})).device("device", "xxd1".as_ref()),
            |test, program| test.program(program, "true"),
        );
        let log = test.run().success().log;
        let (_, group) = log.lines().next().unwrap().split_once(" name ").unwrap();
        let group = group.trim_matches('\'');
        Uuid::parse_str(group).unwrap();
        assert_eq!(
            log.replace(group, "GROUP"),
            "LVM2: using vg name 'GROUP'\n$ pvcreate /dev/xxd1\n$ vgcreate GROUP /dev/xxd1\n\
             $ lvcreate -an --size 4G -n root GROUP\n$ lvcreate -an --extents 100%FREE -n home GROUP\n"
        );
        assert_ne!(test.run().success().log, log);
    }
}
