//! Modules of a library directory: ones that do their work, and ones that do all they should not.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fs_err as fs;
use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

use crate::full_disk::in_small_disk;
use crate::missing_means::NOBODY;
use crate::workplace::{Ran, Workplace};

/// Accepts everything.
const META: &str = r#"{"summary": "s", "description": [], "schema_2": {"options": {}, "inputs": {"type": "object"}}}"#;
const SERVICE_META: &str = r#"{"summary": "s", "description": [], "schema_2": {"additionalProperties": true, "properties": {}}}"#;

/// The id of the pipeline `base`: nothing, and a directory `/etc`.
const BASE_ID: &str = "b02eb9ad68538aa2d576b084a0981a396ba05adfbfb273a103fa521141c5286c";

/// An input that answers what its option `answer` says, as it is.
const INPUT: &str = r#"#!/usr/bin/env python3
import json, os, socket, subprocess, sys, time
connection = socket.socket(fileno=int(sys.argv[sys.argv.index("--service-fd") + 1]))
call = json.loads(connection.recv(1 << 20))["data"]
args = call["args"]
what = args["options"].get("do")
if what == "lie":
    path = args["options"]["path"].replace("TARGET", args["target"])
    connection.send(json.dumps({"type": "reply", "data": {"reply": {"path": path}}}).encode())
elif what == "garbage":
    connection.send(b"\xff\xfe")
elif what == "silence":
    subprocess.Popen(["setsid", "sleep", "1000"])
    time.sleep(1000)
elif what == "die":
    sys.exit("oh no")
elif what == "store":
    store = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    store.connect(args["api"]["store"])
    answers = []
    for request in args["options"]["requests"]:
        request = dict(request)
        if request.get("target") == "TARGET":
            request["target"] = args["target"]
        store.send(json.dumps(request).encode())
        answer = json.loads(store.recv(1 << 20))
        answers.append(os.path.isdir(answer["path"]) if answer.get("path") else answer)
    data = {"answers": answers, "content": os.listdir(args["target"])}
    reply = {"path": args["target"], "data": data}
    connection.send(json.dumps({"type": "reply", "data": {"reply": reply}}).encode())
connection.recv(1)
"#;

/// A workplace with a library directory of stages, each a script, and one input.
fn workplace(stages: &[(&str, &str)]) -> Workplace {
    let workplace = Workplace::new();
    add_library(&workplace, stages);
    workplace
}

/// Makes a library directory of stages, each a script for the shell, and one input.
pub(crate) fn add_library(workplace: &Workplace, stages: &[(&str, &str)]) {
    for folder in ["stages", "inputs"] {
        fs::create_dir_all(workplace.path("library").join(folder)).unwrap();
    }
    add_module(workplace, "inputs/com.example.input", SERVICE_META, INPUT);
    for (name, script) in stages {
        let name = format!("stages/com.example.{name}");
        add_module(workplace, &name, META, &format!("#!/bin/sh\n{script}\n"));
    }
}

/// Puts a module with its description into the library directory.
pub(crate) fn add_module(workplace: &Workplace, name: &str, meta: &str, script: &str) {
    let file = workplace.path("library").join(name);
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    workplace.write(&format!("library/{name}.meta.json"), meta);
}

/// Builds stages with the library, as upstream's command line has it.
fn command(workplace: &Workplace, stages: &Value, options: &[&str]) -> Command {
    let base = json!([
        {"type": "org.osbuild.noop"},
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
    ]);
    let manifest = json!({"version": "2", "pipelines": [
        {"name": "base", "stages": base},
        {"name": "tree", "stages": stages},
    ]});
    workplace.write("image.json", manifest.to_string());
    let run = workplace.path("run");
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    command.args(["--libdir", "library", "--rundir"]).arg(run);
    command.args(options);
    command
}

#[track_caller]
fn build(workplace: &Workplace, stages: &Value, options: &[&str]) -> (Ran, Value) {
    let ran = workplace.run(command(workplace, stages, options));
    let run = workplace.path("run");
    if run.exists() {
        assert_eq!(fs::read_dir(run).unwrap().count(), 0, "sockets are left");
    }
    let result = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
    (ran, result)
}

