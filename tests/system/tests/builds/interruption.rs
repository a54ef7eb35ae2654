//! Builds that are ended from outside, politely or not.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fs_err as fs;
use osbuild_testing::needs;
use osbuild_testing::server::{Answer, Server};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use crate::manifests;
use crate::workplace::{Ran, Workplace, start};

/// How long a build may take to come to the stage that is waited for, and to end when told.
const PATIENCE: Duration = Duration::from_secs(30);
/// A build that is told to end does not wait for anything.
const PROMPT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// The ways to make a sandbox; the first is the usual one.
const EXECUTORS: [&str; 2] = ["namespaces", "bubblewrap"];

/// How often a build is killed, at moments spread over its time.
const KILLS: u32 = 8;

pub(crate) fn id_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

/// Starts a build that takes minutes, and waits until its long stage is at work.
fn start_long_build(workplace: &Workplace, executor: &str) -> Child {
    workplace.write("image.json", manifests::long());
    let mut command = workplace.build_command("image.json");
    command.env("OSBUILD_SANDBOX", executor);
    let mut child = start(command);
    let deadline = Instant::now() + PATIENCE;
    while !is_compressing(workplace) {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{:?}", workplace.wait(child));
        assert!(Instant::now() < deadline, "the stage does not begin");
        std::thread::sleep(POLL);
    }
    child
}

/// Gives the command as a person's shell starts it. One without job control, as CI may have, starts what is in the
/// background with Ctrl-C ignored, and before a build begins that holds for the program, too.
fn heeding_control_c(command: &Command) -> Command {
    let mut heeding = Command::new("env");
    heeding
        .arg("--default-signal=INT")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => heeding.env(name, value),
            None => heeding.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        heeding.current_dir(directory);
    }
    heeding
}

/// Tells whether the log of the long stage has its first line, the command.
fn is_compressing(workplace: &Workplace) -> bool {
    let Ok(runs) = fs::read_dir(workplace.path("store/logs")) else {
        return false;
    };
    runs.flatten().any(|run| {
        let log = run.path().join("archive/001-org.osbuild.xz.log");
        fs::read_to_string(log).is_ok_and(|text| text.starts_with("$ xz"))
    })
}

#[track_caller]
fn assert_ends_promptly(workplace: &Workplace, child: Child, code: i32, message: &str) {
    let told = Instant::now();
    let ran = workplace.wait(child);
    assert!(told.elapsed() < PROMPT, "it took {:?}", told.elapsed());
    assert_eq!(ran.stderr, message);
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""));
    assert!(!workplace.path("out").exists(), "nothing was exported");
    workplace.assert_clean();
    workplace.assert_usable();
}

/// Ctrl-C goes to the whole process group of the terminal.
#[test]
fn control_c_ends_a_build_in_good_order() {
    needs![root, tool("xz"), tool("bwrap")];
    for executor in EXECUTORS {
        let workplace = Workplace::new();
        let child = start_long_build(&workplace, executor);
        kill_process_group(id_of(&child), Signal::INT).unwrap();
        assert_ends_promptly(&workplace, child, 130, "error: interrupted\n");
    }
}

/// A service manager tells the program alone.
#[test]
fn a_request_to_end_ends_a_build_in_good_order() {
    needs![root, tool("xz")];
    let workplace = Workplace::new();
    let child = start_long_build(&workplace, EXECUTORS[0]);
    kill_process(id_of(&child), Signal::TERM).unwrap();
    assert_ends_promptly(&workplace, child, 128 + 15, "error: interrupted\n");
}

#[test]
fn control_c_ends_a_transfer() {
    needs![root];
    let workplace = Workplace::new();
    let server = Server::start().unwrap();
    server.answer("/file", [Answer::StallAfter(vec![0; 1_000_000], 1000)]);
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [{"type": "org.osbuild.noop"}]}],
        "sources": {"org.osbuild.curl": {"items": {
            format!("sha256:{}", "0".repeat(64)): server.url("/file"),
        }}},
    });
    workplace.write("image.json", manifest.to_string());
    let child = start(workplace.build_command("image.json"));
    let deadline = Instant::now() + PATIENCE;
    while server.requests().is_empty() {
        assert!(Instant::now() < deadline, "the file is not asked for");
        std::thread::sleep(POLL);
    }
    kill_process_group(id_of(&child), Signal::INT).unwrap();
    assert_ends_promptly(&workplace, child, 130, "error: interrupted\n");
}

