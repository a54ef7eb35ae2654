//! Text to value.

use crate::document::SyntaxError;
use crate::value::{Object, Value};

use super::Scanner;

/// Reads JSON text as Python's `json.loads` does: a duplicate key keeps its first place and its last value.
pub(crate) fn parse(text: &str) -> Result<Value, SyntaxError> {
    let mut scanner = Scanner::new(text);
    if text.starts_with('\u{feff}') {
        return scanner.error("the text begins with a byte order mark");
    }
    scanner.skip_space();
    let value = value(&mut scanner)?;
    scanner.skip_space();
    if scanner.peek().is_some() {
        return scanner.error("expected the end of the text");
    }
    Ok(value)
}

fn value(scanner: &mut Scanner<'_>) -> Result<Value, SyntaxError> {
    match scanner.peek() {
        Some(b'"') => scanner.string().map(Value::String),
        Some(b'[') => array(scanner),
        Some(b'{') => object(scanner),
        _ => scanner.scalar(),
    }
}

fn array(scanner: &mut Scanner<'_>) -> Result<Value, SyntaxError> {
    let mut items = Vec::new();
    scanner.enter()?;
    let mut more = scanner.has_first(b']');
    while more {
        items.push(value(scanner)?);
        more = scanner.has_next(b']')?;
    }
    scanner.leave();
    Ok(Value::Array(items))
}

fn object(scanner: &mut Scanner<'_>) -> Result<Value, SyntaxError> {
    let mut object = Object::new();
    scanner.enter()?;
    let mut more = scanner.has_first(b'}');
    while more {
        let key = scanner.key()?;
        object.insert(key, value(scanner)?);
        more = scanner.has_next(b'}')?;
    }
    scanner.leave();
    Ok(Value::Object(object))
}
