//! The runner: makes a build root fit to run programs in, then runs one.
//!
//! A sandbox shows the build tree's `/usr` only: `/etc` and `/var` are empty, as on a machine before its first boot.
//! Upstream has a runner for each distribution; here a single one looks at what the build tree brings and does what
//! the distribution's own would. The names are kept, since manifests ask for them.
//!
//! * `RUNNER PROGRAM ARGUMENTS...` prepares, runs the program and ends with its status, as upstream's do.
//! * `RUNNER prepare`, or `OSBUILD_RUNNER_PREPARE=1` in the environment, prepares and leaves the result in `/etc` and
//!   `/var`: the engine does so once for each build tree.

mod prepare;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use osbuild_stage_api::Output;

use prepare::{MachineId, Preparation};

/// The names of the runners, sorted by bytes.
pub static RUNNERS: &[&str] = &[
    "org.osbuild.AutoSD9",
    "org.osbuild.almalinux8",
    "org.osbuild.almalinux9",
    "org.osbuild.arch",
    "org.osbuild.asahi-fedora-remix",
    "org.osbuild.autosd",
    "org.osbuild.centos8",
    "org.osbuild.centos9",
    "org.osbuild.debian",
    "org.osbuild.eln11",
    "org.osbuild.fedora-asahi-remix",
    "org.osbuild.fedora30",
    "org.osbuild.fedora38",
    "org.osbuild.linux",
    "org.osbuild.ol9",
    "org.osbuild.rhel7",
    "org.osbuild.rhel81",
    "org.osbuild.rhel82",
    "org.osbuild.rhivos",
    "org.osbuild.ubuntu1804",
];

/// Has the runner prepare and run nothing; by an argument, or by this variable.
const PREPARE_ARGUMENT: &str = "prepare";
const PREPARE_VARIABLE: &str = "OSBUILD_RUNNER_PREPARE";
/// A runner that fails itself, as told from the program it runs.
const RUNNER_FAILED: u8 = 2;
/// Added to the number of a signal that ended the program, as shells do.
const SIGNAL_BASE: i32 = 128;
/// `qemu-img` may hang on aarch64 with more than one coroutine: <https://bugs.launchpad.net/qemu/+bug/1805256>.
const QEMU_QUIRK: (&str, &str) = ("OSBUILD_QEMU_IMG_COROUTINES", "1");

/// What a runner is asked to do.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Prepare,
    Run(Vec<OsString>),
}

/// Tells whether a module of this name is a runner.
pub(crate) fn is_runner(name: &str) -> bool {
    RUNNERS.binary_search(&name).is_ok()
}

/// Prepares the build root it stands in, and runs what the arguments say.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let output = Output::standard();
    let has_variable = std::env::var_os(PREPARE_VARIABLE).is_some_and(|value| !value.is_empty());
    let result = task(arguments.collect(), has_variable).and_then(|task| perform(task, &output));
    result.unwrap_or_else(|error| {
        output.line(
            format_args!("RuntimeError: preparing the build root: {error:#}")
                .to_string()
                .replace('\n', " "),
        );
        ExitCode::from(RUNNER_FAILED)
    })
}

fn task(arguments: Vec<OsString>, has_variable: bool) -> Result<Task> {
    match arguments.as_slice() {
        [argument] if argument == PREPARE_ARGUMENT => Ok(Task::Prepare),
        [] if has_variable => Ok(Task::Prepare),
        [] => bail!("a runner is given the program to run, or the word `{PREPARE_ARGUMENT}`"),
        _ => Ok(Task::Run(arguments)),
    }
}

fn perform(task: Task, output: &Output) -> Result<ExitCode> {
    let search_path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin".into());
    let preparation = Preparation {
        root: PathBuf::from("/"),
        search_path,
        output: output.clone(),
    };
    let machine_id = preparation.run()?;
    match task {
        Task::Prepare => Ok(ExitCode::SUCCESS),
        Task::Run(command) => {
            let status = run_program(&command);
            if machine_id == MachineId::Made {
                preparation.remove_machine_id()?;
            }
            status
        }
    }
}

fn run_program(command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command
        .split_first()
        .context("there is no program to run")?;
    let mut child = Command::new(program);
    child.args(arguments);
    if rustix::system::uname().machine().to_bytes() == b"aarch64" {
        child.env(QEMU_QUIRK.0, QEMU_QUIRK.1);
    }
    let status = child
        .status()
        .with_context(|| format!("running {}", OsStr::display(program)))?;
    let code = status
        .code()
        .or(status.signal().map(|signal| SIGNAL_BASE + signal));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(RUNNER_FAILED),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_found() {
        assert!(RUNNERS.is_sorted());
        assert!(is_runner("org.osbuild.debian"));
        assert!(
            !is_runner("org.osbuild.debian12"),
            "the engine resolves versions before it asks"
        );
    }

    #[test]
    fn the_arguments_say_what_to_do() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(task(words(&["prepare"]), false).unwrap(), Task::Prepare);
        assert_eq!(task(words(&[]), true).unwrap(), Task::Prepare);
        assert_eq!(
            task(words(&["/bin/x", "y"]), false).unwrap(),
            Task::Run(words(&["/bin/x", "y"]))
        );
        assert_eq!(
            task(words(&[]), false).unwrap_err().to_string(),
            "a runner is given the program to run, or the word `prepare`"
        );
    }

    #[test]
    fn the_status_of_the_program_is_passed_on() {
        let shell = |script: &str| run_program(&["sh".into(), "-c".into(), script.into()]).unwrap();
        for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
            assert_eq!(shell(script), ExitCode::from(code), "{script}");
        }
        assert!(run_program(&["no-such-program-anywhere".into()]).is_err());
    }
}
