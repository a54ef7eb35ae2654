//! `org.osbuild.script`: what a script gets at that should stay in its tree, and what it leaves behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use osbuild_testing::needs;
use osbuild_testing::needs::find_program;
use osbuild_testing::server::{Answer, Server};
use serde_json::json;

use crate::archived_tree::{build_on, output};
use crate::workplace::{Ran, Workplace};

/// What scripts here call, all in `/usr/bin` of the tree.
const PROGRAMS: [&str; 7] = ["bash", "cat", "chroot", "mknod", "setsid", "sleep", "touch"];

/// Makes an archive of a tree in which these programs run.
fn tree_with_programs() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["bin", "lib", "lib64"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive
            .append_link(&mut header, name, format!("usr/{name}"))
            .unwrap();
    }
    for folder in ["dev", "proc", "sys"] {
        archive.append_dir(folder, "/").unwrap();
    }
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let program = find_program(name).unwrap();
        libraries.extend(libraries_of(&program));
        let name = Path::new("usr/bin").join(name);
        archive.append_path_with_name(program, name).unwrap();
    }
    for library in libraries {
        let path = library.strip_prefix("/").unwrap();
        let path = match path.strip_prefix("usr") {
            Ok(_) => path.to_owned(),
            Err(_) => Path::new("usr").join(path),
        };
        archive.append_path_with_name(&library, path).unwrap();
    }
    archive.into_inner().unwrap()
}

/// The files that a program is loaded with, its loader among them.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Runs a script in a tree with programs; gives what it came to, and the script's own lines.
fn run(workplace: &Workplace, script: &str) -> (Ran, Vec<String>) {
    let stage = json!({"type": "org.osbuild.script", "options": {"script": script}});
    let ran = build_on(workplace, tree_with_programs(), &stage);
    let lines = output(&ran);
    (ran, lines)
}

#[test]
fn a_script_sees_its_tree_and_nothing_else_of_the_host() {
    needs![root, tool("ldd"), tool("bash"), tool("setsid")];
    let (workplace, server) = (Workplace::new(), Server::start().unwrap());
    server.answer("/", [Answer::File(b"reached".to_vec())]);
    let address = server.url("");
    let port = address.rsplit(':').next().unwrap();
    workplace.write("secret", "of the host");
    let folder = workplace.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let name = folder.rsplit('/').next().unwrap();
    let script = format!(
        r#"#!/usr/bin/bash
try() {{
    local what=$1
    shift
    if "$@" 2>/dev/null; then echo "$what: yes"; else echo "$what: no"; fi
}}
ask() {{ exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET / HTTP/1.1\r\n\r\n' >&3 && read -r answer <&3; }}
try "write in the tree" touch /written
try "read from the tree" cat /proc/self/root/written
try "write below /usr of the build root" touch /proc/1/root/usr/{name}
try "write below /etc of the host" touch /proc/1/root/run/host/etc/{name}
try "read a file of the host" cat {folder}/secret
for process in /proc/[0-9]*; do
    [ -e "$process/root{folder}/secret" ] && echo "$process sees the host"
    [ -e "$process/cwd/secret" ] && echo "$process is at home on the host"
done
try "make a device node" mknod /dev/disk b 7 0
try "make /usr of the build root writable" chroot /proc/1/root /usr/bin/mount -o remount,bind,rw /usr
try "reach the network" bash -c "$(declare -f ask); ask"
"#
    );
    let (ran, lines) = run(&workplace, &script);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(
        lines,
        [
            "write in the tree: yes",
            "read from the tree: yes",
            "write below /usr of the build root: no",
            "write below /etc of the host: no",
            "read a file of the host: no",
            "make a device node: no",
            "make /usr of the build root writable: no",
            "reach the network: no",
        ]
    );
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    assert!(workplace.path("out/tree/written").exists());
    assert!(!Path::new("/usr").join(name).exists());
}

#[test]
fn a_daemon_of_a_script_ends_with_the_stage() {
    needs![root, tool("ldd"), tool("bash"), tool("setsid")];
    let workplace = Workplace::new();
    // It would hold up the build if anyone waited for it, and write to the tree after its export.
    let script = "#!/usr/bin/bash\n\
        setsid -f bash -c 'touch /started; exec >/dev/null 2>&1; sleep 600; touch /too-late'\n\
        while [ ! -e /started ]; do sleep 0.01; done\n\
        echo done\n";
    let started = std::time::Instant::now();
    // That no process is left is checked after every run.
    let (ran, lines) = run(&workplace, script);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(lines, ["done"]);
    assert!(started.elapsed().as_secs() < 300);
    assert!(workplace.path("out/tree/started").exists());
    assert!(!fs::exists(workplace.path("out/tree/too-late")).unwrap());
}
