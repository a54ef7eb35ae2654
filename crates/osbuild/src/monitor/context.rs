//! What a record of `JSONSeqMonitor` is about.

use std::collections::BTreeSet;

use osbuild_manifest::identifier::value_id;
use osbuild_manifest::value::{Object, Value};

use super::json_record::{nullable, without_empty};

/// A pipeline, source or stage, by name and id; a pipeline without stages has no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) id: Option<String>,
}

/// Who speaks, and of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) pipeline: Option<Subject>,
    pub(super) stage: Option<Subject>,
}

/// The contexts that the reader has been told of.
#[derive(Debug, Default)]
pub(super) struct ContextHistory {
    known: BTreeSet<String>,
}

impl ContextHistory {
    /// Gives a context in full the first time, later only its id.
    pub(super) fn tell(&mut self, origin: &str, context: &Context) -> Object {
        let full = describe(origin, context);
        // The id covers all of it, with what is left out below.
        let id = value_id(&Value::Object(full.clone()));
        let mut told = if self.known.insert(id.clone()) {
            without_empty(full)
        } else {
            Object::new()
        };
        told.insert("id", Value::from(id));
        told
    }
}

fn describe(origin: &str, context: &Context) -> Object {
    let stage: Object = subject(context.stage.as_ref()).into_iter().collect();
    let mut pipeline: Object = subject(context.pipeline.as_ref()).into_iter().collect();
    pipeline.insert("stage", Value::Object(stage));
    [
        ("origin", Value::from(origin)),
        ("pipeline", Value::Object(pipeline)),
    ]
    .into_iter()
    .collect()
}

fn subject(subject: Option<&Subject>) -> [(&'static str, Value); 2] {
    let name = subject.map(|subject| subject.name.as_str());
    let id = subject.and_then(|subject| subject.id.as_deref());
    [("name", nullable(name)), ("id", nullable(id))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(object: Object) -> String {
        Value::Object(object).to_python_json()
    }

    /// The ids are those that upstream gives to the same contexts.
    #[test]
    fn a_context_is_told_in_full_once() {
        let mut history = ContextHistory::default();
        let nothing = Context::default();
        let of_nothing = "504d0d9ce9a1fa53e4b51fce32dea1775dba782e1bc84ef9e4fabc9cc5b9bd7e";
        assert_eq!(
            json(history.tell("org.osbuild", &nothing)),
            format!(
                r#"{{"origin": "org.osbuild", "pipeline": {{"stage": {{}}}}, "id": "{of_nothing}"}}"#
            )
        );
        assert_eq!(
            json(history.tell("org.osbuild", &nothing)),
            format!(r#"{{"id": "{of_nothing}"}}"#)
        );
        let id = "d88d7d863ca10ef64fe7e857dc69c889bf7bf3c75f674031c410d33324d35a8e";
        let pipeline = Subject {
            name: "tree".to_owned(),
            id: Some(id.to_owned()),
        };
        let context = Context {
            pipeline: Some(pipeline),
            stage: None,
        };
        assert_eq!(
            json(history.tell("osbuild.monitor", &context)),
            format!(
                r#"{{"origin": "osbuild.monitor", "pipeline": {{"name": "tree", "id": "{id}", "stage": {{}}}}, "id": "98856476f6428fe60db36a8f98b282cabea7f8fe31f29d2ff57a957eff8f0012"}}"#
            )
        );
    }
}
