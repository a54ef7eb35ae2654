//! Every keyword of draft 4, in the words of python-jsonschema.
//!
//! `data/draft4.json` holds schemas, values, and what `Draft4Validator` of jsonschema 4.26 says of them.

use std::collections::BTreeSet;

use osbuild_manifest::document::path_value;
use osbuild_manifest::schema::Schema;
use osbuild_manifest::value::{Object, Value};

#[test]
fn keywords_are_judged_as_by_jsonschema() {
    let cases = Value::from_json(include_str!("data/draft4.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let schema = Schema::compile(case.get("schema").unwrap()).unwrap();
        let value = case.get("value").unwrap();
        let errors = case.get("errors").and_then(Value::as_array).unwrap();
        let expected: BTreeSet<String> = errors.iter().map(Value::to_python_json).collect();
        let found: BTreeSet<String> = schema
            .violations(value)
            .iter()
            .map(|one| vec![path_value(&one.path), Value::from(one.message.as_str())])
            .map(|listed| Value::from(listed).to_python_json())
            .collect();
        assert_eq!(found, expected, "{}", case.to_python_json());
        assert_eq!(
            schema.allows(value),
            errors.is_empty(),
            "{}",
            case.to_python_json()
        );
    }
}

#[test]
fn malformed_schemas_are_refused_with_their_place() {
    for (schema, expected) in [
        ("[]", "schema at #: [] is not an object"),
        (
            r#"{"type": "text"}"#,
            "schema at #/type: 'text' is not a type of JSON",
        ),
        (
            r#"{"properties": {"a": {"minItems": -1}}}"#,
            "schema at #/properties/a/minItems: -1 is not a count",
        ),
        (
            r#"{"required": "a"}"#,
            "schema at #/required: 'a' is not a list",
        ),
        (
            r#"{"oneOf": [{}, 1]}"#,
            "schema at #/oneOf/1: 1 is not an object",
        ),
        (
            r##"{"$ref": "#"}"##,
            "the schema refers to itself without end",
        ),
        (
            r##"{"definitions": {"a": {"allOf": [{"$ref": "#/definitions/b"}]}, "b": {"not": {"$ref": "#/definitions/a"}}}, "$ref": "#/definitions/a"}"##,
            "the schema refers to itself without end",
        ),
    ] {
        let error = Schema::compile(&Value::from_json(schema).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{schema}");
    }
}

#[test]
fn a_reference_to_nowhere_is_reported_where_it_is_met() {
    let schema =
        Value::from_json(r##"{"properties": {"a": {"$ref": "#/definitions/gone"}}}"##).unwrap();
    let schema = Schema::compile(&schema).unwrap();
    assert!(schema.allows(&Value::from(Object::new())));
    let violations = schema.violations(&Value::from_json(r#"{"a": 1}"#).unwrap());
    let [violation] = violations.as_slice() else {
        panic!("{violations:?}")
    };
    assert_eq!(
        violation.message,
        "the schema refers to '#/definitions/gone', which it does not have"
    );
    assert_eq!(violation.path, ["a".into()]);
}

#[test]
fn unknown_words_come_with_known_ones_like_them() {
    let schema = Value::from_json(
        r#"{"additionalProperties": false, "properties": {"filename": {}, "format": {"enum": ["tar", "qcow2"]}}}"#,
    );
    let schema = Schema::compile(&schema.unwrap()).unwrap();
    let suggested = |text: &str| {
        let violations = schema.violations(&Value::from_json(text).unwrap());
        violations
            .into_iter()
            .flat_map(|one| one.suggestions)
            .map(|one| (one.word, one.nearest))
            .collect::<Vec<_>>()
    };
    let expect = |word: &str, nearest: &str| vec![(word.to_owned(), vec![nearest.to_owned()])];
    assert_eq!(
        suggested(r#"{"fielname": 1}"#),
        expect("fielname", "filename")
    );
    assert_eq!(suggested(r#"{"format": "qcow"}"#), expect("qcow", "qcow2"));
    assert_eq!(suggested(r#"{"colour": 1}"#), vec![]);
}

/// As deep as the reader lets a value be, on the stack of a test thread.
#[test]
fn the_deepest_value_is_judged_without_running_out_of_stack() {
    let schema = r##"{"definitions": {"n": {"oneOf": [{"items": {"$ref": "#/definitions/n"}, "type": "array"}, {"type": "null"}]}}, "$ref": "#/definitions/n"}"##;
    let schema = Schema::compile(&Value::from_json(schema).unwrap()).unwrap();
    let depth = osbuild_manifest::json::MAXIMUM_DEPTH;
    let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let value = Value::from_json(&text).unwrap();
    assert!(schema.allows(&value));
    assert_eq!(value.to_python_json(), text);
    assert!(Value::from_json(&format!("[{text}]")).is_err());
    assert!(Value::from_json(&"[".repeat(1_000_000)).is_err());
    assert!(Value::from_json(&"{\"a\":".repeat(1_000_000)).is_err());
}
