//! What format 1 means (upstream: `formats/v1.py`, `load`).

use indexmap::IndexMap;

use crate::document::PathElement;
use crate::formats::fields::Field;
use crate::identifier::{input_id, source_id, stage_id};
use crate::manifest::{
    Input, Manifest, Origin, Pipeline, PipelineId, Source, Stage, StageId, Version,
};
use crate::module::{ModuleIndex, ModuleKind};
use crate::resolve::ResolveError;
use crate::runner::Runner;
use crate::value::{Object, Value};

use super::{CURL, FILES};

pub(crate) fn resolve(
    manifest: &Value,
    modules: &dyn ModuleIndex,
    host: &str,
) -> Result<Manifest, ResolveError> {
    let root = Field::root(manifest);
    let empty = Value::Object(Object::new());
    let main = root
        .member("pipeline")?
        .unwrap_or_else(|| root.with(&empty, "pipeline"));
    let mut pipelines = pipelines(&main, modules, host)?;
    if let Some(assembler) = main
        .member("assembler")?
        .filter(|assembler| assembler.value.is_truthy())
    {
        let tree = pipelines
            .last()
            .ok_or_else(|| main.error("there is no pipeline"))?;
        pipelines.push(assembler_pipeline(&assembler, tree)?);
    }
    let sources = root
        .members("sources")?
        .iter()
        .map(|(name, field)| source(name, field))
        .collect::<Result<_, _>>()?;
    Ok(Manifest {
        version: Version::One,
        pipelines,
        sources,
        metadata: Object::new(),
        warnings: Vec::new(),
    })
}

/// Gives the pipelines, the innermost build pipeline first, the main one last.
fn pipelines(
    main: &Field<'_>,
    modules: &dyn ModuleIndex,
    host: &str,
) -> Result<Vec<Pipeline>, ResolveError> {
    let mut chain = vec![main.clone()];
    while let Some(build) = build_of(&chain[chain.len() - 1])? {
        match build
            .member("pipeline")?
            .filter(|pipeline| pipeline.value.is_truthy())
        {
            Some(pipeline) => chain.push(pipeline),
            None => break,
        }
    }
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for (depth, field) in chain.iter().enumerate().rev() {
        let build = pipelines.last().and_then(Pipeline::id).cloned();
        let runner = match build_of(field)? {
            None => crate::formats::host_runner(modules, host, &field.path)?,
            Some(build) => build_runner(&build, modules)?,
        };
        pipelines.push(pipeline(field, pipeline_name(depth), build, runner)?);
    }
    Ok(pipelines)
}

fn build_of<'a>(pipeline: &Field<'a>) -> Result<Option<Field<'a>>, ResolveError> {
    Ok(pipeline
        .member("build")?
        .filter(|build| build.value.is_truthy()))
}

/// The runner given with a build serves the pipeline that uses the build.
fn build_runner(build: &Field<'_>, modules: &dyn ModuleIndex) -> Result<Runner, ResolveError> {
    let field = build.needed("runner")?;
    let requested = field.name()?;
    let runner = modules
        .runner(requested)
        .map_err(|error| field.error(format!("{error:#}")))?;
    Ok(Runner {
        requested: requested.to_owned(),
        ..runner
    })
}

fn pipeline_name(depth: usize) -> String {
    if depth == 0 {
        "tree".to_owned()
    } else {
        vec!["build"; depth].join("-")
    }
}

fn pipeline(
    field: &Field<'_>,
    name: String,
    build: Option<PipelineId>,
    runner: Runner,
) -> Result<Pipeline, ResolveError> {
    let path = field.path.clone();
    let mut pipeline = Pipeline {
        name,
        build,
        runner,
        source_epoch: None,
        stages: Vec::new(),
        path,
    };
    for step in field.items("stages")? {
        let base = pipeline.id().cloned();
        let mut stage = stage(&step, ModuleKind::Stage, pipeline.build.clone(), base)?;
        if let Some(input) = implied_input(&stage, &step)? {
            stage.inputs.insert(input.name.clone(), input);
        }
        stage.id = stage_id(&stage);
        pipeline.stages.push(stage);
    }
    Ok(pipeline)
}

