//! Machines and build roots that lack something: told by name, with what brings it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use osbuild_testing::needs;
use osbuild_testing::private_mounts::in_private_mounts;
use serde_json::json;

use crate::manifests;
use crate::workplace::Workplace;

/// The user `nobody` of most systems, and nobody's on the others.
pub(crate) const NOBODY: u32 = 65534;

#[test]
fn who_is_not_root_is_told_so() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::small());
    workplace.open_to_all();
    let mut command = workplace.build_command("image.json");
    command.uid(NOBODY).gid(NOBODY);
    let ran = workplace.run(command);
    assert_eq!(
        ran.stderr,
        "error: builds mount file systems and keep file owners, which needs root, and this is user 65534: \
         run it with sudo\n"
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(!workplace.path("store").exists(), "nothing was touched");
    workplace.assert_usable();
}

#[test]
fn a_machine_without_bubblewrap_is_told_its_package() {
    needs![root, tool("unshare"), tool("bwrap")];
    in_private_mounts(
        "missing_means::a_machine_without_bubblewrap_is_told_its_package",
        || {
            for folder in ["/usr/bin", "/usr/local/bin", "/bin"] {
                let program = format!("{folder}/bwrap");
                if std::path::Path::new(&program).is_file() {
                    // Something that is no program takes its place.
                    let hidden = Command::new("mount")
                        .args(["--bind", "/dev/null", &program])
                        .status();
                    assert!(hidden.unwrap().success());
                }
            }
            let workplace = Workplace::new();
            workplace.write("image.json", manifests::small());
            let mut command = workplace.build_command("image.json");
            command.env("OSBUILD_SANDBOX", "bubblewrap");
            let ran = workplace.run(command);
            assert_eq!(
                ran.stderr,
                "error: building pipeline `tree`: preparing the build root: `bwrap` is not installed: the package \
                 `bubblewrap` brings it (`apt install bubblewrap`, `dnf install bubblewrap`)\n"
            );
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
            // Without being told to use it, the program does not need it.
            workplace.assert_usable();
        },
    );
}

#[test]
fn a_system_that_nobody_listed_gets_the_runner_of_the_nearest() {
    needs![root, tool("unshare")];
    in_private_mounts(
        "missing_means::a_system_that_nobody_listed_gets_the_runner_of_the_nearest",
        || {
            // Not in the workplace: nothing of that may be mounted.
            let system = tempfile::NamedTempFile::new().unwrap();
            fs_err::write(
                system.path(),
                "ID=rocky\nVERSION_ID=\"9.3\"\nID_LIKE=\"rhel centos fedora\"\n",
            )
            .unwrap();
            let shown = Command::new("mount")
                .arg("--bind")
                .arg(system.path())
                .arg("/etc/os-release")
                .status();
            assert!(shown.unwrap().success());
            let workplace = Workplace::new();
            workplace.write("image.json", manifests::small());
            let ran = workplace.run(workplace.build_command("image.json"));
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            assert_eq!(
                ran.stderr,
                "note: there is no runner `org.osbuild.rocky93` for this machine's system: `org.osbuild.rhel82` is \
                 used\n"
            );
        },
    );
}

/// The build root is a tree with nothing in it but a folder.
#[test]
fn a_build_root_without_a_program_is_told_the_package() {
    needs![root];
    let workplace = Workplace::new();
    let manifest = json!({
        "version": "2",
        "pipelines": [
            {"name": "build", "stages": [
                {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/usr"}]}},
            ]},
            {"name": "disk", "build": "name:build", "stages": [
                {"type": "org.osbuild.truncate", "options": {"filename": "disk.img", "size": "1M"}},
            ]},
        ],
    });
    workplace.write("image.json", manifest.to_string());
    workplace.assert_fails("image.json", 1,
        "error: stage 1 of pipeline `disk`, `org.osbuild.truncate`, failed with exit status 1\n  \
           last lines of its output:\n    \
             $ truncate --size 1M /run/osbuild/tree/disk.img\n    \
             FileNotFoundError: [Errno 2] No such file or directory: 'truncate': package `coreutils` of the build \
         root brings it\n  \
           full log: [folder]/store/logs/[run]/disk/001-org.osbuild.truncate.log\n",
    );
}
