//! The messages between this program and a foreign module on the host (upstream: `host.ServiceProtocol`).

use anyhow::{Result, anyhow, bail};
use osbuild_manifest::value::{Text, Value};

use crate::stage_arguments::object;

/// What a module said in answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The result.
    Reply(Value),
    /// News on the way; the result is still to come.
    Signal,
    /// It could not do what it was asked.
    Exception {
        /// The type and what it says, `ValueError: no such file`.
        message: String,
        /// Where it happened, in Python's form.
        backtrace: String,
    },
}

/// Writes a call.
pub(crate) fn method(name: &str, arguments: Value) -> String {
    let data = object([("name", name.into()), ("args", arguments)]);
    let message = object([("type", "method".into()), ("data", data.into())]);
    Value::Object(message).to_python_json()
}

/// Reads an answer.
pub(crate) fn answer(text: &[u8]) -> Result<Answer> {
    let message = parse(text)?;
    let member = |name: &str| {
        message
            .get(name)
            .filter(|value| value.is_truthy())
            .ok_or_else(|| anyhow!("its answer has no `{name}`"))
    };
    let kind = member("type")?;
    let data = member("data")?;
    match kind.as_str() {
        Some("reply") => match data.get("reply") {
            Some(reply) => Ok(Answer::Reply(reply.clone())),
            None => bail!("its answer has no `reply`"),
        },
        Some("signal") => Ok(Answer::Signal),
        Some("exception") => Ok(exception(data)),
        _ => bail!(
            "its answer is of the unknown type {}",
            kind.to_python_repr()
        ),
    }
}

fn exception(data: &Value) -> Answer {
    let text = |name: &str| data.get(name).map(text_of).unwrap_or_default();
    Answer::Exception {
        message: format!("{}: {}", text("name"), text("value")),
        backtrace: text("backtrace"),
    }
}

fn text_of(value: &Value) -> String {
    value
        .as_text()
        .map_or_else(|| value.to_python_repr(), Text::to_string)
}

/// Reads the JSON of a packet.
pub(crate) fn parse(text: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(text).map_err(|_| anyhow!("what it sent is not UTF-8"))?;
    Value::from_json(text).map_err(|error| anyhow!("what it sent is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_written_as_upstream_writes_it() {
        let arguments = Value::from_json(r#"{"tree": "/t", "parent": null}"#).unwrap();
        assert_eq!(
            method("open", arguments),
            r#"{"type": "method", "data": {"name": "open", "args": {"tree": "/t", "parent": null}}}"#
        );
    }

    #[test]
    fn answers_are_told_apart() {
        let read = |text: &str| answer(text.as_bytes()).unwrap();
        assert_eq!(
            read(r#"{"type": "reply", "data": {"reply": null}}"#),
            Answer::Reply(Value::Null)
        );
        assert_eq!(
            read(r#"{"type": "signal", "data": {"reply": 1}}"#),
            Answer::Signal
        );
        assert_eq!(
            read(
                r#"{"type": "exception", "data": {"name": "KeyError", "value": "'x'", "backtrace": "  File"}}"#
            ),
            Answer::Exception {
                message: "KeyError: 'x'".to_owned(),
                backtrace: "  File".to_owned()
            }
        );
    }

    #[test]
    fn garbage_is_told_for_what_it_is() {
        for (text, expected) in [
            (&b"\xff\xfe"[..], "what it sent is not UTF-8"),
            (
                b"hello",
                "what it sent is not JSON: line 1, column 1: expected a value",
            ),
            (b"[]", "its answer has no `type`"),
            (br#"{"type": "reply"}"#, "its answer has no `data`"),
            (
                br#"{"type": "reply", "data": {}}"#,
                "its answer has no `data`",
            ),
            (
                br#"{"type": "reply", "data": {"x": 1}}"#,
                "its answer has no `reply`",
            ),
            (
                br#"{"type": "other", "data": 1}"#,
                "its answer is of the unknown type 'other'",
            ),
        ] {
            assert_eq!(answer(text).unwrap_err().to_string(), expected);
        }
    }
}
