//! Decides what a stage sees of the host, its build tree and its own tree. Pure: nothing here touches the disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::capability::CapabilitySet;
use crate::spec::{Access, Entry, Network, Presence, SandboxSpec};

/// The content to show as `/proc/cmdline`, so that no program takes the host's options for those of the image.
pub const KERNEL_COMMAND_LINE: &str = "root=/dev/osbuild\n";

/// Where a stage finds its tree.
pub const TREE: &str = "/run/osbuild/tree";
/// Where a stage leaves its metadata.
pub const METADATA: &str = "/run/osbuild/meta";
/// Where a stage finds its mounts.
pub const MOUNTS: &str = "/run/osbuild/mounts";
/// Where a stage finds its inputs.
pub const INPUTS: &str = "/run/osbuild/inputs";
/// Where a stage finds its arguments.
pub const ARGUMENTS: &str = "/run/osbuild/api/arguments";
/// Where a stage finds the library directory, if there is one.
pub const LIBRARY: &str = "/run/osbuild/lib";

const BINARIES: &str = "/run/osbuild/bin";
const RUNNERS: &str = "/run/osbuild/runner";
const SOCKETS: &str = "/run/osbuild/api";

/// Parts of the build tree's `/etc` that programs of a build need, shown when there.
const ETC_FROM_ROOT: [&str; 3] = ["etc/mke2fs.conf", "etc/containers", "etc/selinux"];

/// What a stage is to run in. All paths are the host's.
#[derive(Clone, Debug)]
pub struct BuildRootRequest {
    /// The tree whose programs the stage uses; its `usr` is shown.
    pub root: PathBuf,
    /// The build tree's `boot`; none for the host as build root, or if it is no real directory.
    pub boot: Option<PathBuf>,
    /// A directory to be `/etc`: this stage's own, it is written to.
    pub etc: PathBuf,
    /// A directory to be `/var`: this stage's own, it is written to.
    pub var: PathBuf,
    /// A directory to be `/dev`, such as [`crate::DeviceDirectory`] makes.
    pub devices: PathBuf,
    /// A file with [`KERNEL_COMMAND_LINE`] in it.
    pub kernel_command_line: PathBuf,
    /// The tree that the stage works on.
    pub tree: PathBuf,
    /// An empty file for metadata.
    pub metadata: PathBuf,
    /// The directory below which the stage's mounts are.
    pub mounts: PathBuf,
    /// The directory below which the stage's inputs are.
    pub inputs: PathBuf,
    /// The file with the stage's arguments.
    pub arguments: PathBuf,
    /// The module's program.
    pub module: Program,
    /// A program that prepares the root and then runs the module, for modules that are not built in.
    pub runner: Option<Program>,
    /// The library directory, for modules that are not built in.
    pub library: Option<PathBuf>,
    /// The Python package, when the library directory holds only an empty place for it.
    pub python_package: Option<PathBuf>,
    /// Files to show read-only when all else of the library is there: on the host, and in the sandbox.
    pub covered_files: Vec<(PathBuf, PathBuf)>,
    /// Sockets to show, by the name of their end point.
    pub sockets: Vec<(String, PathBuf)>,
    /// What the module may do beyond the default.
    pub capabilities: CapabilitySet,
    /// What this process may do, [`CapabilitySet::held`]: no more can be handed on.
    pub held_capabilities: CapabilitySet,
    /// The source epoch of the pipeline, as decimal digits.
    pub source_epoch: Option<String>,
    /// `TERM` of the caller.
    pub terminal: Option<String>,
    /// Further variables, after all others.
    pub environment: Vec<(OsString, OsString)>,
}

/// A program on the host and the name under which it is shown.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its file name inside, `org.osbuild.mkdir`.
    pub name: String,
    /// Where it is on the host.
    pub path: PathBuf,
}

/// Computes the sandbox of a stage.
pub fn build_root_spec(request: &BuildRootRequest) -> SandboxSpec {
    let mut entries = operating_system(request);
    entries.extend(directories(request));
    entries.extend(library(request));
    entries.extend(stage(request));
    SandboxSpec {
        entries,
        environment: environment(request),
        // Bubblewrap 0.8 keeps *all* capabilities when asked for one that the caller lacks.
        capabilities: CapabilitySet::stage_default()
            .union(request.capabilities)
            .intersection(request.held_capabilities),
        network: Network::Isolated,
        command: command(request),
    }
}

