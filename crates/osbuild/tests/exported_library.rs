//! The built-in modules as a library directory: what is written, and modules on the host as programs that are talked to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use osbuild_sandbox::{PacketListener, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

/// Longer than any answer takes on a busy machine.
const PATIENCE: i64 = 60;

fn export(directory: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_osbuild"))
        .args(["modules", "export"])
        .arg(directory)
        .output()
        .unwrap()
}

/// A library directory; modules are named by folder and name.
fn library() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let output = export(directory.path());
    assert!(output.status.success(), "{output:?}");
    directory
}

/// A module that runs, with our end of its connection.
struct Running {
    child: Child,
    socket: PacketSocket,
}

impl Running {
    fn start(module: &Path) -> Self {
        let (socket, theirs) = PacketSocket::pair().unwrap();
        let child = Command::new(module)
            .args(["--service-id", "test/x", "--service-fd", "0"])
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    fn call(&self, method: &str, arguments: &Value) -> Value {
        let call = json!({"type": "method", "data": {"name": method, "args": arguments}});
        self.socket.send(call.to_string().as_bytes(), &[]).unwrap();
        receive(&self.socket)
    }

    /// Closes the connection and waits; gives the status and what was printed.
    fn stop(self) -> (Option<i32>, String) {
        drop(self.socket);
        let output = self.child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

fn receive(socket: &PacketSocket) -> Value {
    let mut descriptors = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
    let patience = Timespec {
        tv_sec: PATIENCE,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut descriptors, Some(&patience)).unwrap(),
        1,
        "no answer"
    );
    serde_json::from_slice(&socket.receive().unwrap().unwrap().text).unwrap()
}

#[test]
fn an_export_has_upstreams_layout() {
    let library = library();
    let at = |path: &str| library.path().join(path);
    let own = fs_err::read(env!("CARGO_BIN_EXE_osbuild")).unwrap();
    for module in [
        "stages/org.osbuild.tar",
        "assemblers/org.osbuild.tar",
        "sources/org.osbuild.curl",
        "inputs/org.osbuild.tree",
        "devices/org.osbuild.loopback",
        "mounts/org.osbuild.ext4",
    ] {
        assert!(fs_err::read(at(module)).unwrap() == own, "{module}");
        assert_eq!(fs_err::metadata(at(module)).unwrap().mode() & 0o7777, 0o755);
        let meta = fs_err::read_to_string(at(&format!("{module}.meta.json"))).unwrap();
        let meta: Value = serde_json::from_str(&meta).unwrap();
        assert!(meta["summary"].is_string() && meta["description"].is_array());
    }
    assert!(
        fs_err::metadata(at("runners/org.osbuild.fedora38"))
            .unwrap()
            .is_file()
    );
    assert_eq!(fs_err::read_dir(at("osbuild")).unwrap().count(), 0);
    let schema: Value =
        serde_json::from_slice(&fs_err::read(at("schemas/osbuild2.json")).unwrap()).unwrap();
    assert!(schema["properties"]["pipelines"].is_object());
    let inode = |path| fs_err::metadata(at(path)).unwrap().ino();
    assert_eq!(inode("bin/osbuild"), inode("bin/osbuild-assembler"));
    assert!(
        fs_err::read_link(at("assemblers/org.osbuild.tar"))
            .unwrap()
            .ends_with("bin/osbuild-assembler")
    );
}

#[test]
fn an_export_is_repeated_but_never_replaces_the_modules_of_others() {
    let library = library();
    assert!(export(library.path()).status.success());
    assert_eq!(
        fs_err::read_dir(library.path().join("bin"))
            .unwrap()
            .count(),
        2
    );
    let foreign = library.path().join("stages/org.osbuild.noop");
    fs_err::remove_file(&foreign).unwrap();
    fs_err::write(&foreign, "#!/usr/bin/python3\n").unwrap();
    let output = export(library.path());
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        format!(
            "error: {} is there already, and is not from an export: choose an empty directory\n",
            foreign.display()
        )
    );
    assert_eq!(
        fs_err::read_to_string(&foreign).unwrap(),
        "#!/usr/bin/python3\n"
    );
}

#[test]
fn a_source_answers_calls_as_a_program_of_its_own() {
    let library = library();
    let cache = tempfile::tempdir().unwrap();
    let source = Running::start(&library.path().join("sources/org.osbuild.inline"));
    let checksum = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let items = json!({checksum: {"encoding": "base64", "data": "aGVsbG8="}});
    let arguments = json!({
        "items": items, "options": {}, "cache": cache.path(), "output": null, "checksums": []
    });
    let answer = source.call("download", &arguments);
    assert_eq!(answer["type"], "reply");
    let reply = &answer["data"]["reply"];
    assert_eq!(reply["success"], true);
    assert_eq!(reply["source_type"], "org.osbuild.inline");
    assert_eq!(
        reply["output"],
        "source org.osbuild.inline finished successfully"
    );
    assert_eq!(reply["results"][0]["metadata"]["checksum"], checksum);
    let file = cache.path().join("org.osbuild.files").join(checksum);
    assert_eq!(fs_err::read_to_string(file).unwrap(), "hello");

    let other = tempfile::tempdir().unwrap();
    let arguments = json!({
        "items": {checksum: {}, "sha256:00": {}, "../x": {}}, "options": {},
        "cache": cache.path(), "dst_cache": other.path(),
    });
    let answer = source.call("copy", &arguments);
    let reply = &answer["data"]["reply"];
    let successes: Vec<_> = (0..3)
        .map(|index| reply["results"][index]["success"].clone())
        .collect();
    assert_eq!(successes, [true, false, false]);
    let copied = other.path().join("org.osbuild.files").join(checksum);
    assert_eq!(fs_err::read_to_string(copied).unwrap(), "hello");
    assert_eq!(source.stop(), (Some(0), String::new()));
}

#[test]
fn an_input_asks_the_store_over_its_socket() {
    let library = library();
    let places = tempfile::tempdir().unwrap();
    let at = |path: &str| places.path().join(path);
    let files = at("sources/org.osbuild.files");
    fs_err::create_dir_all(&files).unwrap();
    fs_err::create_dir(at("target")).unwrap();
    fs_err::write(files.join("sha256:aa"), "downloaded").unwrap();
    let listener = PacketListener::bind(&at("store")).unwrap();
    let input = Running::start(&library.path().join("inputs/org.osbuild.files"));
    let arguments = json!({
        "origin": "org.osbuild.source", "refs": {"sha256:aa": {"metadata": {"n": 1}}},
        "target": at("target"), "options": {}, "api": {"store": at("store")},
    });
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut descriptors = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
            poll(&mut descriptors, None).unwrap();
            let store = listener.accept().unwrap().unwrap();
            assert_eq!(
                receive(&store),
                json!({"method": "source", "name": "org.osbuild.files"})
            );
            let answer = json!({"path": files});
            store.send(answer.to_string().as_bytes(), &[]).unwrap();
        });
        input.call("map", &arguments)
    });
    assert_eq!(
        answer["data"]["reply"],
        json!({"path": at("target"), "data": {"files": {"sha256:aa": {"n": 1}}}})
    );
    assert_eq!(
        fs_err::read_to_string(at("target/sha256:aa")).unwrap(),
        "downloaded"
    );
    assert_eq!(input.stop(), (Some(0), String::new()));
}

