//! A manifest on its way from text to a resolved [`Manifest`], with its errors placed in the text.

use std::io::Read as _;

use anyhow::{Context as _, Result, anyhow};
use osbuild_engine::host_runner::host_runner;
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_manifest::document::{Document, PathElement, Position, parse};
use osbuild_manifest::manifest::{Manifest, Pipeline, Version};
use osbuild_manifest::resolve::resolve;
use osbuild_manifest::validate::ValidationError;
use osbuild_manifest::value::Value;

use crate::failure::{Failure, FailureKind, Failures, Place};
use crate::{mistaken_kind, tell};

/// A manifest that was read, with the name to call it by.
pub(crate) struct ManifestDocument {
    /// The path as given, or `<stdin>`.
    pub(crate) name: String,
    pub(crate) document: Document,
    /// The members of the manifest that stand around what is in the file; none for a whole manifest.
    wrapping: Vec<PathElement>,
    /// Parts of the manifest that came from other files.
    parts: Vec<ManifestDocument>,
}

/// Reads a manifest from a file, or from standard input for `-`.
pub(crate) fn read_text(name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    if name == "-" {
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("reading standard input")?;
    } else {
        bytes = fs_err::read(name)?;
    }
    String::from_utf8(bytes).with_context(|| format!("`{name}` is not UTF-8 text"))
}

impl ManifestDocument {
    /// Parses a manifest.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let name = if name == "-" { "<stdin>" } else { name };
        let document = parse(text).map_err(|error| {
            let place = Place {
                file: name.to_owned(),
                text: text.to_owned(),
                line: error.line,
                column: error.column,
                length: 1,
            };
            let error = anyhow!("`{name}` is not JSON: {}", error.message);
            let failure = Failure::new(FailureKind::Document, error).with_place(Some(place));
            match mistaken_kind::advice_on_syntax(name) {
                Some(advice) => failure.with_hint(advice),
                None => failure,
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            document,
            wrapping: Vec::new(),
            parts: Vec::new(),
        })
    }

    /// Takes what was read for the member of that name of a manifest.
    pub(crate) fn wrap(&mut self, key: &str) {
        let value = std::mem::take(&mut self.document.value);
        self.document.value = Value::Object([(key, value)].into_iter().collect());
        self.wrapping.insert(0, key.into());
    }

    /// Takes another file for the part of the manifest at `path`. The part's value is moved out for the caller to put it
    /// there.
    pub(crate) fn add_part(&mut self, path: Vec<PathElement>, mut part: Self) -> Value {
        let value = std::mem::take(&mut part.document.value);
        part.wrapping = path;
        self.parts.push(part);
        value
    }

    /// Tells the format; none if it is none that exists.
    pub(crate) fn version(&self) -> Option<Version> {
        Version::detect(&self.document.value)
    }

    /// Tells a version that does not exist, where it is written.
    pub(crate) fn unknown_version(&self) -> Failure {
        let name = &self.name;
        let error = anyhow!("`{name}` has a `version` that is neither \"1\" nor \"2\"");
        Failure::new(FailureKind::Document, error).with_place(self.place(&["version".into()]))
    }

    /// Resolves a manifest that is valid.
    pub(crate) fn resolve(&self, catalog: &ModuleCatalog) -> Result<Manifest, Failure> {
        let runner = host_runner(std::path::Path::new("/"))?;
        let manifest = resolve(&self.document.value, catalog, &runner).map_err(|error| {
            Failure::new(FailureKind::Build, anyhow!("{}", error.message))
                .with_place(self.place(&error.path))
        })?;
        for warning in &manifest.warnings {
            tell::note(&format!("warning: {}", warning.message));
        }
        if let Some(stand_in) = catalog.stand_in_for_host(&runner)? {
            let is_of_host = |pipeline: &Pipeline| {
                pipeline.build.is_none() && pipeline.runner.requested == stand_in
            };
            if manifest.pipelines.iter().any(is_of_host) {
                tell::note(&format!(
                    "note: there is no runner `{runner}` for this machine's system: `{stand_in}` is used"
                ));
            }
        }
        Ok(manifest)
    }

    /// Finds the file that a part of the manifest is in, and the path in that file.
    fn file_of<'a>(&'a self, path: &'a [PathElement]) -> (&'a Self, &'a [PathElement]) {
        let part = self
            .parts
            .iter()
            .find_map(|part| Some((part, path.strip_prefix(part.wrapping.as_slice())?)));
        part.unwrap_or_else(|| {
            let own = path.strip_prefix(self.wrapping.as_slice());
            (self, own.unwrap_or_default())
        })
    }

    /// Gives the place of a value, or of the nearest one around it.
    fn place(&self, path: &[PathElement]) -> Option<Place> {
        let (file, path) = self.file_of(path);
        let position = file.document.positions.locate_nearest(path)?;
        Some(file.place_at(position))
    }

    /// Gives the place of the key of a member.
    fn place_of_key(&self, path: &[PathElement]) -> Option<Place> {
        let (file, path) = self.file_of(path);
        let position = file.document.positions.locate_key(path)?;
        Some(file.place_at(position))
    }

    /// Gives the place of a value, if it is there.
    fn place_of_value(&self, path: &[PathElement]) -> Option<Place> {
        let (file, path) = self.file_of(path);
        let position = file.document.positions.locate(path)?;
        Some(file.place_at(position))
    }

    fn place_at(&self, position: Position) -> Place {
        Place {
            file: self.name.clone(),
            text: self.document.positions.text().to_owned(),
            line: position.line,
            column: position.column,
            length: position.length,
        }
    }

    /// Describes validation errors for people: place, words and suggestions.
    pub(crate) fn failures(&self, errors: &[ValidationError]) -> Failures {
        let failures = errors
            .iter()
            .map(|error| {
                let failure = Failure::new(
                    FailureKind::Document,
                    anyhow!("{}: {}", error.id(), error.message),
                )
                .with_place(self.error_place(error));
                if is_unknown_module(error) && error.suggestions.is_empty() {
                    return failure.with_hint("no module with a name like that is built in");
                }
                error
                    .suggestions
                    .iter()
                    .fold(failure, |failure, suggestion| {
                        failure.with_hint(format!(
                            "`{}` is not known; did you mean {}?",
                            suggestion.word,
                            list_of_words(&suggestion.nearest)
                        ))
                    })
            })
            .collect();
        Failures(failures)
    }

    /// Gives the place of an error: the unknown key itself where one key is to blame.
    fn error_place(&self, error: &ValidationError) -> Option<Place> {
        if let [suggestion] = error.suggestions.as_slice() {
            let mut path = error.path.clone();
            path.push(suggestion.word.as_str().into());
            if let Some(place) = self.place_of_key(&path) {
                return Some(place);
            }
        }
        if is_unknown_module(error) {
            // Format 2 calls the module `type`, format 1 `name`.
            let named = ["type", "name"].into_iter().find_map(|key| {
                let mut path = error.path.clone();
                path.push(key.into());
                self.place_of_value(&path)
            });
            if named.is_some() {
                return named;
            }
        }
        self.place(&error.path)
    }
}

/// Tells whether an error says that there is no such stage, source or other module (upstream's words).
fn is_unknown_module(error: &ValidationError) -> bool {
    error
        .message
        .starts_with("could not find schema information")
}

/// Writes words as `a`, `b` or `c`.
fn list_of_words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
