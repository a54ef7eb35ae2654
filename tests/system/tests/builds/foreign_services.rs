//! Devices, mounts, sources and assemblers of a library directory: the services that run on the host, and what they may
//! do wrong.

use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use osbuild_testing::needs;
use rustix::process::{Signal, kill_process_group};
use serde_json::{Value, json};

use crate::foreign_modules::add_module;
use crate::interruption::id_of;
use crate::workplace::{Ran, Workplace, start};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// Accepts everything.
const META: &str = r#"{"summary": "s", "description": [], "schema_2": {"additionalProperties": true, "properties": {}}}"#;
const STAGE_META: &str = r#"{"summary": "s", "description": [], "schema_2": {
    "options": {}, "devices": {"type": "object"}, "mounts": {"type": "array"}}, "capabilities": ["CAP_MKNOD"]}"#;

/// A device, mount or source, by how it is called: does its work unless its options say otherwise.
const SERVICE: &str = r#"#!/usr/bin/env python3
import hashlib, json, os, signal, socket, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
print("the service speaks", flush=True)
connection = socket.socket(fileno=int(sys.argv[sys.argv.index("--service-fd") + 1]))
call = json.loads(connection.recv(1 << 20))["data"]
args = call["args"]
options = args["options"]
what = options.get("do")
cleanup = []

def answer(value):
    connection.send(json.dumps({"type": "reply", "data": {"reply": value}}).encode())

def open_device():
    path = os.path.join(args["dev"], "mine")
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    return {"path": options.get("path", "mine"), "node": {"major": 1, "minor": 5}}

def mount():
    path = args["root"] + args["target"]
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    cleanup.append(["umount", path])
    with open(path + "/where", "w") as file:
        file.write(os.path.basename(args["source"] or "nowhere"))
    return options.get("path", path)

def download():
    folder = os.path.join(args["cache"], "org.osbuild.files")
    os.makedirs(folder, exist_ok=True)
    results = []
    for name, text in args["items"].items():
        if not what:
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        results.append({"success": what != "fail", "metadata": {"checksum": name}, "error": "no, thanks"})
    return {"source_type": "org.osbuild.files", "success": what != "fail", "results": results}

if what == "garbage":
    connection.send(b"\xff\xfe")
elif what == "nonsense":
    answer(options["answer"])
elif what == "raise":
    error = {"name": "ValueError", "value": "a bad day", "backtrace": "  File x"}
    connection.send(json.dumps({"type": "exception", "data": error}).encode())
elif what == "silence":
    subprocess.Popen(["setsid", "sleep", "1000"])
    time.sleep(1000)
elif what == "wait":
    open(options["place"], "w").close()
    connection.recv(1)
elif what == "die":
    sys.exit("oh no")
else:
    answer({"open": open_device, "mount": mount, "download": download}[call["name"]]())
connection.recv(1)
for command in cleanup:
    subprocess.run(command, check=True)
"#;

const SHOW: &str = r#"#!/usr/bin/env python3
import json
arguments = json.load(open("/run/osbuild/api/arguments"))
place = arguments["mounts"]["m"]["path"]
with open(arguments["tree"] + "/seen", "w") as file:
    device = open(arguments["devices"]["d"]["path"], "rb").read(3)
    print(device, open(place + "/where").read(), place.startswith("/run/osbuild/mounts"), file=file)
"#;

/// The SHA-256 of `hello`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn workplace() -> Workplace {
    let workplace = Workplace::new();
    for kind in ["stages", "devices", "mounts", "sources", "assemblers"] {
        fs::create_dir_all(workplace.path("library").join(kind)).unwrap();
    }
    for kind in ["devices", "mounts", "sources"] {
        add_module(
            &workplace,
            &format!("{kind}/com.example.service"),
            META,
            SERVICE,
        );
    }
    add_module(&workplace, "stages/com.example.show", STAGE_META, SHOW);
    workplace
}

fn manifest(device: &Value, mount: &Value, source: &Value) -> Value {
    json!({
        "version": "2",
        "sources": {"com.example.service": {"items": {HELLO: "hello"}, "options": source}},
        "pipelines": [{"name": "tree", "stages": [
            {"type": "org.osbuild.copy",
             "inputs": {"file": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [HELLO]}},
             "options": {"paths": [{"from": format!("input://file/{HELLO}"), "to": "tree:///hello"}]}},
            {"type": "com.example.show",
             "devices": {"d": {"type": "com.example.service", "options": device}},
             "mounts": [{"name": "m", "type": "com.example.service", "source": "d", "target": "/a/b", "options": mount}]},
        ]}],
    })
}

