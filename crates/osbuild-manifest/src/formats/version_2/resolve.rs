//! What format 2 means (upstream: `formats/v2.py`, `load`).

use std::collections::{HashMap, HashSet};

use crate::document::PathElement;
use crate::formats::fields::Field;
use crate::identifier::{source_id, stage_id};
use crate::manifest::{Manifest, Pipeline, PipelineId, Source, Stage, StageId, Version, Warning};
use crate::module::{ModuleIndex, ModuleKind};
use crate::resolve::ResolveError;
use crate::runner::Runner;
use crate::value::{Object, Value};

use super::services::{devices, inputs, mounts};

pub(crate) fn resolve(
    manifest: &Value,
    modules: &dyn ModuleIndex,
    host: &str,
) -> Result<Manifest, ResolveError> {
    let root = Field::root(manifest);
    let metadata = root
        .member("metadata")?
        .map_or_else(|| Ok(Object::new()), |field| field.object().cloned())?;
    let sources = sources(&root)?;
    let mut context = Context {
        modules,
        source_items: sources
            .iter()
            .flat_map(|source| source.items.keys())
            .map(ToString::to_string)
            .collect(),
        pipelines: Vec::new(),
        runners: HashMap::new(),
        host: None,
        host_name: host,
        warnings: Vec::new(),
    };
    for pipeline in root.items("pipelines")? {
        context.add_pipeline(&pipeline)?;
    }
    let (pipelines, warnings) = context.with_runners()?;
    Ok(Manifest {
        version: Version::Two,
        pipelines,
        sources,
        metadata,
        warnings,
    })
}

fn sources(root: &Field<'_>) -> Result<Vec<Source>, ResolveError> {
    let mut sources = Vec::new();
    for (name, source) in root.members("sources")? {
        let items = source
            .member("items")?
            .map_or_else(|| Ok(Object::new()), |items| items.object().cloned())?;
        if let Some(item) = items.keys().find(|item| item.as_str().is_none()) {
            return Err(source.error(format!("the name of the item `{item}` is not Unicode")));
        }
        let id = source_id(name, &items);
        sources.push(Source {
            name: name.to_owned(),
            items,
            options: source.options()?,
            id,
            path: source.path,
        });
    }
    Ok(sources)
}

/// What is known while pipelines are resolved one after another.
pub(super) struct Context<'a> {
    modules: &'a dyn ModuleIndex,
    pub(super) source_items: HashSet<String>,
    pipelines: Vec<Pipeline>,
    /// The runner that each pipeline asks for, by its id: of several with one id the last one counts.
    runners: HashMap<Option<PipelineId>, Option<Runner>>,
    host: Option<Runner>,
    host_name: &'a str,
    pub(super) warnings: Vec<Warning>,
}