/// Before the build begins there is nothing to tidy up, and nothing that delays the end.
#[test]
fn control_c_ends_the_reading_of_package_lists() {
    needs![root];
    let workplace = Workplace::new();
    let server = Server::start().unwrap();
    server.answer("/dists/stable/InRelease", [Answer::Silence]);
    let recipe = format!(
        "distribution: debian\nrelease: bookworm\n\
         repositories:\n  - mirror: {}\n    suites: [stable]\n    keyring: keyring.gpg\n",
        server.url("")
    );
    workplace.write("image.yaml", recipe);
    workplace.write("keyring.gpg", "");
    let child = start(heeding_control_c(&workplace.build_command("image.yaml")));
    let deadline = Instant::now() + PATIENCE;
    while server.requests().is_empty() {
        assert!(Instant::now() < deadline, "the list is not asked for");
        std::thread::sleep(POLL);
    }
    kill_process_group(id_of(&child), Signal::INT).unwrap();
    assert_ends_promptly(&workplace, child, 128 + 2, "");
}

#[test]
fn a_build_that_is_killed_leaves_nothing_but_its_store() {
    needs![root, tool("xz"), tool("bwrap")];
    for executor in EXECUTORS {
        let workplace = Workplace::new();
        let child = start_long_build(&workplace, executor);
        kill_process(id_of(&child), Signal::KILL).unwrap();
        let ran = workplace.wait(child);
        assert_eq!((ran.code, ran.stderr.as_str()), (128 + 9, ""));
        workplace.assert_nothing_runs();
        // Scratch space is left, for the next build to remove.
        workplace.assert_usable();
    }
}

#[test]
fn builds_that_are_killed_at_any_moment_change_no_later_result() {
    needs![
        root,
        tool("mkfs.ext4"),
        tool("tar"),
        kernel_filesystem("ext4")
    ];
    let undisturbed = Workplace::new();
    undisturbed.write("image.json", manifests::varied());
    let started = Instant::now();
    assert_eq!(undisturbed.run(varied(&undisturbed)), Ran::silent());
    let whole = started.elapsed();
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::varied());
    for number in 0..KILLS {
        let mut child = start(varied(&workplace));
        std::thread::sleep(whole * (2 * number + 1) / (2 * KILLS));
        child.kill().unwrap();
        let ran = workplace.wait(child);
        assert!(ran.code == 128 + 9 || ran == Ran::silent(), "{ran:?}");
        workplace.assert_nothing_runs();
    }
    assert_eq!(workplace.run(varied(&workplace)), Ran::silent());
    let archives = [&undisturbed, &workplace]
        .map(|place| fs::read(place.path("out/archive/tree.tar")).unwrap());
    assert!(archives[0] == archives[1], "the archives differ");
    let disks = [&undisturbed, &workplace]
        .map(|place| fs::metadata(place.path("out/disk/disk.img")).unwrap().len());
    assert_eq!(disks, [64 << 20; 2]);
    workplace.assert_usable();
}

fn varied(workplace: &Workplace) -> std::process::Command {
    let mut command = workplace.build_command("image.json");
    command.args(["--export", "disk", "--export", "archive"]);
    command
}

#[test]
fn a_stage_that_takes_too_long_is_ended_and_named() {
    needs![root, tool("xz")];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::long());
    let mut command = workplace.build_command("image.json");
    command.args(["--stage-timeout", "1"]);
    let ran = workplace.run(command);
    assert_eq!(
        ran.stderr,
        "error: stage 1 of pipeline `archive`, `org.osbuild.xz`, ran longer than --stage-timeout allows and was \
         ended\n  \
           last lines of its output:\n    \
             $ xz --keep --stdout -0 /run/osbuild/inputs/file/disk.img\n    \
             ended: it ran longer than --stage-timeout 1 allows\n  \
           full log: [folder]/store/logs/[run]/archive/001-org.osbuild.xz.log\n  \
           help: give it more time with a larger --stage-timeout\n"
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args([
        "--export",
        "archive",
        "--output-directory",
        "out",
        "--stage-timeout",
        "1",
    ]);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 1);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let stage = &document["error"]["details"]["stage"];
    let output = "$ xz --keep --stdout -0 /run/osbuild/inputs/file/disk.img\n\
                  ended: it ran longer than --stage-timeout 1 allows\n";
    let error = json!({
        "type": "exception",
        "data": {
            "type": "timeout",
            "value": "it ran longer than --stage-timeout allows",
            "traceback": "",
        },
    });
    assert_eq!(document["error"]["type"], "org.osbuild.error.stage");
    assert_eq!(stage["type"], "org.osbuild.xz");
    assert_eq!(stage["output"], output);
    assert_eq!(stage["error"], error);
    assert_eq!(document["log"]["archive"][0]["error"], error);
    assert_eq!(document["log"]["archive"][0]["success"], false);
    workplace.assert_usable();
}
