//! The pipeline `disk`: partition table, file systems filled from the tree, boot loader.

use serde_json::{Value, json};

use super::identifiers::Identifiers;
use super::sources::Sources;
use super::stage::{stage_with_inputs, tree_input};
use super::system;
use crate::recipe::{OutputFormat, Recipe};

/// Name of the pipeline.
pub(super) const PIPELINE: &str = "disk";

/// Name of the image when no output gives it one.
const DEFAULT_FILE_NAME: &str = "disk.raw";

/// The image's name in the pipeline's tree: that of the `raw` output, when there is one.
pub(super) fn file_name(recipe: &Recipe) -> String {
    recipe
        .outputs
        .iter()
        .find(|output| output.format == OutputFormat::Raw)
        .map_or_else(
            || DEFAULT_FILE_NAME.to_owned(),
            |output| output.file_name.clone(),
        )
}

/// The stages that make the disk image.
pub(super) fn stages(recipe: &Recipe, _sources: &mut Sources) -> Vec<Value> {
    let identifiers = Identifiers::of(recipe);
    let inputs = json!({ "tree": tree_input(system::PIPELINE) });
    let options = json!({ "filename": file_name(recipe), "uuid": identifiers.disk().to_string() });
    vec![stage_with_inputs("org.osbuild.disk", inputs, options)]
}
