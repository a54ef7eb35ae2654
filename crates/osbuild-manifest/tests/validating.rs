//! What is said of manifests that are wrong.

#![expect(clippy::unwrap_used, reason = "in a helper, too, it fails the test")]

use std::sync::Arc;

use osbuild_manifest::document::{Document, Position, parse};
use osbuild_manifest::module::{ModuleIndex, ModuleInfo, ModuleKind};
use osbuild_manifest::runner::Runner;
use osbuild_manifest::validate::{errors_text, errors_value, validate};

/// One module of each kind, its options a string `word` and nothing else.
struct Modules;

const NAME: &str = "org.osbuild.known";

impl ModuleIndex for Modules {
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>> {
        let options =
            r#"{"additionalProperties": false, "properties": {"word": {"type": "string"}}}"#;
        let schema = match kind {
            ModuleKind::Stage => format!(
                r#"{{"options": {options}, "devices": {{"type": "object"}}, "inputs": {{"type": "object"}}, "mounts": {{"type": "array"}}}}"#
            ),
            ModuleKind::Device => options.to_owned(),
            _ => format!(
                r#"{{"additionalProperties": true, "properties": {{"options": {options}}}}}"#
            ),
        };
        let meta = format!(
            r#"{{"summary": "", "description": [], "schema": {options}, "schema_2": {schema}}}"#
        );
        (name == NAME).then(|| Arc::new(ModuleInfo::from_meta_json(kind, name, &meta).unwrap()))
    }

    fn runner(&self, requested: &str) -> anyhow::Result<Runner> {
        anyhow::bail!("No suitable runner for {requested}")
    }

    fn names(&self, _kind: ModuleKind) -> Vec<String> {
        vec![NAME.to_owned()]
    }
}

fn errors(text: &str) -> Vec<(String, String)> {
    validate(&parse(text).unwrap(), &Modules)
        .into_iter()
        .map(|error| (error.id(), error.message))
        .collect()
}

fn stage(members: &str) -> String {
    format!(
        r#"{{"version": "2", "pipelines": [{{"name": "t", "stages": [{{"type": "org.osbuild.known", {members}}}]}}]}}"#
    )
}

#[test]
fn all_errors_are_found_sorted_by_place() {
    let text = r#"{"version": "2", "sources": {"org.osbuild.unknown": {"items": {}}, "org.osbuild.known": {}},
        "pipelines": [
            {"name": "a", "colour": 1, "stages": [{"type": "org.osbuild.knwon"}, {"options": {}}]},
            {"name": "b", "stages": [{"type": "org.osbuild.known", "options": {"wrod": "x"},
                "mounts": [{"name": "my root", "type": "org.osbuild.known", "options": {"word": 1}}]}]}]}"#;
    let expected = [
        (
            ".pipelines[0]",
            "Additional properties are not allowed ('colour' was unexpected)",
        ),
        (
            ".pipelines[0].stages[0]",
            "could not find schema information for 'org.osbuild.knwon'",
        ),
        (".pipelines[0].stages[1]", "'type' is a required property"),
        (
            ".pipelines[1].stages[0].mounts.'my root'.options.word",
            "1 is not of type 'string'",
        ),
        (
            ".pipelines[1].stages[0].options",
            "Additional properties are not allowed ('wrod' was unexpected)",
        ),
        (
            ".sources.org.osbuild.known",
            "'items' is a required property",
        ),
        (
            ".sources.org.osbuild.unknown",
            "could not find schema information for 'org.osbuild.unknown'",
        ),
    ]
    .map(|(id, message)| (id.to_owned(), message.to_owned()));
    assert_eq!(errors(text), expected);
    let suggestions: Vec<_> = validate(&parse(text).unwrap(), &Modules)
        .into_iter()
        .flat_map(|error| error.suggestions)
        .map(|suggestion| (suggestion.word, suggestion.nearest.join(" ")))
        .collect();
    let suggestion = |word: &str, nearest: &str| (word.to_owned(), nearest.to_owned());
    assert_eq!(
        suggestions,
        [
            suggestion("org.osbuild.knwon", NAME),
            suggestion("wrod", "word"),
        ]
    );
}

