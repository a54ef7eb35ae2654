//! How format 1 is shown (upstream: `formats/v1.py`, `describe`).

use crate::manifest::{Manifest, Pipeline, Stage};
use crate::module::ModuleKind;
use crate::value::{Object, Value};

use super::{CURL, FILES};

pub(crate) fn inspect(manifest: &Manifest) -> Value {
    let (assemblers, trees): (Vec<&Pipeline>, Vec<&Pipeline>) =
        manifest.pipelines.iter().partition(|pipeline| {
            pipeline
                .stages
                .first()
                .is_some_and(|stage| stage.kind == ModuleKind::Assembler)
        });
    let mut pipeline = describe_pipelines(&trees);
    if let Some(assembler) = assemblers
        .first()
        .and_then(|pipeline| pipeline.stages.first())
    {
        pipeline.insert("assembler", describe_stage(assembler));
    }
    let mut description = Object::from_iter([("pipeline", pipeline.into())]);
    if !manifest.sources.is_empty() {
        let name = |name| if name == CURL { FILES } else { name };
        let sources: Object = manifest
            .sources
            .iter()
            .map(|source| (name(source.name.as_str()), source.options.clone()))
            .collect();
        description.insert("sources", sources.into());
    }
    description.into()
}

/// Nests pipelines, innermost first, each in the one that is built in it. A build pipeline without stages has no id and
/// so is not shown.
fn describe_pipelines(pipelines: &[&Pipeline]) -> Object {
    pipelines.iter().fold(Object::new(), |inner, pipeline| {
        let mut description = Object::new();
        if pipeline.build.is_some() {
            let mut build = Object::new();
            build.insert("pipeline", inner.into());
            build.insert("runner", Value::from(pipeline.runner.requested.as_str()));
            description.insert("build", build.into());
        }
        if !pipeline.stages.is_empty() {
            let stages: Vec<Value> = pipeline.stages.iter().map(describe_stage).collect();
            description.insert("stages", stages.into());
        }
        description
    })
}

fn describe_stage(stage: &Stage) -> Value {
    let mut description = Object::new();
    description.insert("name", Value::from(stage.name.as_str()));
    if stage.options.is_truthy() {
        description.insert("options", stage.options.clone());
    }
    description.insert("id", Value::from(stage.id.as_str()));
    description.into()
}
