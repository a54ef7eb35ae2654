//! Manifests and recipes that are wrong: told with line, column and caret, before anything is touched.

use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

/// A manifest with one stage, on its line 5.
fn with_stage(stage: &str) -> String {
    format!(
        "{{\n  \"version\": \"2\",\n  \"pipelines\": [\n    {{\"name\": \"tree\", \"stages\": [\n      {stage}\n    ]}}\n  ]\n}}\n"
    )
}

#[track_caller]
fn assert_refused(file: &str, content: &str, message: &str) {
    let workplace = Workplace::new();
    workplace.write(file, content);
    let ran = workplace.build(file);
    assert_eq!(ran.stderr, message);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    let made = ["store", "out"].map(|name| workplace.path(name).exists());
    assert_eq!(made, [false, false], "what is wrong is told first");
}

#[test]
fn an_unknown_stage_is_told_with_the_nearest() {
    assert_refused(
        "image.json",
        &with_stage(r#"{"type": "org.osbuild.hostnam", "options": {"hostname": "x"}}"#),
        r#"error: .pipelines[0].stages[0]: could not find schema information for 'org.osbuild.hostnam'
 --> image.json:5:16
  |
5 |       {"type": "org.osbuild.hostnam", "options": {"hostname": "x"}}
  |                ^^^^^^^^^^^^^^^^^^^^^
  help: `org.osbuild.hostnam` is not known; did you mean `org.osbuild.hostname`?
"#,
    );
}

#[test]
fn a_stage_like_no_other_is_told_to_be_none_of_ours() {
    assert_refused(
        "image.json",
        &with_stage(r#"{"type": "com.example.bake"}"#),
        r#"error: .pipelines[0].stages[0]: could not find schema information for 'com.example.bake'
 --> image.json:5:16
  |
5 |       {"type": "com.example.bake"}
  |                ^^^^^^^^^^^^^^^^^^
  help: no module with a name like that is built in
"#,
    );
}

#[test]
fn an_unknown_option_is_told_with_the_nearest_and_so_is_the_missing_one() {
    assert_refused(
        "image.json",
        &with_stage(r#"{"type": "org.osbuild.hostname", "options": {"hostnme": "x"}}"#),
        r#"error: .pipelines[0].stages[0].options: Additional properties are not allowed ('hostnme' was unexpected)
 --> image.json:5:52
  |
5 |       {"type": "org.osbuild.hostname", "options": {"hostnme": "x"}}
  |                                                    ^^^^^^^^^
  help: `hostnme` is not known; did you mean `hostname`?
error: .pipelines[0].stages[0].options: 'hostname' is a required property
 --> image.json:5:51
  |
5 |       {"type": "org.osbuild.hostname", "options": {"hostnme": "x"}}
  |                                                   ^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_value_of_the_wrong_type_is_pointed_at() {
    assert_refused(
        "image.json",
        &with_stage(r#"{"type": "org.osbuild.hostname", "options": {"hostname": 5}}"#),
        r#"error: .pipelines[0].stages[0].options.hostname: 5 is not of type 'string'
 --> image.json:5:64
  |
5 |       {"type": "org.osbuild.hostname", "options": {"hostname": 5}}
  |                                                                ^
"#,
    );
}

#[test]
fn what_is_not_json_is_pointed_at() {
    assert_refused(
        "image.json",
        "{\n  \"version\": \"2\",\n  \"pipelines\" []\n}\n",
        r#"error: `image.json` is not JSON: expected `:` after the key
 --> image.json:3:15
  |
3 |   "pipelines" []
  |               ^
"#,
    );
}

#[test]
fn what_is_not_yaml_is_pointed_at() {
    assert_refused(
        "image.yaml",
        "distribution: debian\nrelease: bookworm\npackages:\n  include: [a, b\nusers: []\n",
        r"error: not valid YAML: a `:` stands where no key can be
 --> image.yaml:5:6
  |
5 | users: []
  |      ^
  help: close the bracket that is open here, or put a text with `: ` in it in quotes
",
    );
}

#[test]
fn a_mistake_in_a_manifest_of_50_megabytes_is_found() {
    let workplace = Workplace::new();
    let mut items = serde_json::Map::new();
    for number in 0..8_u32 {
        let data = "A".repeat(50_000_000 / 8);
        items.insert(
            format!("sha256:{number:064x}"),
            json!({"encoding": "base64", "data": data}),
        );
    }
    items.insert(format!("sha256:{:064x}", 9), json!({"encoding": "base64"}));
    let manifest = json!({
        "version": "2",
        "sources": {"org.osbuild.inline": {"items": items}},
        "pipelines": [],
    });
    workplace.write("image.json", manifest.to_string());
    let ran = workplace.run(workplace.command(&["--inspect", "image.json"]));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let errors: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        errors["errors"],
        json!([{
            "message": "'data' is a required property",
            "path": ["sources", "org.osbuild.inline", "items", format!("sha256:{:064x}", 9)],
        }])
    );
}

#[test]
fn an_unknown_key_of_a_recipe_is_told_with_the_nearest() {
    assert_refused(
        "image.yaml",
        "distribution: debian\nrelease: bookworm\npakages:\n  include: [a]\n",
        r"error: unknown key `pakages` in the recipe
 --> image.yaml:3:1
  |
3 | pakages:
  | ^
  help: did you mean `packages`?
",
    );
}

#[test]
fn a_manifest_in_yaml_is_told_in_one_sentence() {
    assert_refused(
        "image.yaml",
        "version: '2'\npipelines:\n  - name: tree\n",
        "error: `image.yaml` is a manifest in YAML, but manifests are JSON\n  \
           help: write it as JSON: `yq -o json . image.yaml > image.json` does\n",
    );
}

#[test]
fn a_manifest_named_like_a_recipe_is_told_in_one_sentence() {
    assert_refused(
        "image.yaml",
        "{\"version\": \"2\", \"pipelines\": []}\n",
        "error: `image.yaml` is a manifest, but its name ends like that of a recipe\n  \
           help: rename it to `image.json`\n",
    );
}

#[test]
fn a_recipe_named_like_a_manifest_is_told_in_one_sentence() {
    assert_refused(
        "image.json",
        "{\"distribution\": \"debian\", \"release\": \"bookworm\"}\n",
        "error: `image.json` is a recipe, but its name does not end like that of one\n  \
           help: JSON is YAML too: rename it to `image.yaml`\n",
    );
}

#[test]
fn a_recipe_whose_name_says_nothing_is_advised_on_its_name() {
    assert_refused(
        "image",
        "distribution: debian\nrelease: bookworm\n",
        r"error: `image` is not JSON: expected a value
 --> image:1:1
  |
1 | distribution: debian
  | ^
  help: if it is a recipe, let its name end in `.yaml`
",
    );
}

#[test]
fn an_unknown_version_is_pointed_at() {
    assert_refused(
        "image.json",
        "{\n  \"version\": \"3\",\n  \"pipelines\": []\n}\n",
        r#"error: `image.json` has a `version` that is neither "1" nor "2"
 --> image.json:2:14
  |
2 |   "version": "3",
  |              ^^^
"#,
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let workplace = Workplace::new();
    let ran = workplace.build("image.json");
    let message =
        "error: failed to open file `image.json`: No such file or directory (os error 2)\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (1, message));
}

/// Upstream's command line writes what is wrong to standard output, for programs that read it.
#[test]
fn upstreams_command_line_tells_errors_in_upstreams_form() {
    let workplace = Workplace::new();
    workplace.write(
        "image.json",
        with_stage(r#"{"type": "org.osbuild.hostname", "options": {"hostname": 5}}"#),
    );
    let ran = workplace.run(workplace.command(&["image.json", "--store", "store"]));
    let text = "image.json has errors:\n\n.pipelines[0].stages[0].options.hostname:\n  5 is not of type 'string'\n\n";
    assert_eq!(
        ran,
        Ran {
            code: 2,
            stdout: text.to_owned(),
            stderr: String::new(),
        }
    );
    let ran = workplace.run(workplace.command(&["image.json", "--store", "store", "--json"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    assert_eq!(
        serde_json::from_str::<Value>(&ran.stdout).unwrap(),
        json!({
            "type": "https://osbuild.org/validation-error",
            "title": "JSON Schema validation failed",
            "success": false,
            "errors": [{
                "message": "5 is not of type 'string'",
                "path": ["pipelines", 0, "stages", 0, "options", "hostname"],
            }],
        })
    );
}