fn stage(
    field: &Field<'_>,
    kind: ModuleKind,
    build: Option<PipelineId>,
    base: Option<StageId>,
) -> Result<Stage, ResolveError> {
    Ok(Stage {
        id: StageId::new(String::new()),
        name: field.needed("name")?.name()?.to_owned(),
        kind,
        options: field.options()?,
        base,
        build,
        source_epoch: None,
        inputs: IndexMap::new(),
        devices: IndexMap::new(),
        mounts: Vec::new(),
        path: field.path.clone(),
    })
}

/// Two stages of this format take their inputs from their options.
fn implied_input(stage: &Stage, field: &Field<'_>) -> Result<Option<Input>, ResolveError> {
    let (name, kind, references) = match stage.name.as_str() {
        "org.osbuild.rpm" => ("packages", "org.osbuild.files", package_references(field)?),
        "org.osbuild.ostree" => ("commits", "org.osbuild.ostree", commit_reference(field)?),
        _ => return Ok(None),
    };
    Ok(Some(input(name, kind, Origin::Source, references)))
}

fn input(name: &str, kind: &str, origin: Origin, references: IndexMap<String, Value>) -> Input {
    let mut input = Input {
        name: name.to_owned(),
        kind: kind.to_owned(),
        origin,
        references,
        options: Object::new().into(),
        id: String::new(),
    };
    input.id = input_id(&input);
    input
}

fn package_references(stage: &Field<'_>) -> Result<IndexMap<String, Value>, ResolveError> {
    let options = stage.needed("options")?;
    options.needed("packages")?;
    let mut references = IndexMap::new();
    for package in options.items("packages")? {
        let mut reference = Object::new();
        let checksum = match package.value {
            Value::Object(_) => {
                if let Some(check) = package
                    .member("check_gpg")?
                    .filter(|check| check.value.is_truthy())
                {
                    let metadata = Object::from_iter([("rpm.check_gpg", check.value.clone())]);
                    reference.insert("metadata", metadata.into());
                }
                package.needed("checksum")?
            }
            _ => package,
        };
        references.insert(checksum.name()?.to_owned(), reference.into());
    }
    Ok(references)
}

fn commit_reference(stage: &Field<'_>) -> Result<IndexMap<String, Value>, ResolveError> {
    let options = stage.needed("options")?;
    let mut reference = Object::new();
    if let Some(name) = options.member("ref")?.filter(|name| name.value.is_truthy()) {
        reference.insert("ref", name.value.clone());
    }
    Ok(IndexMap::from([(
        options.needed("commit")?.name()?.to_owned(),
        reference.into(),
    )]))
}

/// The assembler is a pipeline of one stage, without base, that reads the tree as an input.
fn assembler_pipeline(field: &Field<'_>, tree: &Pipeline) -> Result<Pipeline, ResolveError> {
    let mut stage = stage(field, ModuleKind::Assembler, tree.build.clone(), None)?;
    let reference = tree
        .id()
        .map_or_else(|| "null".to_owned(), ToString::to_string);
    let references = IndexMap::from([(reference, Object::new().into())]);
    let input = input("tree", "org.osbuild.tree", Origin::Pipeline, references);
    stage.inputs.insert(input.name.clone(), input);
    stage.id = stage_id(&stage);
    Ok(Pipeline {
        name: "assembler".to_owned(),
        build: tree.build.clone(),
        runner: tree.runner.clone(),
        source_epoch: None,
        stages: vec![stage],
        path: field.path.clone(),
    })
}

fn source(name: &str, field: &Field<'_>) -> Result<Source, ResolveError> {
    let name = if name == FILES { CURL } else { name };
    let items = match name {
        CURL => "urls",
        "org.osbuild.ostree" => "commits",
        "org.osbuild.librepo" => "items",
        _ => return Err(field.error(format!("Unknown source type: {name}"))),
    };
    let items = field.needed(items)?.object()?.clone();
    let path: Vec<PathElement> = field.path.clone();
    Ok(Source {
        name: name.to_owned(),
        id: source_id(name, &items),
        items,
        options: field.value.clone(),
        path,
    })
}
