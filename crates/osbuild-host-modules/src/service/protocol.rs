//! The texts of calls and answers (upstream: `ServiceProtocol` of `host.py`).

use anyhow::{Context as _, Result, bail, ensure};
use osbuild_manifest::value::Value;
use serde_json::json;

/// What upstream calls an error about the texts themselves.
const PROTOCOL_ERROR: &str = "ProtocolError";
/// What a failure is called that has no name of its own.
const FAILURE: &str = "RuntimeError";

/// A call of a method.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) arguments: serde_json::Value,
}

/// Why a call was not carried out.
#[derive(Debug)]
pub(super) enum CallError {
    /// It is no call, or none that the module knows.
    Protocol(anyhow::Error),
    /// The module could not do it.
    Failed(anyhow::Error),
}

/// Reads a call.
pub(super) fn call(text: &[u8]) -> Result<Call, CallError> {
    read_call(text).map_err(CallError::Protocol)
}

fn read_call(text: &[u8]) -> Result<Call> {
    let text = std::str::from_utf8(text).context("the message is not UTF-8")?;
    let message = Value::from_json(text)
        .map_err(|error| anyhow::anyhow!("the message is not JSON: {error}"))?;
    ensure!(message.is_truthy(), "message empty");
    let member = |name: &str| {
        let value = message.get(name).filter(|value| value.is_truthy());
        value.with_context(|| format!("'{name}' field missing"))
    };
    let kind = member("type")?;
    let data = member("data")?;
    if kind.as_str() != Some("method") {
        bail!("unknown message type: {}", kind.to_python_repr());
    }
    let method = data
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .context("'name' field missing")?;
    Ok(Call {
        method: method.to_owned(),
        arguments: data.get("args").map_or_else(|| json!([]), Value::to_serde),
    })
}

/// Writes the answer to a call.
pub(super) fn answer(result: Result<serde_json::Value, CallError>) -> String {
    let (name, error) = match result {
        Ok(reply) => return json!({"type": "reply", "data": {"reply": reply}}).to_string(),
        Err(CallError::Protocol(error)) => (PROTOCOL_ERROR, error),
        Err(CallError::Failed(error)) => (FAILURE, error),
    };
    let value = format!("{error:#}");
    json!({"type": "exception", "data": {"name": name, "value": value, "backtrace": ""}})
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_method_and_arguments() {
        let text = br#"{"type": "method", "data": {"name": "map", "args": {"target": "/x"}}}"#;
        let expected = Call {
            method: "map".to_owned(),
            arguments: json!({"target": "/x"}),
        };
        assert_eq!(call(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_call_is_answered_with_a_protocol_error() {
        for (text, reason) in [
            (&b"{}"[..], "message empty"),
            (
                b"\xff",
                "the message is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0",
            ),
            (b"{\"data\": 1}", "'type' field missing"),
            (
                b"{\"type\": \"method\", \"data\": {}}",
                "'data' field missing",
            ),
            (
                b"{\"type\": \"reply\", \"data\": {\"reply\": 1}}",
                "unknown message type: 'reply'",
            ),
            (
                b"{\"type\": \"method\", \"data\": {\"args\": []}}",
                "'name' field missing",
            ),
        ] {
            let answer = answer(call(text).map(|_| serde_json::Value::Null));
            let expected = json!({
                "type": "exception",
                "data": {"name": "ProtocolError", "value": reason, "backtrace": ""}
            });
            assert_eq!(answer, expected.to_string());
        }
    }

    #[test]
    fn a_reply_may_be_null() {
        assert_eq!(
            answer(Ok(serde_json::Value::Null)),
            r#"{"type":"reply","data":{"reply":null}}"#
        );
    }
}