fn operating_system(request: &BuildRootRequest) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(boot) = &request.boot {
        entries.push(read_only(boot, "/boot"));
    }
    entries.push(read_only(&request.root.join("usr"), "/usr"));
    for name in ["lib", "lib64", "bin", "sbin"] {
        entries.push(Entry::Symlink {
            content: Path::new("usr").join(name),
            target: Path::new("/").join(name),
        });
    }
    entries.push(bind(&request.devices, "/dev", Access::Device));
    entries.push(tmpfs("/dev/shm"));
    entries.push(bind(&request.etc, "/etc", Access::ReadWrite));
    entries.push(tmpfs("/run"));
    entries.push(tmpfs("/tmp"));
    entries.push(bind(&request.var, "/var", Access::ReadWrite));
    entries.push(Entry::Proc {
        target: PathBuf::from("/proc"),
    });
    entries.push(read_only(Path::new("/sys"), "/sys"));
    entries.push(if_present(
        Path::new("/sys/fs/selinux"),
        Path::new("/sys/fs/selinux"),
    ));
    for path in ETC_FROM_ROOT.iter().chain(&["ostree"]) {
        entries.push(if_present(
            &request.root.join(path),
            &Path::new("/").join(path),
        ));
    }
    entries.push(read_only(&request.kernel_command_line, "/proc/cmdline"));
    entries
}

/// Makes directories that would come to be anyway, so that whichever executor makes them, every user may enter.
fn directories(request: &BuildRootRequest) -> Vec<Entry> {
    let runners = request.runner.as_ref().map(|_| RUNNERS);
    ["/run/osbuild", BINARIES, SOCKETS]
        .into_iter()
        .chain(runners)
        .map(|path| Entry::Directory {
            target: PathBuf::from(path),
        })
        .collect()
}

fn library(request: &BuildRootRequest) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(library) = &request.library {
        entries.push(read_only(library, LIBRARY));
    }
    if let Some(package) = &request.python_package {
        entries.push(read_only(package, "/run/osbuild/lib/osbuild"));
    }
    for (source, target) in &request.covered_files {
        entries.push(Entry::Bind {
            source: source.clone(),
            target: target.clone(),
            access: Access::ReadOnly,
            presence: Presence::Required,
        });
    }
    entries
}

fn stage(request: &BuildRootRequest) -> Vec<Entry> {
    let mut entries = vec![
        bind(&request.tree, TREE, Access::ReadWrite),
        bind(&request.metadata, METADATA, Access::ReadWrite),
        bind(&request.mounts, MOUNTS, Access::ReadWrite),
        read_only(&request.module.path, &inside(BINARIES, &request.module)),
        read_only(&request.inputs, INPUTS),
        read_only(&request.arguments, ARGUMENTS),
    ];
    for (endpoint, socket) in &request.sockets {
        let target = format!("{SOCKETS}/{endpoint}");
        entries.push(bind(socket, &target, Access::ReadWrite));
    }
    if let Some(runner) = &request.runner {
        entries.push(read_only(&runner.path, &inside(RUNNERS, runner)));
    }
    entries
}

fn environment(request: &BuildRootRequest) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("container".into(), "bwrap-osbuild".into()),
        ("LC_CTYPE".into(), "C.UTF-8".into()),
        ("PATH".into(), "/usr/sbin:/usr/bin".into()),
        ("PYTHONPATH".into(), LIBRARY.into()),
        ("PYTHONUNBUFFERED".into(), "1".into()),
        (
            "TERM".into(),
            request.terminal.as_deref().unwrap_or("dumb").into(),
        ),
    ];
    if let Some(epoch) = &request.source_epoch {
        environment.push(("SOURCE_DATE_EPOCH".into(), epoch.into()));
    }
    environment.push(("PWD".into(), "/".into()));
    environment.extend(request.environment.iter().cloned());
    environment
}