#[test]
fn what_upstream_dies_of_is_an_error_with_its_place() {
    for (text, id, message) in [
        (
            stage(r#""devices": 5"#),
            ".pipelines[0].stages[0].devices",
            "5 is not of type 'object'",
        ),
        (
            stage(r#""inputs": "x""#),
            ".pipelines[0].stages[0].inputs",
            "'x' is not of type 'object'",
        ),
        (
            stage(r#""mounts": 5"#),
            ".pipelines[0].stages[0].mounts",
            "5 is not of type 'array'",
        ),
        (
            stage(r#""devices": {"d": 1}"#),
            ".pipelines[0].stages[0].devices.d",
            "1 is not of type 'object'",
        ),
        (
            stage(r#""inputs": {"i": []}"#),
            ".pipelines[0].stages[0].inputs.i",
            "[] is not of type 'object'",
        ),
        (
            stage(r#""mounts": [7]"#),
            ".pipelines[0].stages[0].mounts[0]",
            "7 is not of type 'object'",
        ),
        (
            stage(r#""mounts": [{"type": "org.osbuild.known"}]"#),
            ".pipelines[0].stages[0].mounts[0]",
            "'name' is a required property",
        ),
        (
            stage(r#""devices": {"d": {"type": 1}}"#),
            ".pipelines[0].stages[0].devices.d.type",
            "1 is not of type 'string'",
        ),
        (
            stage(r#""devices": {"d": {}}"#),
            ".pipelines[0].stages[0].devices.d",
            "'type' is a required property",
        ),
        (
            r#"{"version": "2", "pipelines": [{}]}"#.to_owned(),
            ".pipelines[0]",
            "'name' is a required property",
        ),
        (
            r#"{"version": "2", "pipelines": [{"name": []}]}"#.to_owned(),
            ".pipelines[0].name",
            "[] is not of type 'string'",
        ),
        (
            r#"{"version": "2", "pipelines": {}}"#.to_owned(),
            ".pipelines",
            "{} is not of type 'array'",
        ),
        (
            r#"{"version": "2", "pipelines": [3]}"#.to_owned(),
            ".pipelines[0]",
            "3 is not of type 'object'",
        ),
        (
            r#"{"version": "2", "pipelines": [{"name": "a", "stages": [3]}]}"#.to_owned(),
            ".pipelines[0].stages[0]",
            "3 is not of type 'object'",
        ),
        (
            r#"{"version": "2", "sources": []}"#.to_owned(),
            ".sources",
            "[] is not of type 'object'",
        ),
        (
            r#"{"pipeline": {"stages": [{}]}}"#.to_owned(),
            ".pipeline.stages[0]",
            "'name' is a required property",
        ),
        (
            r#"{"pipeline": []}"#.to_owned(),
            ".pipeline",
            "[] is not of type 'object'",
        ),
        ("[]".to_owned(), ".", "[] is not of type 'object'"),
    ] {
        assert_eq!(
            errors(&text),
            [(id.to_owned(), message.to_owned())],
            "{text}"
        );
    }
}

#[test]
fn format_1_is_checked_down_to_the_innermost_build() {
    let text = r#"{"version": "1", "sources": {"org.osbuild.files": {}}, "pipeline": {"build": {"runner": "r", "pipeline":
        {"build": {"pipeline": {"stages": [{"name": "org.osbuild.known", "options": {"word": 1}}]}}}},
        "assembler": {"name": "nobody"}}}"#;
    let expected = [
        (
            ".",
            "Additional properties are not allowed ('version' was unexpected)",
        ),
        (
            ".pipeline.assembler",
            "could not find schema information for 'nobody'",
        ),
        (
            ".pipeline.build.pipeline.build",
            "'runner' is a required property",
        ),
        (
            ".pipeline.build.pipeline.build.pipeline.stages[0].options.word",
            "1 is not of type 'string'",
        ),
        (
            ".sources.org.osbuild.curl",
            "could not find schema information for 'org.osbuild.curl'",
        ),
    ]
    .map(|(id, message)| (id.to_owned(), message.to_owned()));
    assert_eq!(errors(text), expected);
}

#[test]
fn errors_are_shown_as_by_upstream() {
    let errors = validate(
        &parse(r#"{"version": "2", "b": 1, "a": 2}"#).unwrap(),
        &Modules,
    );
    assert_eq!(
        errors_value(&errors).to_python_json(),
        r#"{"type": "https://osbuild.org/validation-error", "title": "JSON Schema validation failed", "success": false, "errors": [{"message": "Additional properties are not allowed ('a', 'b' were unexpected)", "path": []}]}"#
    );
    assert_eq!(
        errors_text(&errors, "-"),
        "<stdin> has errors:\n\n.:\n  Additional properties are not allowed ('a', 'b' were unexpected)\n\n"
    );
}

fn shown(document: &Document, position: Position) -> String {
    format!(
        "{}:{} {}",
        position.line,
        position.column,
        &document.positions.text()[position.offset..][..position.length]
    )
}

#[test]
fn places_are_found_in_the_text() {
    let text = "{\n  \"é\": {\"a\": [1,\n    {\"name\": \"m\", \"x\": \"ü\"}, {\"name\": \"m\", \"x\": 2}]},\n  \"twice\": 1, \"twice\": [ 3 ]\n}\n";
    let document = parse(text).unwrap();
    let find = |path: &[&str]| {
        let path: Vec<_> = path
            .iter()
            .map(|step| {
                step.parse::<usize>().map_or_else(
                    |_| (*step).into(),
                    osbuild_manifest::document::PathElement::from,
                )
            })
            .collect();
        document
            .positions
            .locate(&path)
            .map(|position| shown(&document, position))
    };
    assert_eq!(find(&["é", "a", "0"]).as_deref(), Some("2:15 1"));
    assert_eq!(find(&["é", "a", "1", "x"]).as_deref(), Some("3:24 \"ü\""));
    // Upstream names mounts by name, and of two with one name means the last.
    assert_eq!(find(&["é", "a", "m", "x"]).as_deref(), Some("3:49 2"));
    assert_eq!(find(&["twice"]).as_deref(), Some("4:24 [ 3 ]"));
    assert_eq!(find(&["twice", "0"]).as_deref(), Some("4:26 3"));
    assert_eq!(find(&["gone"]), None);
    let key = document.positions.locate_key(&["twice".into()]).unwrap();
    assert_eq!(shown(&document, key), "4:15 \"twice\"");
    let nearest = document
        .positions
        .locate_nearest(&["twice".into(), 7_usize.into()])
        .unwrap();
    assert_eq!(shown(&document, nearest), "4:24 [ 3 ]");
}

#[test]
fn syntax_errors_name_line_and_column() {
    for (text, expected) in [
        ("", "line 1, column 1: expected a value"),
        (
            "{\n  \"a\": 1,\n}",
            "line 3, column 1: expected another item after the comma",
        ),
        ("{\"a\" 1}", "line 1, column 6: expected `:` after the key"),
        (
            "{a: 1}",
            "line 1, column 2: expected a key in double quotes",
        ),
        ("[1 2]", "line 1, column 4: expected `,` or `]`"),
        ("{\"ä\": 1 \"b\"}", "line 1, column 9: expected `,` or `}`"),
        (
            "[\n\"abc]\n",
            "line 2, column 6: control characters in strings must be escaped",
        ),
        ("[\"abc]", "line 1, column 2: this string does not end"),
        ("[\"a\\x\"]", "line 1, column 4: unknown escape in a string"),
        (
            "[\"\\u12\"]",
            "line 1, column 3: `\\u` needs four hexadecimal digits",
        ),
        ("[1] x", "line 1, column 5: expected the end of the text"),
        (
            "\u{feff}{}",
            "line 1, column 1: the text begins with a byte order mark",
        ),
        ("[01]", "line 1, column 3: expected `,` or `]`"),
        ("[-]", "line 1, column 2: expected a value"),
        ("[tru]", "line 1, column 2: expected a value"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
    let deep = "[".repeat(501);
    assert_eq!(
        parse(&deep).unwrap_err().to_string(),
        "line 1, column 501: lists and maps are nested deeper than 500 levels"
    );
}
