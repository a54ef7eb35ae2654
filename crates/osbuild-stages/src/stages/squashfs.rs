//! Makes a `SquashFS` image of a tree.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::image_source::image_source;
use crate::shared::squashfs_compression::Compression;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.squashfs",
    include_str!("squashfs.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    source: Option<String>,
    #[serde(default)]
    exclude_paths: Vec<String>,
    compression: Option<Compression>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let mut command = context
        .command("mksquashfs")
        .arg(image_source(context, options.source.as_deref())?)
        .arg(context.tree_path()?.target_path(&options.filename)?);
    if let Some(compression) = &options.compression {
        command = command.args(compression.arguments());
    }
    if !options.exclude_paths.is_empty() {
        // What follows it belongs to it.
        command = command.args(["-regex", "-e"]).args(&options.exclude_paths);
    }
    command.run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    #[test]
    fn options_become_arguments() {
        let all = json!({
            "filename": "/x.img", "exclude_paths": ["boot/efi/.*", "^b"],
            "compression": {"method": "xz", "options": {"bcj": "x86"}}
        });
        for (options, log) in [
            (
                all,
                "$ mksquashfs INPUTS/tree TREE/x.img -comp xz -Xbcj x86 -regex -e 'boot/efi/.*' ^b\n",
            ),
            (
                json!({"filename": "x", "compression": {"method": "lz4"}, "source": "mount://root/"}),
                "$ mksquashfs MOUNTS/root TREE/x -comp lz4\n",
            ),
        ] {
            let test = StageTest::new(&STAGE, options)
                .input("tree", &[], Value::Null)
                .mount("root")
                .program("mksquashfs", "true");
            assert_eq!(test.run().success().log, log);
        }
    }
}