/// Builds one foreign stage that fails, with an input if there is one; gives its output and its error.
#[track_caller]
fn failure(workplace: &Workplace, stage: &str, input: &Value, options: &[&str]) -> (String, Value) {
    let mut description = json!({"type": format!("com.example.{stage}")});
    if !input.is_null() {
        description["inputs"] = json!({"in": {
            "type": "com.example.input",
            "origin": "org.osbuild.pipeline",
            "references": {},
            "options": input,
        }});
    }
    let (ran, result) = build(workplace, &json!([description]), options);
    assert_eq!(ran.code, 1, "{ran:?}");
    let failed = &result["error"]["details"]["stage"];
    assert_eq!(failed["type"], format!("com.example.{stage}"), "{result}");
    let output = failed["output"].as_str().unwrap().to_owned();
    (output, failed["error"].clone())
}

#[test]
fn foreign_and_native_stages_work_on_one_tree() {
    needs![root, tool("python3")];
    let workplace = workplace(&[(
        "show",
        "env | sort >/run/osbuild/tree/environment\n\
         cd /run/osbuild/tree\n\
         ls /run/osbuild/api /run/osbuild/lib >places\n\
         test -w /run/osbuild/inputs/in && echo writable\n\
         ls /run/osbuild/inputs/in\n\
         /usr/bin/env python3 -c 'import json; print(json.load(open(\"/run/osbuild/api/arguments\"))[\"inputs\"])'",
    )]);
    let stages = json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
        {"type": "com.example.show", "inputs": {"in": {
            "type": "com.example.input",
            "origin": "org.osbuild.pipeline",
            "references": {"name:base": {}},
            "options": {"do": "store", "requests": [
                {"method": "read-tree", "object-id": BASE_ID},
                {"method": "read-tree", "object-id": "unknown"},
                {"method": "read-tree-at", "object-id": BASE_ID, "target": "TARGET", "subtree": "/../x"},
                {"method": "read-tree-at", "object-id": BASE_ID, "target": "TARGET", "subtree": "/"},
                {"method": "mkdtemp", "prefix": "p-", "suffix": null},
                {"method": "source", "name": "org.osbuild.files"},
                {"method": "source", "name": "../x"},
                {"method": "nothing"},
                {},
            ]},
        }}},
        {"type": "org.osbuild.hostname", "options": {"hostname": "mixed"}},
    ]);
    let (ran, result) = build(&workplace, &stages, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let exception = |kind: &str, value: &str| {
        format!(
            "{{'method': 'exception', 'exception': {{'type': '{kind}', 'value': \"{value}\", 'traceback': ''}}}}"
        )
    };
    assert_eq!(
        result["log"]["tree"][1]["output"],
        format!(
            "etc\n{{'in': {{'path': '/run/osbuild/inputs/in', 'data': {{'answers': [True, {{'path': None}}, \
             {{'error': '`../x` leads upwards'}}, True, True, False, {}, {}, {}], 'content': ['etc']}}}}}}\n",
            exception("ValueError", "`../x` is no kind of content").replace('"', "'"),
            exception("ValueError", "Invalid RPC call: `nothing`").replace('"', "'"),
            exception("KeyError", "'method'"),
        )
    );
    assert_eq!(
        fs::read_to_string(workplace.path("out/tree/places")).unwrap(),
        "/run/osbuild/api:\narguments\nosbuild\nremoteloop\n\n/run/osbuild/lib:\ninputs\nstages\n"
    );
    let environment = fs::read_to_string(workplace.path("out/tree/environment")).unwrap();
    let names: Vec<_> = environment
        .lines()
        .map(|line| line.split_once('=').unwrap().0)
        .collect();
    assert_eq!(
        names,
        [
            "LC_CTYPE",
            "PATH",
            "PWD",
            "PYTHONPATH",
            "PYTHONUNBUFFERED",
            "TERM",
            "container"
        ]
    );
    assert!(
        describe(&workplace.path("out/tree"))
            .unwrap()
            .contains("etc/hostname 0644 \"mixed\\n\"")
    );
}

