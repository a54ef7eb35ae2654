use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use osbuild_testing::needs;

use super::*;

/// A module that does what the names of its methods say.
const TEST_SERVICE: &str = include_str!("test_service.py");

/// Long enough for Python to start on a busy machine.
const SOON: Duration = Duration::from_secs(30);

struct Host {
    folder: tempfile::TempDir,
    cancel: CancelToken,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Written by another process: an open file that a fork of another test inherits can not be run.
        let written = std::process::Command::new("sh")
            .args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh"])
            .arg(TEST_SERVICE)
            .arg(folder.path().join("service"))
            .status();
        assert!(written.unwrap().success());
        Self {
            folder,
            cancel: CancelToken::new().unwrap(),
            lines: Arc::default(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("service")
    }

    fn start(&self, limit: Option<Duration>) -> Service<'_> {
        let command = ServiceCommand {
            uid: "input/x",
            file: &self.file(),
            python_path: Some(Path::new("/the/package")),
        };
        let wait = Wait {
            limit,
            start: Instant::now(),
            cancel: &self.cancel,
        };
        let lines = Arc::clone(&self.lines);
        let sink = move |line: &str| lines.lock().unwrap().push(line.to_owned());
        Service::start(&command, wait, Box::new(sink)).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Calls a method that fails, and gives the reason.
    fn failure(&self, method: &str) -> String {
        let error = self.start(None).call(method, Value::Null).unwrap_err();
        format!("{error:#}")
    }
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

#[test]
fn a_module_is_started_as_upstream_starts_it() {
    needs![root, tool("python3")];
    let host = Host::new();
    let mut service = host.start(None);
    let mut call = |method: &str, arguments: &str| {
        let reply = service.call(method, json(arguments)).unwrap();
        reply.to_python_json()
    };
    assert_eq!(
        call("arguments", "null"),
        r#"["--service-id", "input/x", "--service-fd", "3"]"#
    );
    assert_eq!(
        call("environment", r#"["PYTHONPATH", "PYTHONUNBUFFERED"]"#),
        r#"["/the/package", "1"]"#
    );
    // The last is the one that the directory is read by.
    assert_eq!(call("descriptors", "null"), "[0, 1, 2, 3]");
    let all = r#"{"big": 123456789012345678901234567890, "text": "\ud800"}"#;
    assert_eq!(call("echo", all), all);
    assert_eq!(call("signals", "null"), r#""after""#);
    service.stop().unwrap();
    assert_eq!(host.lines().last().unwrap(), "stopped");
}

#[test]
fn arguments_that_no_packet_holds_arrive() {
    needs![root, tool("python3")];
    let host = Host::new();
    let long = Value::from("x".repeat(10_000_000));
    let reply = host.start(None).call("length", long).unwrap();
    assert_eq!(reply, Value::from(10_000_000_i64));
}

#[test]
fn what_a_module_raises_is_told_with_the_place_among_its_lines() {
    needs![root, tool("python3")];
    let host = Host::new();
    assert_eq!(host.failure("exception"), "KeyError: 'x'");
    assert_eq!(
        host.lines(),
        ["exception", "  File \"m\", line 7", "    here", "stopped"]
    );
}

#[test]
fn a_module_that_goes_away_is_told_with_how_it_ended() {
    needs![root, tool("python3")];
    let host = Host::new();
    assert_eq!(
        host.failure("exit"),
        "it ended with status 3 before it answered"
    );
    assert_eq!(host.lines(), ["exit", "last words", "ended with status 3"]);
    assert_eq!(
        host.failure("crash"),
        "it was killed by signal 11 before it answered"
    );
    assert_eq!(host.failure("garbage"), "what it sent is not UTF-8");
}

#[test]
fn a_module_that_closes_its_connection_and_stays_is_killed() {
    needs![root, tool("python3")];
    let host = Host::new();
    let mut service = host.start(Some(SOON));
    let error = service.call("close", Value::Null).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it closed its connection before it answered"
    );
    host.cancel.cancel();
    // With a shorter patience than that of a build that goes on.
    service.wait.limit = Some(Duration::from_millis(100));
    assert_eq!(
        service.stop().unwrap_err().to_string(),
        "it did not undo its work in time, and was killed"
    );
}

#[test]
fn a_silent_module_is_waited_for_as_long_as_a_stage_may_take() {
    needs![root, tool("python3")];
    let host = Host::new();
    let mut service = host.start(Some(Duration::from_secs(1)));
    let error = service.call("silence", Value::Null).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it did not answer within the 1 s that --stage-timeout allows"
    );
    let started = Instant::now();
    assert!(service.stop().is_err());
    assert!(started.elapsed() < SOON);
}

#[test]
fn an_interruption_ends_the_waiting() {
    needs![root, tool("python3")];
    let host = Host::new();
    let mut service = host.start(None);
    let cancel = host.cancel.clone();
    let error = thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(200));
            cancel.cancel();
        });
        service.call("silence", Value::Null).unwrap_err()
    });
    assert_eq!(error.to_string(), "the build was interrupted");
    service.wait.limit = Some(Duration::from_millis(100));
    assert!(service.stop().is_err());
}

#[test]
fn what_a_module_prints_comes_in_lines_however_much_it_is() {
    needs![root, tool("python3")];
    let host = Host::new();
    let mut service = host.start(None);
    service.call("talk", Value::Null).unwrap();
    // All of it is there with the answer already.
    let lines = host.lines();
    let bad: usize = lines
        .iter()
        .map(|line| line.matches('\u{fffd}').count())
        .sum();
    assert_eq!(bad, 1_000_000);
    assert_eq!(lines.last().unwrap(), "more");
    assert!(service.last_lines().len() <= 20);
}

#[test]
fn a_daemon_that_a_module_leaves_behind_ends_with_it() {
    needs![root, tool("python3"), tool("setsid")];
    let host = Host::new();
    let mut service = host.start(None);
    service.call("daemon", Value::Null).unwrap();
    let started = Instant::now();
    // It holds the pipe that lines are read from, to the end.
    service.stop().unwrap();
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_module_that_does_not_stop_is_killed_and_one_that_fails_at_it_is_told() {
    needs![root, tool("python3")];
    let host = Host::new();
    let mut service = host.start(Some(SOON));
    service.call("linger", Value::Null).unwrap();
    service.wait.limit = Some(Duration::from_millis(300));
    assert_eq!(
        service.stop().unwrap_err().to_string(),
        "it did not undo its work in time, and was killed"
    );
    let mut service = host.start(None);
    service.call("fail", Value::Null).unwrap();
    service.stop().unwrap();
    assert_eq!(host.lines().last().unwrap(), "ended with status 9");
}

#[test]
fn a_file_that_is_no_program_is_named() {
    needs![root];
    let cancel = CancelToken::new().unwrap();
    let command = ServiceCommand {
        uid: "mount/x",
        file: Path::new("/etc/passwd"),
        python_path: None,
    };
    let wait = Wait {
        limit: None,
        start: Instant::now(),
        cancel: &cancel,
    };
    let error = Service::start(&command, wait, Box::new(|_| {}))
        .err()
        .unwrap();
    assert_eq!(
        format!("{error:#}"),
        "starting /etc/passwd: Permission denied (os error 13)"
    );
}
