//! What both formats check alike: parts of a manifest against the schemas of their modules.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::PathElement;
use crate::manifest::Version;
use crate::module::{ModuleIndex, ModuleInfo, ModuleKind};
use crate::schema::{Schema, Violation};
use crate::suggestion::suggest;
use crate::validate::ValidationError;
use crate::value::Value;

/// Collects what is wrong with a manifest.
pub(super) struct Checks<'a> {
    modules: &'a dyn ModuleIndex,
    version: Version,
    /// Modules are asked for once each: an index may well read files.
    known: HashMap<(ModuleKind, String), Option<Arc<ModuleInfo>>>,
    errors: Vec<ValidationError>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(modules: &'a dyn ModuleIndex, version: Version) -> Self {
        Self {
            modules,
            version,
            known: HashMap::new(),
            errors: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<ValidationError> {
        self.errors
    }

    pub(super) fn fail(&mut self, message: impl Into<String>, path: Vec<PathElement>) {
        self.errors.push(ValidationError::new(message.into(), path));
    }

    /// Checks a value against a schema that is built in.
    pub(super) fn schema(&mut self, schema: &Schema, value: &Value, path: &[PathElement]) {
        let violations = schema.violations(value);
        self.add(violations, path);
    }

    fn add(&mut self, violations: Vec<Violation>, path: &[PathElement]) {
        self.errors
            .extend(violations.into_iter().map(|violation| ValidationError {
                message: violation.message,
                path: path.iter().cloned().chain(violation.path).collect(),
                suggestions: violation.suggestions,
            }));
    }

    /// Checks the use of a module.
    pub(super) fn module(
        &mut self,
        kind: ModuleKind,
        name: &str,
        value: &Value,
        path: &[PathElement],
    ) {
        let modules = self.modules;
        let known = self
            .known
            .entry((kind, name.to_owned()))
            .or_insert_with(|| modules.module(kind, name));
        let Some(module) = known.clone() else {
            return self.unknown_module(kind, name, path);
        };
        match module.compiled_schema(self.version) {
            Ok(schema) => self.schema(schema, value, path),
            Err(error) => self.fail(error.to_string(), path.to_vec()),
        }
    }

    fn unknown_module(&mut self, kind: ModuleKind, name: &str, path: &[PathElement]) {
        let mut error = ValidationError::new(
            format!("could not find schema information for '{name}'"),
            path.to_vec(),
        );
        let known = self.modules.names(kind);
        error
            .suggestions
            .extend(suggest(name, known.iter().map(String::as_str)));
        self.errors.push(error);
    }
}
