//! Reading the arguments document, which may be nested as deeply as a manifest.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// What a manifest may have, and the levels that the engine puts around a stage's options, with room to spare.
const DEPTH_MAX: usize = 600;

/// Parses the document; deeper nesting than a manifest may have is an error, not the end of the stack.
pub(crate) fn parse(text: &str) -> Result<Value> {
    ensure!(
        depth(text) <= DEPTH_MAX,
        "nested deeper than {DEPTH_MAX} levels"
    );
    let mut decoder = serde_json::Deserializer::from_str(text);
    // Its own limit, 128 levels, is lower than that of manifests.
    decoder.disable_recursion_limit();
    let value = Value::deserialize(&mut decoder)?;
    decoder.end()?;
    Ok(value)
}

/// How deep the brackets of a JSON text go; those in strings do not count.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_in_string, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn options_may_be_as_deep_as_a_manifest() {
        for levels in [1, 128, 500, DEPTH_MAX] {
            let value = parse(&nested(levels)).unwrap();
            assert_eq!(value.to_string(), nested(levels));
        }
    }

    #[test]
    fn what_is_deeper_is_refused() {
        for levels in [DEPTH_MAX + 1, 1_000_000] {
            let error = parse(&nested(levels)).unwrap_err();
            assert_eq!(error.to_string(), "nested deeper than 600 levels");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let text = format!(r#"["\"{}", "\\"]"#, "[".repeat(1000));
        assert_eq!(depth(&text), 1);
        parse(&text).unwrap();
    }

    #[test]
    fn anything_after_the_document_is_an_error() {
        parse("{} x").unwrap_err();
    }
}
