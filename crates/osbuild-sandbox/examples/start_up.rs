//! Prints what starting and ending a sandbox costs: `start_up [runs]`, as root.
#![expect(clippy::print_stdout, reason = "it is a measurement")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use osbuild_sandbox::build_root::{KERNEL_COMMAND_LINE, Program};
use osbuild_sandbox::{
    BuildRootRequest, CancelToken, CapabilitySet, DeviceDirectory, Executor, Limits, LoopDevice,
    LoopOptions, SandboxSpec, build_root_spec,
};

fn main() -> Result<()> {
    osbuild_sandbox::init::main_if_requested();
    osbuild_sandbox::enter_private_mount_namespace()?;
    let runs = std::env::args()
        .nth(1)
        .map_or(Ok(50), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let (spec, _devices) = prepare(directory.path())?;
    for executor in [Executor::Namespaces, Executor::Bubblewrap] {
        report(&format!("{executor:?}, /usr/bin/true"), runs, || {
            let cancel = CancelToken::new()?;
            let limits = Limits {
                timeout: None,
                cancel: &cancel,
            };
            let finished = executor.run(&spec, &limits, &mut |_| {})?;
            anyhow::ensure!(finished.success(), "{finished:?}");
            Ok(())
        })?;
    }
    report("device directory, made and removed", runs, || {
        DeviceDirectory::create(directory.path()).map(drop)
    })?;
    let image = tempfile::tempfile()?;
    image.set_len(1 << 20)?;
    report("loop device, attached and detached", runs, || {
        LoopDevice::attach(&image, &LoopOptions::default())?.detach()
    })
}

fn prepare(directory: &Path) -> Result<(SandboxSpec, DeviceDirectory)> {
    for name in ["etc", "var/tmp", "tree", "mounts", "inputs"] {
        fs_err::create_dir_all(directory.join(name))?;
    }
    for (name, content) in [
        ("meta", ""),
        ("arguments", "{}"),
        ("cmdline", KERNEL_COMMAND_LINE),
    ] {
        fs_err::write(directory.join(name), content)?;
    }
    let devices = DeviceDirectory::create(directory)?;
    let spec = build_root_spec(&BuildRootRequest {
        root: "/".into(),
        boot: None,
        etc: directory.join("etc"),
        var: directory.join("var"),
        devices: devices.path().to_owned(),
        kernel_command_line: directory.join("cmdline"),
        tree: directory.join("tree"),
        metadata: directory.join("meta"),
        mounts: directory.join("mounts"),
        inputs: directory.join("inputs"),
        arguments: directory.join("arguments"),
        module: Program {
            name: "org.osbuild.noop".to_owned(),
            path: "/usr/bin/true".into(),
        },
        runner: None,
        library: None,
        python_package: None,
        covered_files: Vec::new(),
        sockets: Vec::new(),
        capabilities: CapabilitySet::empty(),
        held_capabilities: CapabilitySet::held()?,
        source_epoch: None,
        terminal: None,
        environment: Vec::new(),
    });
    Ok((spec, devices))
}

/// Runs something many times; prints the fastest, the middle and the slowest in milliseconds.
fn report(what: &str, runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    let mut times: Vec<Duration> = Vec::with_capacity(runs);
    for _ in 0..runs {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{what}: fastest {:.2} ms, middle {:.2} ms, slowest {:.2} ms of {runs}",
        milliseconds(times[0]),
        milliseconds(times[runs / 2]),
        milliseconds(times[runs - 1]),
    );
    Ok(())
}
