//! The pipelines that turn the disk or the tree into files.

use serde_json::{Value, json};

use super::disk;
use super::stage::{pipeline_file_input, stage_with_inputs, tree_input};
use super::system;
use crate::recipe::{Output, OutputFormat, Recipe};

/// The pipeline that gives a format.
pub(super) fn pipeline_name(format: OutputFormat) -> String {
    match format {
        OutputFormat::Qcow2 => "image",
        OutputFormat::Vmdk => "image-vmdk",
        OutputFormat::Vdi => "image-vdi",
        OutputFormat::Vhdx => "image-vhdx",
        OutputFormat::Raw => disk::PIPELINE,
        OutputFormat::RawXz => "image-xz",
        OutputFormat::RawZst => "image-zst",
        OutputFormat::Tar => "archive",
        OutputFormat::TarGz => "archive-gz",
        OutputFormat::TarXz => "archive-xz",
        OutputFormat::TarZst => "archive-zst",
        OutputFormat::Directory => system::PIPELINE,
    }
    .to_owned()
}

/// The stages of an output's pipeline; none when another pipeline gives it as it is.
pub(super) fn stages(recipe: &Recipe, output: &Output) -> Option<Vec<Value>> {
    let stage = match output.format {
        OutputFormat::Raw | OutputFormat::Directory => return None,
        OutputFormat::Qcow2 => {
            let format = json!({ "type": "qcow2", "compression": output.compress });
            convert(recipe, output, &format)
        }
        OutputFormat::Vmdk => {
            let format = json!({ "type": "vmdk", "subformat": "streamOptimized" });
            convert(recipe, output, &format)
        }
        OutputFormat::Vdi => convert(recipe, output, &json!({ "type": "vdi" })),
        OutputFormat::Vhdx => convert(recipe, output, &json!({ "type": "vhdx" })),
        OutputFormat::RawXz => compress(recipe, output, "org.osbuild.xz"),
        OutputFormat::RawZst => compress(recipe, output, "org.osbuild.zstd"),
        OutputFormat::Tar => archive(output, None),
        OutputFormat::TarGz => archive(output, Some("gzip")),
        OutputFormat::TarXz => archive(output, Some("xz")),
        OutputFormat::TarZst => archive(output, Some("zstd")),
    };
    Some(vec![stage])
}

fn convert(recipe: &Recipe, output: &Output, format: &Value) -> Value {
    let file = disk::file_name(recipe);
    let inputs = json!({ "image": pipeline_file_input(disk::PIPELINE, &file) });
    let options = json!({ "filename": output.file_name, "format": format });
    stage_with_inputs("org.osbuild.qemu", inputs, options)
}

fn compress(recipe: &Recipe, output: &Output, stage: &str) -> Value {
    let file = disk::file_name(recipe);
    let inputs = json!({ "file": pipeline_file_input(disk::PIPELINE, &file) });
    stage_with_inputs(stage, inputs, json!({ "filename": output.file_name }))
}

/// The file's name need not tell the compression, so the stage is told.
fn archive(output: &Output, compression: Option<&str>) -> Value {
    let mut options = json!({
        "filename": output.file_name,
        "numeric-owner": true,
        "root-node": "omit",
    });
    if let Some(compression) = compression {
        options["compression"] = json!(compression);
    }
    let inputs = json!({ "tree": tree_input(system::PIPELINE) });
    stage_with_inputs("org.osbuild.tar", inputs, options)
}
