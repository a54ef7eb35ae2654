//! How sandboxes end, and that nothing is left of them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use osbuild_sandbox::{CancelToken, Executor, Limits, Reason};

use crate::support::{self, Fixture, HOLD, run, wait_until_gone};

pub(crate) fn exit_status_and_output_come_back(executor: Executor) {
    let fixture = Fixture::new();
    let (finished, output) = run(
        executor,
        &fixture.spec("echo one; echo two >&2; printf '\\xc3\\xa9'; exit 7"),
    );
    assert_eq!(finished.reason, Reason::Exited { status: 7 });
    assert_eq!(output, "one\ntwo\né");

    let (finished, output) = run(
        executor,
        &fixture.spec("head -c 3000000 /dev/zero | tr '\\0' x"),
    );
    assert!(finished.success());
    assert_eq!(output.len(), 3_000_000);
}

pub(crate) fn a_signal_is_told(executor: Executor) {
    let fixture = Fixture::new();
    let (finished, _) = run(executor, &fixture.spec("kill -TERM $$"));
    let expected = match executor {
        Executor::Namespaces => Reason::Signalled { signal: 15 },
        // All that bubblewrap tells.
        Executor::Bubblewrap => Reason::Exited { status: 128 + 15 },
    };
    assert_eq!(finished.reason, expected);
}

pub(crate) fn time_limit_is_run_time(executor: Executor) {
    let (word, limit) = (
        format!("8640{}", executor as u8),
        Duration::from_millis(400),
    );
    let fixture = Fixture::new();
    // It never falls silent, which upstream takes for a sign of life.
    let spec = fixture.spec(&format!(
        "setsid sleep {word} & while true; do echo talking; sleep 0.05; done"
    ));
    let cancel = CancelToken::new().unwrap();
    let limits = Limits {
        timeout: Some(limit),
        cancel: &cancel,
    };
    let mut pieces = 0;
    let started = Instant::now();
    let finished = executor.run(&spec, &limits, &mut |_| pieces += 1).unwrap();
    assert_eq!(finished.reason, Reason::TimedOut);
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    assert!(pieces > 0);
    wait_until_gone(&word);
}

pub(crate) fn cancelling_ends_it(executor: Executor) {
    let word = format!("8641{}", executor as u8);
    let fixture = Fixture::new();
    let spec = fixture.spec(&format!("echo started; exec sleep {word}"));
    let cancel = CancelToken::new().unwrap();
    let limits = Limits {
        timeout: None,
        cancel: &cancel,
    };
    let finished = executor
        .run(&spec, &limits, &mut |_| cancel.cancel())
        .unwrap();
    assert_eq!(finished.reason, Reason::Cancelled);
    wait_until_gone(&word);
    // A token that is cancelled beforehand ends a program before it does anything that takes time.
    let finished = executor.run(&spec, &limits, &mut |_| {}).unwrap();
    assert_eq!(finished.reason, Reason::Cancelled);
    assert!(finished.duration < Duration::from_secs(4));
}

pub(crate) fn left_over_processes_die(executor: Executor) {
    let word = format!("8642{}", executor as u8);
    let fixture = Fixture::new();
    let (finished, _) = run(
        executor,
        &fixture.spec(&format!(
            "(setsid sleep {word} >/dev/null 2>&1 &) ; (sleep {word} &); exit 0"
        )),
    );
    assert!(finished.success());
    assert!(finished.duration < Duration::from_secs(4), "{finished:?}");
    wait_until_gone(&word);
}

pub(crate) fn dies_with_a_killed_parent(executor: Executor) {
    let name = match executor {
        Executor::Namespaces => "namespaces",
        Executor::Bubblewrap => "bubblewrap",
    };
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .env(HOLD, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let directory = lines.next().unwrap().unwrap();
    let started = lines.next().unwrap().unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(started, "started");
    wait_until_gone(&support::hold_word(executor));
    // Its mounts are gone with its namespace: what is left is a plain directory.
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&directory), "{mounts}");
    std::process::Command::new("rm")
        .args(["-r", "--one-file-system", &directory])
        .status()
        .unwrap();
}

pub(crate) fn a_missing_program_is_an_error(executor: Executor) {
    let fixture = Fixture::new();
    let mut spec = fixture.spec("true");
    spec.command = vec!["/run/osbuild/bin/org.osbuild.missing".into()];
    let error = fails(executor, &spec);
    assert!(
        error.contains("/run/osbuild/bin/org.osbuild.missing"),
        "{error}"
    );
    assert!(error.contains("No such file or directory"), "{error}");
}

pub(crate) fn a_missing_source_is_an_error(executor: Executor) {
    let fixture = Fixture::new();
    fs_err::remove_dir(fixture.path("mounts")).unwrap();
    let error = fails(executor, &fixture.spec("true"));
    assert!(
        error.contains(fixture.path("mounts").to_str().unwrap()),
        "{error}"
    );
    assert!(error.contains("No such file or directory"), "{error}");
}

fn fails(executor: Executor, spec: &osbuild_sandbox::SandboxSpec) -> String {
    let cancel = CancelToken::new().unwrap();
    let limits = Limits {
        timeout: None,
        cancel: &cancel,
    };
    let error = executor.run(spec, &limits, &mut |_| {}).unwrap_err();
    format!("{error:#}")
}

pub(crate) fn many_at_a_time(executor: Executor) {
    std::thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || {
                for _ in 0..5 {
                    let fixture = Fixture::new();
                    let (finished, output) =
                        run(executor, &fixture.spec(&format!("echo {thread}")));
                    assert!(finished.success());
                    assert_eq!(output, format!("{thread}\n"));
                }
            });
        }
    });
}
