//! Builds that use one store at a time.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::json;

use crate::manifests;
use crate::workplace::{Ran, Workplace, start};

#[test]
fn builds_at_the_same_time_give_equal_results() {
    needs![
        root,
        tool("mkfs.ext4"),
        tool("tar"),
        kernel_filesystem("ext4")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::varied());
    let names = ["one", "two", "three"];
    let builds = names.map(|name| {
        let mut command = workplace.command(&["image.json", "--store", "store", "--quiet"]);
        command.args([
            "--export",
            "archive",
            "--export",
            "disk",
            "--checkpoint",
            "*",
        ]);
        command.args(["--output-directory", name]);
        start(command)
    });
    for build in builds {
        assert_eq!(workplace.wait(build), Ran::silent());
    }
    workplace.assert_clean();
    let [one, two, three] =
        names.map(|name| fs::read(workplace.path(&format!("{name}/archive/tree.tar"))).unwrap());
    assert!(one == two && two == three, "the archives differ");
    workplace.assert_usable();
}

/// Two machines, as far as a build can tell: processes with numbers of their own, another name, another boot.
const HOSTS: [&str; 2] = [
    "11111111-0000-4000-8000-000000000000",
    "22222222-0000-4000-8000-000000000000",
];
/// Builds of each host, after another.
const ROUNDS: usize = 3;

/// Runs the program on one of them.
fn on_host(workplace: &Workplace, boot_id: &str, arguments: &[&str]) -> Command {
    const SCRIPT: &str = r#"echo "$0" >/proc/sys/kernel/hostname
        mount --bind "$0" /proc/sys/kernel/random/boot_id || exit 99
        exec "$@""#;
    workplace.write(boot_id, format!("{boot_id}\n"));
    let program = workplace.command(arguments);
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--uts"])
        .args(["sh", "-c", SCRIPT, boot_id])
        .arg(program.get_program())
        .args(arguments)
        .current_dir(workplace.path(""));
    command
}

#[test]
fn two_hosts_share_a_store() {
    needs![
        root,
        tool("unshare"),
        tool("mount"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    for round in 0..ROUNDS {
        // What both build, and one of its own for each: the first must come out once and for all, the others in peace.
        let builds: Vec<_> = HOSTS
            .into_iter()
            .enumerate()
            .flat_map(|(number, host)| {
                [
                    (host, format!("both{round}")),
                    (host, format!("own{round}-{number}")),
                ]
            })
            .map(|(host, name)| {
                let file = format!("{name}.json");
                workplace.write(&file, named(&name));
                let out = format!("out-{name}-{host}");
                let arguments = [
                    "build", &file, "--store", "store", "--output", &out, "--quiet",
                ];
                let build = start(on_host(&workplace, host, &arguments));
                (name, out, build)
            })
            .collect();
        for (name, out, build) in builds {
            assert_eq!(workplace.wait(build), Ran::silent(), "{name}");
            let tree = describe(&workplace.path(&out)).unwrap();
            assert_eq!(
                tree,
                format!("etc/ 0755\netc/hostname 0644 \"{name}\\n\"\n")
            );
        }
    }
    workplace.assert_clean();
    assert_eq!(
        fs::read_dir(workplace.path("store/stage")).unwrap().count(),
        0
    );
    for host in HOSTS {
        let verify = on_host(&workplace, host, &["cache", "--store", "store", "verify"]);
        assert_eq!(workplace.run(verify), Ran::silent());
        // What one has made and brought to the disk, the other trusts.
        for number in 0..HOSTS.len() {
            let file = format!("own0-{number}.json");
            let explain = on_host(&workplace, host, &["explain", &file, "--store", "store"]);
            let said = workplace.run(explain);
            assert_eq!(said.stdout, "pipeline tree: reused, 2 stages\n");
        }
    }
    workplace.assert_usable();
}

fn named(name: &str) -> String {
    manifests::one_pipeline(&json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
        {"type": "org.osbuild.hostname", "options": {"hostname": name}},
    ]))
}