#[track_caller]
fn build(workplace: &Workplace, manifest: &Value, options: &[&str]) -> (Ran, Value) {
    workplace.write("image.json", manifest.to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    command.args(["--libdir", "library"]).args(options);
    let ran = workplace.run(command);
    let result = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
    (ran, result)
}

#[test]
fn devices_mounts_and_sources_of_a_library_serve_stages() {
    needs![root, tool("python3"), tool("mount")];
    let workplace = workplace();
    let (ran, _) = build(
        &workplace,
        &manifest(&json!({}), &json!({}), &json!({})),
        &[],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let read = |name: &str| fs::read_to_string(workplace.path(name)).unwrap();
    assert_eq!(read("out/tree/seen"), "b'\\x00\\x00\\x00' mine True\n");
    assert_eq!(read("out/tree/hello"), "hello");
}

/// What a build says when one of its services misbehaves in this way.
#[track_caller]
fn complaint(kind: &str, options: &Value) -> String {
    let workplace = workplace();
    let good = json!({});
    let pick = |wanted: &str| if wanted == kind { options } else { &good };
    let manifest = manifest(pick("device"), pick("mount"), pick("source"));
    let patience = if options["do"] == "silence" {
        "1"
    } else {
        "60"
    };
    let (ran, result) = build(&workplace, &manifest, &["--stage-timeout", patience]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!workplace.path("out").exists());
    let output = match kind {
        "source" => ran.stderr.clone(),
        _ => result["error"]["details"]["stage"]["output"]
            .as_str()
            .unwrap_or_else(|| panic!("{ran:?}"))
            .to_owned(),
    };
    workplace.assert_usable();
    output
}

#[test]
fn a_device_that_misbehaves_is_named() {
    needs![root, tool("python3"), tool("setsid")];
    for (options, expected) in misbehaviour("devices/com.example.service: `d`: ") {
        let output = complaint("device", &options);
        assert!(output.ends_with(&expected), "{options}: {output}");
    }
    let output = complaint("device", &json!({"do": "nonsense", "answer": 7}));
    assert!(
        output.ends_with("devices/com.example.service: `d`: its answer is 7, no map\n"),
        "{output}"
    );
    for path in ["../../etc/passwd", "/etc/passwd", ".."] {
        let output = complaint("device", &json!({"path": path}));
        assert!(
            output.contains("devices/com.example.service: `d`: it returned "),
            "{output}"
        );
    }
}

#[test]
fn a_mount_that_misbehaves_is_named() {
    needs![root, tool("python3"), tool("setsid"), tool("mount")];
    for (options, expected) in misbehaviour("mounts/com.example.service: `m`: ") {
        let output = complaint("mount", &options);
        assert!(output.ends_with(&expected), "{options}: {output}");
    }
    for answer in [json!(7), json!({"path": 7})] {
        let output = complaint("mount", &json!({"do": "nonsense", "answer": answer}));
        assert!(
            output.ends_with("mounts/com.example.service: `m`: its answer is not a path\n"),
            "{output}"
        );
    }
    for path in ["/etc", "/run/osbuild/../../etc", "a/b"] {
        let output = complaint("mount", &json!({"path": path}));
        assert!(
            output.contains("mounts/com.example.service: `m`: it returned "),
            "{output}"
        );
    }
}

#[test]
fn a_source_that_misbehaves_is_named() {
    needs![root, tool("python3"), tool("setsid")];
    for (options, expected) in misbehaviour("com.example.service: ") {
        // A download takes as long as it takes: see the test of an interruption.
        if options["do"] != "silence" {
            let output = complaint("source", &options);
            assert!(output.contains(expected.trim_end()), "{options}: {output}");
        }
    }
    let output = complaint("source", &json!({"do": "fail"}));
    assert!(output.contains("no, thanks"), "{output}");
    let output = complaint("source", &json!({"do": "lie"}));
    assert!(output.contains(HELLO), "{output}");
}

#[test]
fn a_source_that_hangs_ends_with_an_interruption() {
    needs![root, tool("python3")];
    let workplace = workplace();
    let place = workplace.path("begun");
    let good = json!({});
    let manifest = manifest(&good, &good, &json!({"do": "wait", "place": place}));
    workplace.write("image.json", manifest.to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--libdir", "library"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    let child = start(command);
    let deadline = Instant::now() + PATIENCE;
    while !place.exists() {
        assert!(Instant::now() < deadline, "the source was not called");
        thread::sleep(POLL);
    }
    kill_process_group(id_of(&child), Signal::INT).unwrap();
    let ran = workplace.wait(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    workplace.assert_nothing_runs();
    workplace.assert_usable();
}

/// Options, and how the message about them ends.
fn misbehaviour(place: &str) -> Vec<(Value, String)> {
    let cases = [
        (json!({"do": "garbage"}), "what it sent is not UTF-8\n"),
        (
            json!({"do": "die"}),
            "it ended with status 1 before it answered\n",
        ),
        (
            json!({"do": "silence"}),
            "it did not answer within the 1 s that --stage-timeout allows\n",
        ),
        (json!({"do": "raise"}), "ValueError: a bad day\n"),
    ];
    let cases = cases.into_iter();
    cases
        .map(|(options, text)| (options, format!("{place}{text}")))
        .collect()
}

#[test]
fn an_assembler_of_a_library_makes_the_output() {
    needs![root, tool("python3")];
    let workplace = workplace();
    // Without a meta.json: its interface is in its text, as modules had it at first.
    let assembler = r#"#!/usr/bin/env python3
"""Writes a list

The names of what is in the tree.
"""
import json, os, sys
SCHEMA = '''
"required": ["filename"],
"properties": {"filename": {"type": "string"}}
'''
if __name__ == "__main__":
    arguments = json.load(open("/run/osbuild/api/arguments"))
    with open(os.path.join(arguments["tree"], arguments["options"]["filename"]), "w") as file:
        print(sorted(os.listdir(arguments["inputs"]["tree"]["path"])), file=file)
"#;
    add_module(&workplace, "assemblers/com.example.list", "", assembler);
    fs::remove_file(workplace.path("library/assemblers/com.example.list.meta.json")).unwrap();
    let manifest = |filename: &Value| {
        json!({"pipeline": {
            "stages": [{"name": "org.osbuild.hostname", "options": {"hostname": "x"}}],
            "assembler": {"name": "com.example.list", "options": {"filename": filename}},
        }})
    };
    let options = ["--export", "assembler"];
    workplace.write("image.json", manifest(&json!("list")).to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command
        .args(["--output-directory", "out", "--libdir", "library"])
        .args(options);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    let list = fs::read_to_string(workplace.path("out/assembler/list")).unwrap();
    assert_eq!(list, "['etc']\n");
    workplace.write("image.json", manifest(&json!(5)).to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command
        .args(["--output-directory", "out", "--libdir", "library"])
        .args(options);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.contains("5 is not of type 'string'"), "{ran:?}");
}

#[test]
fn a_stage_gets_loop_devices_by_asking_for_them() {
    needs![root, tool("python3"), tool("losetup")];
    let workplace = workplace();
    let stage = r#"#!/usr/bin/env python3
import array, json, os, socket
tree = json.load(open("/run/osbuild/api/arguments"))["tree"]
with open(tree + "/disk", "wb") as file:
    file.write(b"x" * 4096 + b"hello" + b"y" * 4091)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect("/run/osbuild/api/remoteloop")
def ask(request):
    with open(tree + "/disk", "r+b") as file:
        folder = os.open("/dev", os.O_DIRECTORY)
        socket.send_fds(server, [json.dumps(request).encode()], [file.fileno(), folder])
        os.close(folder)
        return json.loads(server.recv(1 << 16))
name = ask({"fd": 0, "dir_fd": 1, "offset": 4096, "sizelimit": 4096})["devname"]
with open("/dev/" + name, "r+b") as device:
    print(device.read(5), device.seek(0, 2))
    device.seek(0)
    device.write(b"HELLO")
print(ask({"fd": 0, "dir_fd": 7})["method"])
"#;
    add_module(&workplace, "stages/com.example.loop", STAGE_META, stage);
    let manifest = json!({"version": "2", "pipelines": [
        {"name": "tree", "stages": [{"type": "com.example.loop"}]},
    ]});
    let (ran, result) = build(&workplace, &manifest, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        result["log"]["tree"][0]["output"],
        "b'hello' 4096\nexception\n"
    );
    let disk = fs::read(workplace.path("out/tree/disk")).unwrap();
    assert_eq!(&disk[4094..4102], b"xxHELLOy");
    let attached = std::process::Command::new("losetup")
        .arg("--list")
        .output()
        .unwrap();
    let attached = String::from_utf8(attached.stdout).unwrap();
    let place = workplace.path("store");
    assert!(!attached.contains(place.to_str().unwrap()), "{attached}");
}
