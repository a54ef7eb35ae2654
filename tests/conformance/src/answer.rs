//! What two programs must agree on.

use serde_json::Value;

use crate::programs::Ran;

/// Compares what two programs said about a document; none means that they agree.
///
/// Error lists are compared as sets: their order follows the order of a hash table in upstream.
pub fn difference(upstream: &Ran, ours: &Ran) -> Option<String> {
    if upstream.code != ours.code {
        return Some(format!(
            "exit code {} is {} here; upstream: {}{} here: {}{}",
            upstream.code,
            ours.code,
            end(&upstream.stdout),
            end(&upstream.stderr),
            end(&ours.stdout),
            end(&ours.stderr)
        ));
    }
    match (document(&upstream.stdout), document(&ours.stdout)) {
        (Some(upstream), Some(ours)) => {
            errors_difference(&upstream, &ours).or_else(|| first_difference("", &upstream, &ours))
        }
        (None, None) => (upstream.stdout != ours.stdout).then(|| {
            format!(
                "the output `{}` is `{}` here",
                end(&upstream.stdout),
                end(&ours.stdout)
            )
        }),
        _ => Some(format!(
            "one is JSON, the other not: `{}` is `{}` here",
            end(&upstream.stdout),
            end(&ours.stdout)
        )),
    }
}

/// The errors that only one of the programs has.
fn errors_difference(upstream: &Value, ours: &Value) -> Option<String> {
    let (upstream, ours) = (errors(upstream), errors(ours));
    let only = |these: &[Value], those: &[Value]| -> Vec<String> {
        let missing = these.iter().filter(|error| !those.contains(error));
        missing.map(Value::to_string).collect()
    };
    let (missing, extra) = (only(&upstream, &ours), only(&ours, &upstream));
    (!missing.is_empty() || !extra.is_empty()).then(|| {
        format!(
            "missing here: {}; here only: {}",
            missing.join(", "),
            extra.join(", ")
        )
    })
}

/// The errors of an answer; none if it has no such list.
pub fn errors(document: &Value) -> Vec<Value> {
    document["errors"].as_array().cloned().unwrap_or_default()
}

/// Takes errors that are ours on purpose out of our answer; tells whether there were any.
///
/// An answer without any error left is as if the document had been accepted.
pub fn forgive(ours: &mut Ran, is_ours: impl Fn(&Value) -> bool) -> bool {
    let Some(mut document) = document(&ours.stdout) else {
        return false;
    };
    let Some(errors) = document.get_mut("errors").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = errors.len();
    errors.retain(|error| !is_ours(error));
    let (is_forgiven, is_accepted) = (errors.len() < before, errors.is_empty());
    if is_forgiven {
        ours.stdout = document.to_string();
        if is_accepted {
            ours.code = 0;
        }
    }
    is_forgiven
}

/// Whether upstream did not answer but died of an error of its own.
pub fn is_crash(ran: &Ran) -> bool {
    ran.stderr.contains("Traceback (most recent call last)")
}

fn end(text: &str) -> &str {
    let text = text.trim_end();
    let start = text.len().saturating_sub(300);
    let start = (start..text.len())
        .find(|&index| text.is_char_boundary(index))
        .unwrap_or(text.len());
    &text[start..]
}

fn document(text: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if let Some(errors) = value.get_mut("errors").and_then(Value::as_array_mut) {
        errors.sort_by_cached_key(Value::to_string);
        errors.dedup();
    }
    Some(value)
}

/// Where two documents differ first.
pub fn first_difference(place: &str, upstream: &Value, ours: &Value) -> Option<String> {
    match (upstream, ours) {
        (Value::Object(upstream), Value::Object(ours)) => {
            for (key, value) in upstream {
                let place = format!("{place}/{key}");
                match ours.get(key) {
                    None => return Some(format!("{place}: {value} is missing here")),
                    Some(other) => {
                        if let Some(found) = first_difference(&place, value, other) {
                            return Some(found);
                        }
                    }
                }
            }
            ours.iter()
                .find(|(key, _)| !upstream.contains_key(*key))
                .map(|(key, value)| format!("{place}/{key}: {value} is here only"))
        }
        (Value::Array(upstream), Value::Array(ours)) => {
            let found =
                upstream
                    .iter()
                    .zip(ours)
                    .enumerate()
                    .find_map(|(index, (upstream, ours))| {
                        first_difference(&format!("{place}/{index}"), upstream, ours)
                    });
            found.or_else(|| {
                (upstream.len() != ours.len())
                    .then(|| format!("{place}: {} items are {} here", upstream.len(), ours.len()))
            })
        }
        _ => (upstream != ours).then(|| format!("{place}: {upstream} is {ours} here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(code: i32, stdout: &str) -> Ran {
        Ran {
            code,
            stdout: stdout.to_owned(),
            stderr: String::new(),
        }
    }

    #[test]
    fn differences_are_found_and_named() {
        let refusal = |list: &str| ran(2, &format!("{{\"errors\": [{list}]}}"));
        let (one, two) = (r#"{"path": [1]}"#, r#"{"path": [2]}"#);
        for (upstream, ours, expected) in [
            (
                ran(0, "{\"a\": 1}"),
                ran(0, "{\"a\": 1.0}"),
                Some("/a: 1 is 1.0 here"),
            ),
            (ran(0, "{\"a\": [1]}"), ran(0, "{\"a\": [1]}\n"), None),
            (ran(0, "[]"), ran(0, "[1]"), Some(": 0 items are 1 here")),
            (
                ran(0, "{}"),
                ran(0, "{\"b\": null}"),
                Some("/b: null is here only"),
            ),
            (
                refusal(&format!("{one}, {two}")),
                refusal(&format!("{two}, {one}")),
                None,
            ),
            (
                refusal(one),
                refusal(two),
                Some(r#"missing here: {"path":[1]}; here only: {"path":[2]}"#),
            ),
            (
                ran(2, "no"),
                ran(2, "yes"),
                Some("the output `no` is `yes` here"),
            ),
        ] {
            assert_eq!(difference(&upstream, &ours).as_deref(), expected);
        }
        let codes = difference(&ran(1, ""), &ran(2, "")).unwrap();
        assert!(codes.starts_with("exit code 1 is 2 here"), "{codes}");
    }
}