#[test]
fn a_runner_for_an_unknown_distribution_is_run_with_every_stage() {
    needs![root];
    let workplace = workplace(&[("show", "echo of the stage; test -e /etc/prepared && exit 7")]);
    fs::create_dir(workplace.path("library/runners")).unwrap();
    let runner = workplace.path("library/runners/com.example.own3");
    fs::write(
        &runner,
        "#!/bin/sh\necho \"$0\"\ntouch /etc/prepared\nexec \"$@\"\n",
    )
    .unwrap();
    fs::set_permissions(&runner, std::fs::Permissions::from_mode(0o755)).unwrap();
    let build_tree = json!([
        {"type": "com.example.usr"},
    ]);
    add_module(
        &workplace,
        "stages/com.example.usr",
        META,
        // All that a shell script needs, wherever the host has its libraries.
        "#!/bin/sh\ncd /run/osbuild/tree\nmkdir -p usr/bin usr/lib usr/lib64 usr/sbin\n\
         for program in sh touch; do\n\
         file=$(readlink -f /usr/bin/$program); cp $file usr/bin/$program\n\
         ldd $file | grep -o '/[^ ]*' | while read library; do\n\
         mkdir -p usr/$(dirname ${library#/usr}); cp -L $library usr/${library#/usr}; done\n\
         done\n",
    );
    let manifest = json!({"version": "2", "pipelines": [
        {"name": "build", "runner": "com.example.own12", "stages": build_tree},
        {"name": "tree", "build": "name:build", "stages": [{"type": "com.example.show"}]},
    ]});
    workplace.write("image.json", manifest.to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args([
        "--export",
        "tree",
        "--output-directory",
        "out",
        "--libdir",
        "library",
    ]);
    let ran = workplace.run(command);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        result["error"]["details"]["stage"]["output"],
        "/run/osbuild/runner/com.example.own3\nof the stage\n"
    );
}

#[test]
fn a_stage_that_does_not_end_well_is_told_and_leaves_nothing() {
    needs![root, tool("setsid")];
    let workplace = workplace(&[
        ("hang", "setsid sleep 1000 & sleep 1000"),
        ("signal", "echo before; kill -9 $$"),
        ("bytes", "printf 'a\\377b\\n'; exit 1"),
        ("daemon", "setsid sleep 1000 & exit 3"),
    ]);
    let (output, error) = failure(&workplace, "hang", &Value::Null, &["--stage-timeout", "1"]);
    assert_eq!(
        output,
        "ended: it ran longer than --stage-timeout 1 allows\n"
    );
    assert_eq!(error["data"]["type"], "timeout");
    let (output, error) = failure(&workplace, "signal", &Value::Null, &[]);
    assert_eq!(output, "before\n");
    assert_eq!(error["data"]["value"], "killed by signal 9");
    let (output, error) = failure(&workplace, "bytes", &Value::Null, &[]);
    assert_eq!((output.as_str(), error), ("a\u{fffd}b\n", Value::Null));
    let (output, _) = failure(&workplace, "daemon", &Value::Null, &[]);
    assert_eq!(output, "");
    workplace.assert_usable();
}

#[test]
fn megabytes_of_output_are_no_trouble() {
    needs![root];
    let talk = "echo begin; head -c 3000000 /dev/zero | tr '\\0' x";
    let much = "head -c 20000000 /dev/zero | tr '\\0' y; exit 1";
    let workplace = workplace(&[("talk", talk), ("much", much)]);
    let (ran, result) = build(&workplace, &json!([{"type": "com.example.talk"}]), &[]);
    assert_eq!(ran.code, 0);
    let output = result["log"]["tree"][0]["output"].as_str().unwrap();
    assert!(output.starts_with("begin\nxxx"));
    assert_eq!(output.len(), 3_000_006);
    let run = fs::read_dir(workplace.path("store/logs")).unwrap().next();
    let log = run
        .unwrap()
        .unwrap()
        .path()
        .join("tree/001-com.example.talk.log");
    assert_eq!(fs::metadata(log).unwrap().len(), 3_000_006);

    let (ran, result) = build(&workplace, &json!([{"type": "com.example.much"}]), &[]);
    assert_eq!(ran.code, 1);
    let output = result["log"]["tree"][0]["output"].as_str().unwrap();
    let missing = 20_000_000 - (1 << 20);
    assert!(output.starts_with(&format!("[...{missing} bytes hidden...]\nyyy")));
}