#[test]
fn a_failure_is_an_answer_and_the_module_goes_on() {
    let library = library();
    let device = Running::start(&library.path().join("devices/org.osbuild.loopback"));
    let exception = |answer: &Value, name: &str, value: &str| {
        assert_eq!(
            *answer,
            json!({"type": "exception", "data": {"name": name, "value": value, "backtrace": ""}})
        );
    };
    exception(
        &device.call("map", &json!({})),
        "ProtocolError",
        "Unknown method",
    );
    exception(
        &device.call("open", &json!({"dev": "/nowhere"})),
        "RuntimeError",
        "reading the arguments of the call: missing field `tree`",
    );
    device.socket.send(b"nonsense", &[]).unwrap();
    assert_eq!(receive(&device.socket)["data"]["name"], "ProtocolError");
    assert_eq!(
        device.call("close", &json!([]))["data"],
        json!({"reply": null})
    );
    assert_eq!(device.stop(), (Some(0), String::new()));
}

#[test]
fn an_interruption_does_not_end_a_module_that_is_needed() {
    let library = library();
    let source = Running::start(&library.path().join("sources/org.osbuild.inline"));
    let download = || {
        let cache = tempfile::tempdir().unwrap();
        source.call(
            "download",
            &json!({"items": {}, "options": {}, "cache": cache.path()}),
        )
    };
    assert_eq!(download()["type"], "reply");
    let pid = rustix::process::Pid::from_child(&source.child);
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(download()["type"], "reply");
    assert_eq!(source.stop().0, Some(0));
}
