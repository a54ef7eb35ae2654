//! Build roots made of the host's `/usr`, with a shell command for a module.
#![expect(
    clippy::print_stdout,
    reason = "the process that is killed tells its parent how far it is"
)]

use std::path::Path;
use std::time::Duration;

use osbuild_sandbox::build_root::{KERNEL_COMMAND_LINE, Program};
use osbuild_sandbox::{
    BuildRootRequest, CancelToken, CapabilitySet, DeviceDirectory, Executor, Finished, Limits,
    SandboxSpec, build_root_spec,
};
use tempfile::TempDir;

/// Names the executor with which this program, started again, is to run a sandbox until it is killed.
pub(crate) const HOLD: &str = "OSBUILD_TEST_HOLD";

/// Gives an argument that can be found in the process list of the host.
pub(crate) fn hold_word(executor: Executor) -> String {
    format!("8639{}", executor as u8)
}

/// All that a stage is given, thrown away at the end.
pub(crate) struct Fixture {
    pub(crate) devices: DeviceDirectory,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["etc", "var/tmp", "tree", "mounts", "inputs/packages"] {
            fs_err::create_dir_all(directory.path().join(name)).unwrap();
        }
        for (name, content) in [
            ("meta", ""),
            ("arguments", "{}"),
            ("cmdline", KERNEL_COMMAND_LINE),
            ("inputs/packages/one", "package"),
        ] {
            fs_err::write(directory.path().join(name), content).unwrap();
        }
        Self {
            devices: DeviceDirectory::create(directory.path()).unwrap(),
            directory,
        }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn request(&self) -> BuildRootRequest {
        BuildRootRequest {
            root: Path::new("/").to_owned(),
            boot: None,
            etc: self.path("etc"),
            var: self.path("var"),
            devices: self.devices.path().to_owned(),
            kernel_command_line: self.path("cmdline"),
            tree: self.path("tree"),
            metadata: self.path("meta"),
            mounts: self.path("mounts"),
            inputs: self.path("inputs"),
            arguments: self.path("arguments"),
            module: Program {
                name: "org.osbuild.test".to_owned(),
                path: "/usr/bin/bash".into(),
            },
            runner: None,
            library: None,
            python_package: None,
            covered_files: Vec::new(),
            sockets: Vec::new(),
            capabilities: CapabilitySet::empty(),
            held_capabilities: CapabilitySet::held().unwrap(),
            source_epoch: None,
            terminal: None,
            environment: Vec::new(),
        }
    }

    pub(crate) fn spec(&self, script: &str) -> SandboxSpec {
        let mut spec = build_root_spec(&self.request());
        spec.command.extend(["-c".into(), script.into()]);
        spec
    }
}

/// Runs a spec without limits that matter; gives how it ended and what it wrote.
pub(crate) fn run(executor: Executor, spec: &SandboxSpec) -> (Finished, String) {
    let cancel = CancelToken::new().unwrap();
    let limits = Limits {
        timeout: Some(Duration::from_mins(1)),
        cancel: &cancel,
    };
    let mut output = Vec::new();
    let finished = executor
        .run(spec, &limits, &mut |bytes| output.extend(bytes))
        .unwrap();
    (finished, String::from_utf8(output).unwrap())
}

/// Runs a script and gives what it wrote.
pub(crate) fn output(executor: Executor, script: &str) -> String {
    let fixture = Fixture::new();
    let (finished, output) = run(executor, &fixture.spec(script));
    assert!(finished.success(), "{finished:?}: {output}");
    output
}

/// Tells whether a process with this word among its arguments runs on the machine.
pub(crate) fn is_running(word: &str) -> bool {
    let mut processes = fs_err::read_dir("/proc").unwrap();
    processes.any(|process| {
        let command = process.unwrap().path().join("cmdline");
        fs_err::read(command).is_ok_and(|line| {
            line.split(|byte| *byte == 0)
                .any(|argument| argument == word.as_bytes())
        })
    })
}

/// Waits until a process is gone; the kernel takes a moment to end a whole namespace.
pub(crate) fn wait_until_gone(word: &str) {
    for _ in 0..500 {
        if !is_running(word) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("a process with `{word}` is still there");
}

/// Runs a sandbox that does not end by itself, if this process was started to do so.
pub(crate) fn hold_a_sandbox_if_requested() {
    let Some(executor) = std::env::var_os(HOLD) else {
        return;
    };
    let executor: Executor = executor.to_str().unwrap().parse().unwrap();
    osbuild_sandbox::enter_private_mount_namespace().unwrap();
    let fixture = Fixture::new();
    // For whoever kills us, and then has to clean up.
    println!("{}", fixture.directory.path().display());
    let cancel = CancelToken::new().unwrap();
    let limits = Limits {
        timeout: None,
        cancel: &cancel,
    };
    let script = format!("sleep {} & echo started; wait", hold_word(executor));
    let finished = executor.run(&fixture.spec(&script), &limits, &mut |bytes| {
        print!("{}", String::from_utf8_lossy(bytes));
    });
    panic!("the sandbox ended: {finished:?}");
}
