//! A folder in which a test runs the program, and the checks that follow every run.

use std::ffi::OsStr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fs_err as fs;
use osbuild_testing::tree::describe;

use crate::leftovers::{assert_no_scratch, assert_nothing_runs};
use crate::manifests;

/// A folder with a store of its own. The program runs in it, so messages show relative names.
#[derive(Debug)]
pub struct Workplace {
    folder: tempfile::TempDir,
}

/// What a run of the program came to; the folder's path is shown as `[folder]`, the name of a folder of
/// logs as `[run]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code, or 128 and the signal, as a shell has it.
    pub code: i32,
    /// What went to standard output.
    pub stdout: String,
    /// What went to standard error.
    pub stderr: String,
}

impl Workplace {
    /// Makes a folder, which goes when this is dropped.
    #[expect(
        clippy::new_without_default,
        reason = "that it makes a folder should be seen where it is called"
    )]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("osbuild-system-")
            .tempdir()
            .unwrap();
        Self { folder }
    }

    /// The path of something in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The program with these arguments, without what this process's environment says to it.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OSBUILD_") {
                command.env_remove(name);
            }
        }
        for name in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// `osbuild build FILE --store store --output out --quiet`.
    pub fn build_command(&self, file: &str) -> Command {
        self.command(&[
            "build", file, "--store", "store", "--output", "out", "--quiet",
        ])
    }

    /// Runs a command to its end, and checks that nothing is left of it.
    #[track_caller]
    pub fn run(&self, mut command: Command) -> Ran {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let ran = self.ran(output);
        self.assert_clean();
        ran
    }

    /// Builds, and checks that nothing is left.
    #[track_caller]
    pub fn build(&self, file: &str) -> Ran {
        self.run(self.build_command(file))
    }

    /// Builds a bad file: the whole of what the program says, its exit code, and a store that the next
    /// build can use.
    #[track_caller]
    pub fn assert_fails(&self, file: &str, code: i32, message: &str) {
        let ran = self.build(file);
        assert_eq!(ran.stderr, message);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""));
        assert!(!self.path("out").exists(), "nothing was exported");
        self.assert_usable();
    }

    /// Waits for what was started.
    pub fn wait(&self, child: Child) -> Ran {
        self.ran(child.wait_with_output().unwrap())
    }

    /// Fails if anything is left of earlier runs but what a store is for.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_nothing_runs(self.folder.path());
        assert_no_scratch(&self.path("store"));
    }

    /// Fails if anything but scratch space in the store is left of earlier runs.
    #[track_caller]
    pub fn assert_nothing_runs(&self) {
        assert_nothing_runs(self.folder.path());
    }

    /// Lets every user read and write in the folder.
    pub fn open_to_all(&self) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(self.folder.path(), mode).unwrap();
    }

    /// Fails if the store does not serve a build, or that build leaves anything behind.
    #[track_caller]
    pub fn assert_usable(&self) {
        self.write("small.json", manifests::small());
        let mut command = self.command(&["build", "small.json", "--quiet"]);
        command.args(["--store", "store", "--output", "small"]);
        let ran = self.run(command);
        assert_eq!(ran, Ran::silent());
        assert_eq!(
            describe(&self.path("small")).unwrap(),
            manifests::SMALL_TREE
        );
    }

    fn ran(&self, output: Output) -> Ran {
        let code = output.status.code();
        let code = code.unwrap_or_else(|| 128 + output.status.signal().unwrap());
        Ran {
            code,
            stdout: self.shown(output.stdout),
            stderr: self.shown(output.stderr),
        }
    }

    fn shown(&self, bytes: Vec<u8>) -> String {
        let text = String::from_utf8(bytes).unwrap();
        without_run(&text.replace(self.folder.path().to_str().unwrap(), "[folder]"))
    }
}

impl Ran {
    /// Success without a word.
    pub fn silent() -> Self {
        Self {
            code: 0,
            stdout: String::new(),
            stderr: String::new(),
        }
    }
}

/// Starts a command in a process group of its own, as a shell does.
pub fn start(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Shows `…/logs/SECONDS-PROCESS/…` as `…/logs/[run]/…`.
fn without_run(text: &str) -> String {
    let mut pieces = text.split("/logs/");
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest =
            piece.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
        shown += "/logs/[run]";
        shown += rest;
    }
    shown
}

/// The program under test.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("OSBUILD_BINARY") {
        return PathBuf::from(path);
    }
    // Test programs are in `TARGET/debug/deps`, and so is the target folder's place told from one.
    let own = std::env::current_exe().unwrap();
    let found = own
        .ancestors()
        .nth(2)
        .map(|folder| folder.join("osbuild"))
        .filter(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "there is no program to test beside {}: run `cargo build -p osbuild`, or set OSBUILD_BINARY",
            Path::new(&own).display()
        )
    })
}
