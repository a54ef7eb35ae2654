//! Results that are kept unasked: used again, explained, verified, and never wrong.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use osbuild_testing::needs;
use osbuild_testing::private_mounts::in_private_mounts;
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

use crate::manifests::one_pipeline;
use crate::workplace::{Ran, Workplace, start};

/// The ways to keep trees between stages that work on any disk.
const SNAPSHOTTERS: [&str; 2] = ["overlay", "copy"];

/// Directories that are made, changed and renamed by one stage after the other, then a file of random digits.
fn stages(hostname: &str) -> Value {
    json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}, {"path": "/srv"}]}},
        {"type": "org.osbuild.machine-id", "options": {"first-boot": "yes"}},
        {"type": "org.osbuild.hostname", "options": {"hostname": hostname}},
        {"type": "org.osbuild.chmod", "options": {"items": {"/etc/hostname": {"mode": "0600"}}}},
    ])
}

fn manifest(hostname: &str) -> String {
    one_pipeline(&stages(hostname))
}

/// Builds with one way to keep trees, and tells which stages were run.
fn build(workplace: &Workplace, file: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = workplace.command(&["build", file, "--store", "store", "--output", "out"]);
    command.args(arguments);
    let ran = workplace.run(command);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    // A line for each stage: `tree: org.osbuild.mkdir 0.01 s`.
    let stages = ran
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("tree: org.osbuild."));
    stages
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

fn cache(workplace: &Workplace, arguments: &[&str]) -> Ran {
    let mut command = workplace.command(&["cache", "--store", "store"]);
    command.args(arguments);
    workplace.run(command)
}

fn steps(workplace: &Workplace) -> Vec<PathBuf> {
    let entries = fs::read_dir(workplace.path("store/steps")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// As a failing disk would have it.
#[test]
fn a_result_that_can_not_be_read_is_made_anew() {
    needs![root, tool("systemd-firstboot")];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    assert_eq!(build(&workplace, "image.json", &[]).len(), 4);
    let first = describe(&workplace.path("out")).unwrap();
    fs::remove_dir_all(workplace.path("out")).unwrap();
    for step in fs::read_dir(workplace.path("store/steps")).unwrap() {
        let info = step.unwrap().path().join("step.info");
        fs::remove_file(&info).unwrap();
        fs::create_dir(&info).unwrap();
    }
    assert_eq!(build(&workplace, "image.json", &[]).len(), 4);
    assert_eq!(describe(&workplace.path("out")).unwrap(), first);
}

#[test]
fn what_did_not_change_is_not_run_again() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    assert_eq!(build(&workplace, "image.json", &[]).len(), 4);
    let first = describe(&workplace.path("out")).unwrap();
    fs::remove_dir_all(workplace.path("out")).unwrap();
    assert_eq!(build(&workplace, "image.json", &[]), [""; 0]);
    assert_eq!(describe(&workplace.path("out")).unwrap(), first);

    fs::remove_dir_all(workplace.path("out")).unwrap();
    workplace.write("image.json", manifest("two"));
    let ran = build(&workplace, "image.json", &[]);
    assert!(
        ran.ends_with(&["hostname".to_owned(), "chmod".to_owned()]),
        "{ran:?}"
    );
    let second = describe(&workplace.path("out")).unwrap();
    assert_eq!(second, first.replace("one\\n", "two\\n"));
}

#[test]
fn the_cache_can_be_left_aside() {
    needs![root, tool("systemd-firstboot")];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    assert_eq!(build(&workplace, "image.json", &["--no-cache"]).len(), 4);
    assert_eq!(steps(&workplace), [""; 0].map(PathBuf::from));
    build(&workplace, "image.json", &[]);
    assert_eq!(build(&workplace, "image.json", &["--no-cache"]).len(), 4);
    let from = ["--cache-from", "org.osbuild.hostname"];
    assert!(build(&workplace, "image.json", &from).ends_with(&["chmod".to_owned()]));
    // Its result took the place of the one before.
    assert_eq!(build(&workplace, "image.json", &[]), [""; 0]);
    let mut command = workplace.build_command("image.json");
    command.args(["--cache-from", "org.osbuild.tar"]);
    let ran = workplace.run(command);
    assert_eq!(
        ran.stderr,
        "error: no stage has the name or id `org.osbuild.tar`\n"
    );
    assert_eq!(ran.code, 1);
}

#[test]
fn every_way_to_keep_trees_gives_the_same() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let mut found = Vec::new();
    for snapshotter in SNAPSHOTTERS {
        let workplace = Workplace::new();
        for hostname in ["before", "one"] {
            workplace.write("image.json", manifest(hostname));
            let mut command = workplace.build_command("image.json");
            command.env("OSBUILD_SNAPSHOTTER", snapshotter);
            assert_eq!(workplace.run(command), Ran::silent());
        }
        found.push(describe(&workplace.path("out")).unwrap());
    }
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    build(&workplace, "image.json", &["--no-cache"]);
    found.push(describe(&workplace.path("out")).unwrap());
    assert_eq!(found[0], found[2]);
    assert_eq!(found[1], found[2]);
}