impl Context<'_> {
    fn add_pipeline(&mut self, field: &Field<'_>) -> Result<(), ResolveError> {
        let name_field = field.needed("name")?;
        let name = name_field.name()?;
        if self.pipelines.iter().any(|pipeline| pipeline.name == name) {
            return Err(
                name_field.error(format!("there is another pipeline with the name '{name}'"))
            );
        }
        let build = self.build(field)?;
        let runner = self.requested_runner(field)?;
        let source_epoch = match field.member("source-epoch")? {
            None => None,
            Some(epoch) => Some(
                epoch
                    .value
                    .as_i64()
                    .ok_or_else(|| epoch.error("the epoch is not a number of seconds"))?,
            ),
        };
        let mut pipeline = Pipeline {
            name: name.to_owned(),
            build,
            // Stands in until every pipeline's own runner is known, see `with_runners`.
            runner: Runner {
                requested: String::new(),
                file_name: String::new(),
            },
            source_epoch,
            stages: Vec::new(),
            path: field.path.clone(),
        };
        for stage in field.items("stages")? {
            let stage = self.stage(&stage, &pipeline)?;
            pipeline.stages.push(stage);
        }
        self.runners.insert(pipeline.id().cloned(), runner);
        self.pipelines.push(pipeline);
        Ok(())
    }

    fn build(&self, field: &Field<'_>) -> Result<Option<PipelineId>, ResolveError> {
        let Some(build) = field.optional_name("build")? else {
            return Ok(None);
        };
        match build.strip_prefix("name:") {
            Some(name) => self.pipeline_id(name, &field.needed("build")?.path),
            None => Ok(Some(StageId::new(build))),
        }
    }

    /// Gives the id of an earlier pipeline; it has none if it has no stages.
    pub(super) fn pipeline_id(
        &self,
        name: &str,
        path: &[PathElement],
    ) -> Result<Option<PipelineId>, ResolveError> {
        match self.pipelines.iter().find(|pipeline| pipeline.name == name) {
            Some(pipeline) => Ok(pipeline.id().cloned()),
            None => {
                let known = self.pipelines.iter().map(|pipeline| pipeline.name.as_str());
                let nearest = crate::suggestion::nearest(name, known);
                let hint = nearest.first().map_or(String::new(), |nearest| {
                    format!(" (did you mean 'name:{nearest}'?)")
                });
                let message = format!(
                    "Unknown pipeline reference: name:{name}; a pipeline can only use earlier ones{hint}"
                );
                Err(ResolveError::new(message, path))
            }
        }
    }

    fn requested_runner(&self, field: &Field<'_>) -> Result<Option<Runner>, ResolveError> {
        let Some(requested) = field.optional_name("runner")? else {
            return Ok(None);
        };
        let runner =
            self.modules
                .runner(requested)
                .map_err(|error| match field.needed("runner") {
                    Ok(field) => field.error(format!("{error:#}")),
                    Err(error) => error,
                })?;
        Ok(Some(Runner {
            requested: requested.to_owned(),
            ..runner
        }))
    }

    fn stage(&mut self, field: &Field<'_>, pipeline: &Pipeline) -> Result<Stage, ResolveError> {
        let devices = devices(field)?;
        let mut stage = Stage {
            id: StageId::new(String::new()),
            name: field.needed("type")?.name()?.to_owned(),
            kind: ModuleKind::Stage,
            options: field.options()?,
            base: pipeline.id().cloned(),
            build: pipeline.build.clone(),
            source_epoch: pipeline.source_epoch,
            inputs: inputs(field, self)?,
            mounts: mounts(field, &devices)?,
            devices,
            path: field.path.clone(),
        };
        stage.id = stage_id(&stage);
        Ok(stage)
    }

    /// Gives every pipeline its runner: the one that its build pipeline asks for, or else the host's.
    fn with_runners(mut self) -> Result<(Vec<Pipeline>, Vec<Warning>), ResolveError> {
        let mut pipelines = std::mem::take(&mut self.pipelines);
        for pipeline in &mut pipelines {
            let asked_for = match &pipeline.build {
                None => None,
                Some(build) => match self.runners.get(&Some(build.clone())) {
                    Some(runner) => runner.clone(),
                    None => {
                        let path: Vec<_> = pipeline
                            .path
                            .iter()
                            .cloned()
                            .chain(["build".into()])
                            .collect();
                        let message = format!(
                            "no pipeline has the id '{build}'; to refer to one by its name, write 'name:' before it"
                        );
                        return Err(ResolveError::new(message, &path));
                    }
                },
            };
            pipeline.runner = match asked_for {
                Some(runner) => runner,
                None => self.host_runner(&pipeline.path)?,
            };
        }
        Ok((pipelines, self.warnings))
    }

    fn host_runner(&mut self, path: &[PathElement]) -> Result<Runner, ResolveError> {
        if let Some(runner) = &self.host {
            return Ok(runner.clone());
        }
        let runner = crate::formats::host_runner(self.modules, self.host_name, path)?;
        Ok(self.host.insert(runner).clone())
    }
}
