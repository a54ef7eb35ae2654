//! Makes the manifest of a recipe: pure, and the same bytes for the same recipe and lock.
//!
//! ```text
//! build     the target distribution with the programs the stages below call
//! os        the system's tree                                            (of RPM packages: build)
//! disk      partition table, file systems filled from `os`, boot loader     (build)
//! image…    the disk in other formats                                       (build)
//! archive…  the tree as an archive                                          (build)
//! ```

mod boot;
mod disk;
mod fstab;
mod identifiers;
mod output;
mod placement;
mod rpm;
mod settings;
mod sources;
mod stage;
mod system;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::attachments::Attachments;
use crate::distribution::PackageKind;
use crate::lock::Lock;
use crate::recipe::{BuildRoot, Output, OutputFormat, Recipe};
use sources::Sources;

/// Name of the build root's pipeline.
const BUILD: &str = "build";

/// A pipeline to export and what it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The pipeline's name.
    pub pipeline: String,
    /// The format of what it gives.
    pub format: OutputFormat,
    /// The file in the pipeline's tree; for a directory, the name the whole tree is exported under.
    pub file_name: String,
}

/// The pipelines that give a recipe's outputs, in the recipe's order.
pub fn exports(recipe: &Recipe) -> Vec<Export> {
    let export = |output: &Output| Export {
        pipeline: output::pipeline_name(output.format),
        format: output.format,
        file_name: output.file_name.clone(),
    };
    recipe.outputs.iter().map(export).collect()
}

/// Makes the manifest's text; `attachments` and `lock` are the recipe's.
pub fn compile(recipe: &Recipe, attachments: &Attachments, lock: &Lock) -> Result<String> {
    check(recipe, attachments, lock)?;
    let mut sources = Sources::default();
    let mut pipelines = Vec::new();
    pipelines.extend(build_pipeline(recipe, attachments, lock, &mut sources));
    let system = system::stages(recipe, attachments, lock, &mut sources);
    let build = has_build_root(recipe, lock).then_some(BUILD);
    let installer = build.filter(|_| recipe.package_kind() == PackageKind::Rpm);
    pipelines.push(pipeline(system::PIPELINE, lock, installer, system));
    if let Some(disk) = &recipe.disk {
        let stages = vec![disk::stage(recipe, disk)];
        pipelines.push(pipeline(disk::PIPELINE, lock, build, stages));
    }
    for output in &recipe.outputs {
        if let Some(stages) = output::stages(recipe, output) {
            let name = output::pipeline_name(output.format);
            pipelines.push(pipeline(&name, lock, build, stages));
        }
    }
    let manifest = json!({
        "version": "2",
        "pipelines": pipelines,
        "sources": sources.into_json(),
    });
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    Ok(text)
}

/// What the caller must have done; each would give a manifest that fails late.
fn check(recipe: &Recipe, attachments: &Attachments, lock: &Lock) -> Result<()> {
    lock.check(recipe)?;
    for package in lock.packages.system.iter().chain(&lock.packages.build) {
        let name = &package.name;
        ensure!(
            !package.urls.is_empty(),
            "the lock has no address for package `{name}`"
        );
    }
    for file in Attachments::wanted(recipe) {
        let is_read = attachments.get(file).is_some();
        ensure!(
            is_read,
            "the content of {} has not been read",
            file.display()
        );
    }
    Ok(())
}

fn has_build_root(recipe: &Recipe, lock: &Lock) -> bool {
    recipe.build == BuildRoot::Own && !lock.packages.build.is_empty()
}

fn build_pipeline(
    recipe: &Recipe,
    attachments: &Attachments,
    lock: &Lock,
    sources: &mut Sources,
) -> Option<Value> {
    has_build_root(recipe, lock).then(|| {
        let packages = &lock.packages.build;
        let stage = match recipe.package_kind() {
            // Programs to call, not a system to boot: configuring them would cost more than all the rest.
            PackageKind::Deb => system::packages(packages, json!({"scripts": "skip"}), sources),
            PackageKind::Rpm => rpm::packages(recipe, attachments, packages, sources),
        };
        let mut pipeline = pipeline(BUILD, lock, None, vec![stage]);
        pipeline["runner"] = json!(recipe.release.runner());
        pipeline
    })
}

fn pipeline(name: &str, lock: &Lock, build: Option<&str>, stages: Vec<Value>) -> Value {
    let mut pipeline = json!({ "name": name });
    if let Some(build) = build {
        pipeline["build"] = json!(format!("name:{build}"));
    }
    pipeline["source-epoch"] = json!(lock.source_epoch);
    pipeline["stages"] = Value::Array(stages);
    pipeline
}
