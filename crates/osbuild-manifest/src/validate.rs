//! Checks a manifest against the schema of its format and those of all modules in it.

use std::collections::HashSet;

use crate::document::{Document, PathElement, path_id, path_value};
use crate::manifest::Version;
use crate::module::ModuleIndex;
use crate::suggestion::Suggestion;
use crate::value::{Object, Value};

/// The schema of manifests of format 1.
pub const MANIFEST_SCHEMA_1: &str = include_str!("../schemas/osbuild1.json");
/// The schema of manifests of format 2.
pub const MANIFEST_SCHEMA_2: &str = include_str!("../schemas/osbuild2.json");

/// Gives everything that is wrong with a manifest, sorted by place; nothing if it is valid.
pub fn validate(
    manifest: &(impl AsRef<Value> + ?Sized),
    modules: &dyn ModuleIndex,
) -> Vec<ValidationError> {
    let manifest = manifest.as_ref();
    let errors = match Version::detect(manifest) {
        Some(Version::One) => crate::formats::version_1::validate(manifest, modules),
        Some(Version::Two) => crate::formats::version_2::validate(manifest, modules),
        None if manifest.as_object().is_none() => {
            vec![ValidationError::new(
                format!("{} is not of type 'object'", manifest.to_python_repr()),
                Vec::new(),
            )]
        }
        None => vec![ValidationError::new(
            "unsupported manifest format".to_owned(),
            vec!["version".into()],
        )],
    };
    sorted_and_unique(errors)
}

/// Upstream keeps errors as a set of (id, message), sorted by id.
fn sorted_and_unique(errors: Vec<ValidationError>) -> Vec<ValidationError> {
    let mut seen = HashSet::new();
    let mut unique: Vec<(String, ValidationError)> = errors
        .into_iter()
        .map(|error| (error.id(), error))
        .filter(|(id, error)| seen.insert((id.clone(), error.message.clone())))
        .collect();
    unique.sort_by(|(left, _), (right, _)| left.cmp(right));
    unique.into_iter().map(|(_, error)| error).collect()
}

impl AsRef<Value> for Value {
    fn as_ref(&self) -> &Value {
        self
    }
}

impl AsRef<Value> for Document {
    fn as_ref(&self) -> &Value {
        &self.value
    }
}

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    /// What is wrong, in upstream's words.
    pub message: String,
    /// Where.
    pub path: Vec<PathElement>,
    /// What may have been meant, for words that are unknown here.
    pub suggestions: Vec<Suggestion>,
}

impl ValidationError {
    pub(crate) fn new(message: String, path: Vec<PathElement>) -> Self {
        Self {
            message,
            path,
            suggestions: Vec::new(),
        }
    }

    /// Gives the path as text, see [`path_id`].
    pub fn id(&self) -> String {
        path_id(&self.path)
    }
}

/// Gives the errors as the JSON document that upstream prints.
pub fn errors_value(errors: &[ValidationError]) -> Value {
    let errors: Vec<Value> = errors
        .iter()
        .map(|error| {
            let mut object = Object::new();
            object.insert("message", Value::from(error.message.as_str()));
            object.insert("path", path_value(&error.path));
            Value::Object(object)
        })
        .collect();
    let mut document = Object::new();
    document.insert("type", Value::from("https://osbuild.org/validation-error"));
    document.insert("title", Value::from("JSON Schema validation failed"));
    document.insert("success", Value::from(false));
    document.insert("errors", Value::from(errors));
    Value::Object(document)
}

/// Gives the errors as the text that upstream prints, without colour; `name` is the manifest as the user named it.
pub fn errors_text(errors: &[ValidationError], name: &str) -> String {
    let name = if name == "-" { "<stdin>" } else { name };
    let listed = |text: String, error: &ValidationError| {
        text + &error.id() + ":\n  " + &error.message + "\n\n"
    };
    errors
        .iter()
        .fold(format!("{name} has errors:\n\n"), listed)
}