fn command(request: &BuildRootRequest) -> Vec<OsString> {
    request
        .runner
        .iter()
        .map(|runner| inside(RUNNERS, runner))
        .chain([inside(BINARIES, &request.module)])
        .map(OsString::from)
        .collect()
}

fn inside(directory: &str, program: &Program) -> String {
    format!("{directory}/{}", program.name)
}

fn bind(source: &Path, target: &str, access: Access) -> Entry {
    Entry::Bind {
        source: source.to_owned(),
        target: PathBuf::from(target),
        access,
        presence: Presence::Required,
    }
}

fn read_only(source: &Path, target: &str) -> Entry {
    bind(source, target, Access::ReadOnly)
}

fn if_present(source: &Path, target: &Path) -> Entry {
    Entry::Bind {
        source: source.to_owned(),
        target: target.to_owned(),
        access: Access::ReadOnly,
        presence: Presence::Optional,
    }
}

fn tmpfs(target: &str) -> Entry {
    Entry::Tmpfs {
        target: PathBuf::from(target),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::bubblewrap;

    fn smallest() -> BuildRootRequest {
        let work = |name: &str| Path::new("/stage").join(name);
        BuildRootRequest {
            root: PathBuf::from("/root"),
            boot: None,
            etc: work("etc"),
            var: work("var"),
            devices: work("dev"),
            kernel_command_line: work("cmdline"),
            tree: work("tree"),
            metadata: work("meta"),
            mounts: work("mounts"),
            inputs: work("inputs"),
            arguments: work("arguments"),
            module: Program {
                name: "org.osbuild.noop".to_owned(),
                path: work("osbuild"),
            },
            runner: None,
            library: None,
            python_package: None,
            covered_files: Vec::new(),
            sockets: Vec::new(),
            capabilities: CapabilitySet::empty(),
            held_capabilities: ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_MAC_ADMIN"]
                .map(|name| name.parse().unwrap())
                .into_iter()
                .collect(),
            source_epoch: None,
            terminal: None,
            environment: Vec::new(),
        }
    }

    /// Writes a spec as bubblewrap's command line, one option to a line, and its environment.
    fn text(spec: &SandboxSpec) -> String {
        let words = bubblewrap::arguments(spec);
        let mut text = String::new();
        for word in &words {
            let word = word.to_str().unwrap();
            if !text.is_empty() {
                text.push(if word.starts_with("--") { '\n' } else { ' ' });
            }
            text.push_str(word);
        }
        for (name, value) in &spec.environment {
            text.push_str(&format!(
                "\n{}={}",
                name.to_str().unwrap(),
                value.to_str().unwrap()
            ));
        }
        text
    }

    #[test]
    fn a_native_stage_on_the_host() {
        assert_snapshot!(text(&build_root_spec(&smallest())), @r#"
        --chdir /
        --die-with-parent
        --new-session
        --unshare-ipc
        --unshare-pid
        --unshare-net
        --json-status-fd 3
        --cap-drop ALL
        --cap-add CAP_MKNOD
        --cap-add CAP_SYS_ADMIN
        --ro-bind /root/usr /usr
        --symlink usr/lib /lib
        --symlink usr/lib64 /lib64
        --symlink usr/bin /bin
        --symlink usr/sbin /sbin
        --dev-bind /stage/dev /dev
        --tmpfs /dev/shm
        --bind /stage/etc /etc
        --tmpfs /run
        --tmpfs /tmp
        --bind /stage/var /var
        --proc /proc
        --ro-bind /proc/sys /proc/sys
        --ro-bind /sys /sys
        --ro-bind-try /sys/fs/selinux /sys/fs/selinux
        --ro-bind-try /root/etc/mke2fs.conf /etc/mke2fs.conf
        --ro-bind-try /root/etc/containers /etc/containers
        --ro-bind-try /root/etc/selinux /etc/selinux
        --ro-bind-try /root/ostree /ostree
        --ro-bind /stage/cmdline /proc/cmdline
        --dir /run/osbuild
        --dir /run/osbuild/bin
        --dir /run/osbuild/api
        --bind /stage/tree /run/osbuild/tree
        --bind /stage/meta /run/osbuild/meta
        --bind /stage/mounts /run/osbuild/mounts
        --ro-bind /stage/osbuild /run/osbuild/bin/org.osbuild.noop
        --ro-bind /stage/inputs /run/osbuild/inputs
        --ro-bind /stage/arguments /run/osbuild/api/arguments
        -- /run/osbuild/bin/org.osbuild.noop
        container=bwrap-osbuild
        LC_CTYPE=C.UTF-8
        PATH=/usr/sbin:/usr/bin
        PYTHONPATH=/run/osbuild/lib
        PYTHONUNBUFFERED=1
        TERM=dumb
        PWD=/
        "#);
    }

    #[test]
    fn a_foreign_stage_in_a_build_tree() {
        let request = BuildRootRequest {
            boot: Some(PathBuf::from("/root/boot")),
            runner: Some(Program {
                name: "org.osbuild.fedora38".to_owned(),
                path: PathBuf::from("/lib/runners/org.osbuild.fedora38"),
            }),
            library: Some(PathBuf::from("/lib")),
            python_package: Some(PathBuf::from("/python/osbuild")),
            sockets: vec![("remoteloop".to_owned(), PathBuf::from("/run/socket"))],
            capabilities: ["CAP_MAC_ADMIN".parse().unwrap()].into_iter().collect(),
            source_epoch: Some("86400".to_owned()),
            terminal: Some("xterm".to_owned()),
            environment: vec![("QEMU_LOG".into(), "unimp".into())],
            ..smallest()
        };
        assert_snapshot!(text(&build_root_spec(&request)), @r#"
        --chdir /
        --die-with-parent
        --new-session
        --unshare-ipc
        --unshare-pid
        --unshare-net
        --json-status-fd 3
        --cap-drop ALL
        --cap-add CAP_MAC_ADMIN
        --cap-add CAP_MKNOD
        --cap-add CAP_SYS_ADMIN
        --ro-bind /root/boot /boot
        --ro-bind /root/usr /usr
        --symlink usr/lib /lib
        --symlink usr/lib64 /lib64
        --symlink usr/bin /bin
        --symlink usr/sbin /sbin
        --dev-bind /stage/dev /dev
        --tmpfs /dev/shm
        --bind /stage/etc /etc
        --tmpfs /run
        --tmpfs /tmp
        --bind /stage/var /var
        --proc /proc
        --ro-bind /proc/sys /proc/sys
        --ro-bind /sys /sys
        --ro-bind-try /sys/fs/selinux /sys/fs/selinux
        --ro-bind-try /root/etc/mke2fs.conf /etc/mke2fs.conf
        --ro-bind-try /root/etc/containers /etc/containers
        --ro-bind-try /root/etc/selinux /etc/selinux
        --ro-bind-try /root/ostree /ostree
        --ro-bind /stage/cmdline /proc/cmdline
        --dir /run/osbuild
        --dir /run/osbuild/bin
        --dir /run/osbuild/api
        --dir /run/osbuild/runner
        --ro-bind /lib /run/osbuild/lib
        --ro-bind /python/osbuild /run/osbuild/lib/osbuild
        --bind /stage/tree /run/osbuild/tree
        --bind /stage/meta /run/osbuild/meta
        --bind /stage/mounts /run/osbuild/mounts
        --ro-bind /stage/osbuild /run/osbuild/bin/org.osbuild.noop
        --ro-bind /stage/inputs /run/osbuild/inputs
        --ro-bind /stage/arguments /run/osbuild/api/arguments
        --bind /run/socket /run/osbuild/api/remoteloop
        --ro-bind /lib/runners/org.osbuild.fedora38 /run/osbuild/runner/org.osbuild.fedora38
        -- /run/osbuild/runner/org.osbuild.fedora38 /run/osbuild/bin/org.osbuild.noop
        container=bwrap-osbuild
        LC_CTYPE=C.UTF-8
        PATH=/usr/sbin:/usr/bin
        PYTHONPATH=/run/osbuild/lib
        PYTHONUNBUFFERED=1
        TERM=xterm
        SOURCE_DATE_EPOCH=86400
        PWD=/
        QEMU_LOG=unimp
        "#);
    }
}