/// A stage that sends something to the socket `osbuild`.
fn sending(bytes: &str, status: u8) -> String {
    format!(
        "/usr/bin/env python3 -c '\nimport socket\n\
         s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
         s.connect(\"/run/osbuild/api/osbuild\")\ns.send({bytes})'\nexit {status}"
    )
}

#[test]
fn what_a_stage_reports_on_its_socket_is_its_error() {
    needs![root, tool("python3")];
    let exception = r#"b"{\"method\": \"exception\", \"exception\": {\"type\": \"E\", \"value\": \"v\", \"traceback\": \"t\"}}""#;
    let (raise, garbage) = (sending(exception, 2), sending("bytes([255])", 0));
    let workplace = workplace(&[("raise", &raise), ("garbage", &garbage)]);
    let (_, error) = failure(&workplace, "raise", &Value::Null, &[]);
    assert_eq!(
        error,
        json!({"type": "exception", "data": {"type": "E", "value": "v", "traceback": "t"}})
    );
    // Garbage changes no verdict, here as upstream.
    let (ran, _) = build(&workplace, &json!([{"type": "com.example.garbage"}]), &[]);
    assert_eq!(ran.code, 0);
}

#[test]
fn an_input_that_misbehaves_is_named() {
    needs![root, tool("python3"), tool("setsid")];
    let workplace = workplace(&[("never", "echo started")]);
    let reason = |input: Value, options: &[&str]| {
        let (output, error) = failure(&workplace, "never", &input, options);
        assert_eq!(error["data"]["type"], "service");
        output
    };
    for path in ["/etc", "TARGET/../../x", "in"] {
        let said = reason(json!({"do": "lie", "path": path}), &[]);
        assert!(
            said.starts_with("inputs/com.example.input: `in`: it returned ")
                && said.contains(", which has the wrong prefix: it is not below "),
            "{said}"
        );
    }
    assert_eq!(
        reason(json!({"do": "garbage"}), &[]),
        "inputs/com.example.input: `in`: what it sent is not UTF-8\n"
    );
    assert_eq!(
        reason(json!({"do": "die"}), &[]),
        "oh no\ninputs/com.example.input: `in`: it ended with status 1 before it answered\n"
    );
    assert_eq!(
        reason(json!({"do": "silence"}), &["--stage-timeout", "2"]),
        "inputs/com.example.input: `in`: it did not answer within the 2 s that --stage-timeout allows\n"
    );
}

#[test]
fn a_stage_that_fills_var_is_told_and_leaves_room() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "foreign_modules::a_stage_that_fills_var_is_told_and_leaves_room",
        |workplace| {
            add_library(
                workplace,
                &[("fill", "head -c 1000000000 /dev/zero >/var/full")],
            );
            let (output, _) = failure(workplace, "fill", &Value::Null, &[]);
            assert!(output.ends_with("No space left on device\n"), "{output}");
            workplace.assert_usable();
        },
    );
}

#[test]
fn a_library_that_can_not_be_used_is_told() {
    needs![root];
    let workplace = workplace(&[("one", "true"), ("two", "true")]);
    workplace.write("library/stages/com.example.one.meta.json", "{");
    workplace.write("library/stages/com.example.two.meta.json", "[]");
    let run = |stage: &str| {
        let stages = json!([{"type": format!("com.example.{stage}")}]);
        let (ran, _) = build(&workplace, &stages, &[]);
        assert!(ran.code != 0 && !workplace.path("out").exists());
        ran
    };
    let ran = run("one");
    assert!(ran.stderr.contains("com.example.one"), "{ran:?}");
    let ran = run("two");
    assert!(
        (ran.stdout + &ran.stderr)
            .contains("could not find schema information for 'com.example.two'")
    );
    fs::rename(workplace.path("library"), workplace.path("elsewhere")).unwrap();
    let ran = run("one");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("library"), "{ran:?}");
}

/// For a user who may not read it; root may read everything.
#[test]
fn a_library_that_can_not_be_read_is_told() {
    needs![root];
    let workplace = workplace(&[("one", "true")]);
    let stages = json!([{"type": "com.example.one"}]);
    let manifest = json!({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]});
    workplace.write("image.json", manifest.to_string());
    workplace.open_to_all();
    for (name, words) in [
        ("library", "library`: Permission denied"),
        (
            "library/stages/com.example.one.meta.json",
            "WARNING: schema for [folder]/library/stages/com.example.one is invalid: ",
        ),
    ] {
        let path = workplace.path(name);
        let modes = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        let mut command = workplace.command(&["--inspect", "--libdir", "library", "image.json"]);
        command.uid(NOBODY).gid(NOBODY);
        let ran = workplace.run(command);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        fs::set_permissions(&path, modes).unwrap();
    }
}

#[test]
fn devices_in_a_circle_and_references_to_nothing_are_told() {
    needs![root];
    let workplace = workplace(&[("one", "true")]);
    let device = |parent: &str| json!({"type": "org.osbuild.loopback", "parent": parent, "options": {"filename": "x"}});
    let circle =
        json!([{"type": "com.example.one", "devices": {"a": device("b"), "b": device("a")}}]);
    let nothing = json!([{"type": "com.example.one", "inputs": {"in": {
        "type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:nothing"],
    }}}]);
    for (stages, words) in [
        (circle, "error: Cycle detected in 'devices'\n"),
        (nothing, "name:nothing"),
    ] {
        let (ran, _) = build(&workplace, &stages, &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert!(!workplace.path("out").exists());
    }
}
