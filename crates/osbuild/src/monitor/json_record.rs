//! One record of `JSONSeqMonitor`.

use std::time::{SystemTime, UNIX_EPOCH};

use osbuild_manifest::value::{Object, Text, Value};

/// What a record can hold, in the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) message: Value,
    pub(super) result: Value,
    pub(super) context: Object,
    pub(super) progress: Object,
    pub(super) options: Value,
    /// Seconds.
    pub(super) duration: Option<f64>,
    pub(super) metadata: Value,
}

impl Record {
    /// Gives the record as it is written: RFC 7464, the separator first.
    pub(super) fn into_text(self, timestamp: f64) -> String {
        let if_any = |value: Value| {
            if value.is_truthy() {
                value
            } else {
                Value::Null
            }
        };
        let entries = [
            ("message", self.message),
            ("result", self.result),
            ("context", Value::Object(self.context)),
            ("progress", Value::Object(self.progress)),
            ("options", if_any(self.options)),
            ("timestamp", Value::from(timestamp)),
            ("duration", self.duration.map_or(Value::Null, Value::from)),
            ("metadata", if_any(self.metadata)),
        ];
        let record = without_empty(entries.into_iter().collect());
        format!("\x1e{}\n", Value::Object(record).to_python_json())
    }
}

/// Gives the time of now as records have it.
pub(super) fn timestamp() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Gives the text, or JSON's null.
pub(super) fn nullable(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

/// Leaves out nulls and empty strings, at every depth of objects; not inside lists, as upstream's `omitempty`.
pub(super) fn without_empty(object: Object) -> Object {
    object
        .into_iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| match value {
            Value::Object(inner) => (key, Value::Object(without_empty(inner))),
            other => (key, other),
        })
        .collect()
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_text().is_some_and(Text::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_left_out_but_not_of_lists() {
        let value = Value::from_json(
            r#"{"a": "", "b": null, "c": {"d": "", "e": {"f": null}}, "g": [{"h": ""}, null], "i": {}, "j": 0}"#,
        )
        .unwrap();
        let object = value.as_object().unwrap().clone();
        assert_eq!(
            Value::Object(without_empty(object)).to_python_json(),
            r#"{"c": {"e": {}}, "g": [{"h": ""}, null], "i": {}, "j": 0}"#
        );
    }

    #[test]
    fn a_record_begins_with_its_separator_and_is_ascii() {
        let record = Record {
            message: Value::from("grün\n"),
            options: Value::Object(Object::new()),
            duration: Some(0.25),
            ..Record::default()
        };
        assert_eq!(
            record.into_text(1.5),
            "\x1e{\"message\": \"gr\\u00fcn\\n\", \"context\": {}, \"progress\": {}, \"timestamp\": 1.5, \"duration\": 0.25}\n"
        );
    }
}
