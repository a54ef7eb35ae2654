//! What the versions of 2020 took besides today's command line: a bare pipeline as the document, and parts of the manifest
//! from files of their own.

use anyhow::{Context as _, Result, anyhow};
use osbuild_manifest::document::PathElement;
use osbuild_manifest::manifest::Version;
use osbuild_manifest::value::{Object, Value};

use crate::command_line::SeedArguments;
use crate::failure::{Failure, FailureKind};
use crate::manifest_document::{ManifestDocument, read_text};
use crate::tell;

/// Whose words the result is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Those of upstream's version 191.
    Today,
    /// Those of version 8.
    Seed,
}

/// Members of a pipeline of 2020. `name` was a remark that nothing read.
const PIPELINE_KEYS: [&str; 4] = ["name", "build", "stages", "assembler"];

/// Makes a manifest of format 1 out of a bare pipeline, and puts in what other files bring.
pub(crate) fn apply(
    document: &mut ManifestDocument,
    arguments: &SeedArguments,
) -> Result<Dialect, Failure> {
    let mut dialect = Dialect::Today;
    if is_bare_pipeline(&document.document.value) {
        dialect = Dialect::Seed;
        if let Some(pipeline) = document.document.value.as_object_mut() {
            pipeline.remove("name");
        }
        document.wrap("pipeline");
    }
    if let Some(path) = &arguments.sources {
        dialect = Dialect::Seed;
        replace_sources(document, path)?;
    }
    if let Some(path) = &arguments.build_env {
        dialect = Dialect::Seed;
        add_build_environment(document, path)?;
    }
    if let Some(path) = &arguments.secrets {
        dialect = Dialect::Seed;
        read_secrets(path)?;
    }
    Ok(dialect)
}

/// Tells a pipeline of 2020 by its members. What has any other is no pipeline, and for validation to refuse.
fn is_bare_pipeline(value: &Value) -> bool {
    value.as_object().is_some_and(|object| {
        let has_work = ["build", "stages", "assembler"]
            .iter()
            .any(|key| object.contains_key(key));
        let is_known = |key: &str| PIPELINE_KEYS.contains(&key);
        has_work && object.keys().all(|key| key.as_str().is_some_and(is_known))
    })
}

fn read_part(option: &str, path: &str) -> Result<ManifestDocument, Failure> {
    let text = read_text(path).with_context(|| format!("reading the file of {option}"))?;
    ManifestDocument::parse(path, &text).map_err(|failure| Failure {
        kind: FailureKind::Build,
        ..failure
    })
}

fn replace_sources(document: &mut ManifestDocument, path: &str) -> Result<(), Failure> {
    let part = read_part("--sources", path)?;
    let sources = document.add_part(vec!["sources".into()], part);
    if let Some(manifest) = document.document.value.as_object_mut() {
        manifest.insert("sources", sources);
    }
    Ok(())
}

/// Puts a build environment below the innermost pipeline: what was built on the host is built in it.
fn add_build_environment(document: &mut ManifestDocument, path: &str) -> Result<(), Failure> {
    if document.version() != Some(Version::One) {
        let error = anyhow!("--build-env is for manifests of format 1");
        return Err(Failure::new(FailureKind::Build, error)
            .with_hint("in format 2, name the pipeline to build in as the `build` of the others"));
    }
    let part = read_part("--build-env", path)?;
    let mut place: Vec<PathElement> = vec!["pipeline".into()];
    while build_pipeline(innermost(&mut document.document.value, &place)).is_some() {
        place.extend(["build".into(), "pipeline".into()]);
    }
    let mut path = place.clone();
    path.push("build".into());
    let build = document.add_part(path, part);
    if let Some(pipeline) = innermost(&mut document.document.value, &place) {
        pipeline.insert("build", build);
    }
    Ok(())
}

/// Gives the pipeline that a pipeline is built in, if it has one.
fn build_pipeline(pipeline: Option<&mut Object>) -> Option<&Value> {
    let build = pipeline?.get("build")?;
    build
        .get("pipeline")
        .filter(|pipeline| pipeline.is_truthy())
}

/// Gives the object at a path of keys.
fn innermost<'a>(value: &'a mut Value, path: &[PathElement]) -> Option<&'a mut Object> {
    let mut object = value.as_object_mut()?;
    for element in path {
        let PathElement::Key(key) = element else {
            return None;
        };
        object = object.get_mut(key.as_str()?)?.as_object_mut()?;
    }
    Some(object)
}

/// Reads secrets as far as to tell that they are not used: the source that took them, `org.osbuild.dnf`, is gone, and
/// those of today take theirs from the environment.
fn read_secrets(path: &str) -> Result<(), Failure> {
    let secrets = read_part("--secrets", path)?;
    let sources = secrets.document.value.as_object().map(Object::keys);
    let names: Vec<String> = sources
        .into_iter()
        .flatten()
        .map(|name| format!("`{}`", name.to_string_lossy()))
        .collect();
    if !names.is_empty() {
        tell::note(&format!(
            "warning: the secrets of {} are not used: sources take them from the environment, \
             OSBUILD_SOURCES_CURL_SSL_CLIENT_KEY and its kin",
            names.join(", ")
        ));
    }
    Ok(())
}