#[test]
fn who_reads_does_not_wait_for_who_writes() {
    needs![root, tool("xz"), kernel_filesystem("overlay")];
    let workplace = Workplace::new();
    workplace.write("small.json", manifests::small());
    assert_eq!(workplace.build("small.json"), Ran::silent());
    fs::remove_dir_all(workplace.path("out")).unwrap();
    // Minutes of writing, beside which another tree is read, kept, listed and verified.
    workplace.write("long.json", manifests::long());
    let mut command = workplace.command(&["build", "long.json", "--store", "store", "--quiet"]);
    command.args(["--output", "long"]);
    let mut long = start(command);
    let deadline = Instant::now() + Duration::from_mins(1);
    while fs::read_dir(workplace.path("store/stage")).unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "the long build does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    let quick = |mut command: Command| {
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{said}");
    };
    quick(workplace.build_command("small.json"));
    assert_eq!(
        describe(&workplace.path("out")).unwrap(),
        manifests::SMALL_TREE
    );
    workplace.write("other.json", named("other"));
    let mut command = workplace.command(&["build", "other.json", "--store", "store", "--quiet"]);
    command.args(["--output", "other"]);
    quick(command);
    for action in ["ls", "du", "verify"] {
        quick(workplace.command(&["cache", "--store", "store", action]));
    }
    assert!(long.try_wait().unwrap().is_none(), "it still writes");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&long),
        rustix::process::Signal::INT,
    )
    .unwrap();
    assert_ne!(workplace.wait(long).code, 0);
    workplace.assert_clean();
    workplace.assert_usable();
}

/// Builds on one store with a limit; `OSBUILD_TEST_BUILDS` sets it, 200 for a long look.
const BUILDS: usize = 16;
const AT_A_TIME: usize = 8;
/// Room for some of the trees that the builds make.
const LIMIT: u64 = 6 << 20;
/// What each of them makes.
static CONTENT: [u8; 1 << 20] = [3; 1 << 20];

/// A tree of its own for each number but every tenth, with a file in it.
fn numbered(number: usize, checksum: &str) -> String {
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [
            {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": format!("/{}", number % 10 * number)}]}},
            {
                "type": "org.osbuild.copy",
                "inputs": {"file": {
                    "type": "org.osbuild.files",
                    "origin": "org.osbuild.source",
                    "references": [checksum],
                }},
                "options": {"paths": [{"from": format!("input://file/{checksum}"), "to": "tree:///file"}]},
            },
        ]}],
        "sources": {"org.osbuild.curl": {"items": {checksum: "file:///nowhere"}}},
    });
    manifest.to_string()
}

#[test]
fn many_builds_keep_to_the_limit_of_their_store() {
    needs![root];
    let builds = std::env::var("OSBUILD_TEST_BUILDS").map_or(BUILDS, |text| text.parse().unwrap());
    let workplace = Workplace::new();
    let checksum = format!("sha256:{}", sha256(&CONTENT));
    let downloads = workplace.path("store/sources/org.osbuild.files");
    fs::create_dir_all(&downloads).unwrap();
    fs::write(downloads.join(&checksum), CONTENT).unwrap();
    let info = json!({"version": 1, "maximum-size": LIMIT});
    workplace.write("store/cache.info", info.to_string());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= builds {
                        break;
                    }
                    let (file, out) = (format!("{number}.json"), format!("out{number}"));
                    workplace.write(&file, numbered(number, &checksum));
                    let mut command = workplace.command(&["build", &file, "--store", "store"]);
                    command.args(["--quiet", "--output", &out]);
                    assert_eq!(workplace.wait(start(command)), Ran::silent());
                    let made = fs::read(workplace.path(&format!("{out}/file"))).unwrap();
                    assert!(made == CONTENT, "build {number} made something else");
                    fs::remove_dir_all(workplace.path(&out)).unwrap();
                }
            });
        }
    });
    workplace.assert_clean();
    let size: u64 = fs::read_to_string(workplace.path("store/cache.size"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(size > 0 && size <= LIMIT, "{size} bytes are kept");
    let kept = fs::read_dir(workplace.path("store/steps")).unwrap().count();
    assert!(kept > 0 && kept < builds, "{kept} trees are kept");
    let mut command = workplace.command(&["cache", "--store", "store"]);
    command.arg("verify");
    assert_eq!(workplace.run(command), Ran::silent());
    workplace.assert_usable();
}