#[test]
fn a_build_that_failed_goes_on_before_the_stage_that_failed() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    let with_end = |end: Value| {
        let mut all = stages("one");
        all.as_array_mut().unwrap().push(end);
        one_pipeline(&all)
    };
    workplace.write("image.json", with_end(json!({"type": "org.osbuild.error"})));
    assert_eq!(workplace.build("image.json").code, 1);
    workplace.write(
        "image.json",
        with_end(json!({"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/end"}]}})),
    );
    assert_eq!(build(&workplace, "image.json", &[]), ["mkdir"]);
    assert!(workplace.path("out/end").is_dir());
    assert_eq!(
        fs::read_to_string(workplace.path("out/etc/hostname")).unwrap(),
        "one\n"
    );
}

#[test]
fn why_a_stage_is_run_is_explained_before_and_after() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    build(&workplace, "image.json", &[]);
    let explain = |arguments: &[&str]| {
        let mut command = workplace.command(&["explain", "--store", "store"]);
        command.args(arguments);
        let ran = workplace.run(command);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        ran.stdout
    };
    assert_eq!(
        explain(&["image.json"]),
        "pipeline tree: reused, 4 stages\n"
    );
    let kept = steps(&workplace);
    workplace.write("image.json", manifest("two"));
    let reason = "3 org.osbuild.hostname\n      option `hostname`: `one` → `two`\n  \
                  4 org.osbuild.chmod\n      the stage before it is run\n";
    let before = explain(&["image.json"]);
    assert!(before.contains(reason), "{before}");
    assert_eq!(steps(&workplace), kept, "to explain is not to build");
    build(&workplace, "image.json", &[]);
    assert_eq!(explain(&["--last"]), before);
}

#[test]
fn damage_is_found_and_removed() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    build(&workplace, "image.json", &[]);
    let name = format!("sha256:{}", "0".repeat(64));
    let folder = workplace.path("store/sources/org.osbuild.files");
    fs::create_dir_all(&folder).unwrap();
    assert_eq!(cache(&workplace, &["verify"]), Ran::silent());

    fs::write(folder.join(&name), "not what its name says").unwrap();
    let file = find(&workplace.path("store/steps"), "hostname");
    let mut content = fs::read(&file).unwrap();
    content[1] ^= 0x10;
    fs::write(&file, content).unwrap();
    for (arguments, hint) in [
        (
            ["verify", "--keep"].as_slice(),
            "run this without --keep to remove them",
        ),
        (
            &["verify"],
            "they are removed; the next build makes them again",
        ),
    ] {
        let ran = cache(&workplace, arguments);
        assert_eq!(ran.code, 1);
        assert_eq!(
            ran.stderr,
            format!("error: 2 things in the store were damaged\n  help: {hint}\n")
        );
        assert!(
            ran.stdout.contains("etc/hostname is not what it was\n"),
            "{}",
            ran.stdout
        );
        assert!(
            ran.stdout
                .contains(&format!("{name}: not what its name says\n")),
            "{}",
            ran.stdout
        );
    }
    assert_eq!(cache(&workplace, &["verify"]), Ran::silent());
    // The file is in the layers of two stages: that of `chmod`, too, and either may be the one that was damaged.
    let again = build(&workplace, "image.json", &[]);
    assert!(
        again
            .iter()
            .any(|stage| ["hostname", "chmod"].contains(&stage.as_str())),
        "{again:?}"
    );
    assert_eq!(
        fs::read_to_string(workplace.path("out/etc/hostname")).unwrap(),
        "one\n"
    );
}

fn find(folder: &Path, name: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == name {
                return path;
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    panic!("there is no {name}");
}

#[test]
fn trees_are_pinned_pruned_and_listed() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    build(&workplace, "image.json", &[]);
    let ran = cache(&workplace, &["ls"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let last = lines
        .iter()
        .find(|line| line.ends_with("org.osbuild.chmod in tree"))
        .unwrap();
    let name = last.split(' ').next().unwrap();
    assert_eq!(cache(&workplace, &["pin", name]), Ran::silent());
    let ran = cache(&workplace, &["prune", "--all"]);
    assert!(ran.stderr.starts_with("freed "), "{ran:?}");
    // What it stands on is there as well.
    assert_eq!(build(&workplace, "image.json", &[]), [""; 0]);
    assert_eq!(cache(&workplace, &["unpin", name]), Ran::silent());
    cache(&workplace, &["prune", "--all"]);
    assert_eq!(steps(&workplace).len(), 0);
    assert_eq!(
        fs::read_to_string(workplace.path("store/cache.size")).unwrap(),
        "0"
    );
    let ran = cache(&workplace, &["pin", name]);
    assert_eq!(
        ran.stderr,
        format!("error: nothing is kept under a name that begins with `{name}`\n")
    );
    let usage = cache(&workplace, &["du"]).stdout;
    assert!(usage.contains("steps          0.0 KiB  0\n"), "{usage}");
}

#[test]
fn a_clock_that_was_set_back_and_a_newer_store_do_no_harm() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("one"));
    build(&workplace, "image.json", &[]);
    // As if all of it had been made in years to come.
    let future = std::time::SystemTime::now() + Duration::from_secs(400_000_000);
    let times = std::fs::FileTimes::new()
        .set_accessed(future)
        .set_modified(future);
    for step in steps(&workplace) {
        for name in ["object.lock", "object.info", "data/meta/info.json"] {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(step.join(name))
                .unwrap();
            file.set_times(times).unwrap();
        }
        fs::write(
            step.join("data/meta/info.json"),
            r#"{"created": 2000000000}"#,
        )
        .unwrap();
    }
    assert_eq!(build(&workplace, "image.json", &[]), [""; 0]);
    let listed = cache(&workplace, &["ls"]);
    assert!(listed.stdout.contains("just now"), "{listed:?}");
    fs::write(workplace.path("store/cache.info"), r#"{"version": 2}"#).unwrap();
    let ran = workplace.build("image.json");
    assert!(
        ran.stderr
            .contains("has format 2, and this osbuild knows format 1"),
        "{ran:?}"
    );
    assert!(cache(&workplace, &["ls"]).stderr.contains("has format 2"));
}

/// How often a build is killed beside another; `OSBUILD_TEST_KILLS` sets it, 200 for a long look.
const KILLS: u32 = 12;

#[test]
fn builds_killed_beside_others_leave_a_store_that_can_be_trusted() {
    needs![
        root,
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    let kills = std::env::var("OSBUILD_TEST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let undisturbed = Workplace::new();
    undisturbed.write("image.json", manifest("one"));
    let started = Instant::now();
    build(&undisturbed, "image.json", &[]);
    let whole = started.elapsed();
    let expected = describe(&undisturbed.path("out")).unwrap();

    let workplace = Workplace::new();
    for number in 0..kills {
        // Each time one stage is another, so that there is something to keep.
        workplace.write("image.json", manifest("one"));
        workplace.write("other.json", manifest(&format!("other{number}")));
        let mut killed = workplace.command(&["build", "other.json", "--store", "store", "--quiet"]);
        killed.args(["--output", "other"]);
        let mut beside = workplace.command(&["build", "image.json", "--store", "store", "--quiet"]);
        beside.args(["--output", "out", "--cache-from", "org.osbuild.mkdir"]);
        let (mut killed, beside) = (start(killed), start(beside));
        // Spread over the time of a build, in no order.
        std::thread::sleep(whole * ((number * 7919) % kills) / kills);
        killed.kill().unwrap();
        workplace.wait(killed);
        assert_eq!(workplace.wait(beside), Ran::silent());
        assert_eq!(describe(&workplace.path("out")).unwrap(), expected);
        fs::remove_dir_all(workplace.path("out")).unwrap();
    }
    workplace.assert_nothing_runs();
    let verified = cache(&workplace, &["verify"]);
    assert_eq!(
        (verified.code, verified.stdout.as_str()),
        (0, ""),
        "{}",
        verified.stderr
    );
    assert_eq!(workplace.build("image.json"), Ran::silent());
    assert_eq!(describe(&workplace.path("out")).unwrap(), expected);
}

#[test]
fn a_store_may_be_on_a_tmpfs_and_on_an_overlay() {
    needs![
        root,
        tool("unshare"),
        tool("systemd-firstboot"),
        kernel_filesystem("overlay")
    ];
    in_private_mounts("cache::a_store_may_be_on_a_tmpfs_and_on_an_overlay", || {
        let plain = Workplace::new();
        plain.write("image.json", manifest("one"));
        build(&plain, "image.json", &[]);
        let expected = describe(&plain.path("out")).unwrap();
        let layers = "lowerdir=disk/lower,upperdir=disk/upper,workdir=disk/work";
        for kind in ["tmpfs", "overlay"] {
            let workplace = Workplace::new();
            fs::create_dir(workplace.path("disk")).unwrap();
            let _disk = Mounted::new(&workplace, &["-t", "tmpfs", "tmpfs"], "disk");
            for folder in ["lower", "upper", "work", "disk"] {
                fs::create_dir(workplace.path("disk").join(folder)).unwrap();
            }
            // A name that is taken for a disk of the test, not for what a build left behind.
            let store = workplace.path("disk/disk");
            let _overlay = (kind == "overlay").then(|| {
                Mounted::new(
                    &workplace,
                    &["-t", "overlay", "-o", layers, "overlay"],
                    "disk/disk",
                )
            });
            std::os::unix::fs::symlink(&store, workplace.path("store")).unwrap();
            workplace.write("image.json", manifest("one"));
            assert_eq!(build(&workplace, "image.json", &[]).len(), 4, "on {kind}");
            assert_eq!(
                describe(&workplace.path("out")).unwrap(),
                expected,
                "on {kind}"
            );
            fs::remove_dir_all(workplace.path("out")).unwrap();
            assert_eq!(build(&workplace, "image.json", &[]), [""; 0], "on {kind}");
            assert_eq!(
                describe(&workplace.path("out")).unwrap(),
                expected,
                "on {kind}"
            );
            assert_eq!(cache(&workplace, &["verify"]), Ran::silent(), "on {kind}");
        }
    });
}

/// A mount in a workplace, undone also when a test fails: the folder can not be removed while it is there.
struct Mounted(PathBuf);

impl Mounted {
    fn new(workplace: &Workplace, arguments: &[&str], name: &str) -> Self {
        let place = workplace.path(name);
        let mut mount = Command::new("mount");
        mount.args(arguments).arg(&place);
        mount.current_dir(workplace.path("."));
        assert!(mount.status().unwrap().success(), "{mount:?}");
        Self(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        if !std::thread::panicking() {
            assert!(unmounted.unwrap().success());
        }
    }
}
