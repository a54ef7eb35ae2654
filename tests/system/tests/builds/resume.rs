//! Going on with builds that came to no good end.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fs_err as fs;
use osbuild_testing::deb_repository::DebRepository;
use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::full_disk::in_small_disk;
use crate::manifests::{self, one_pipeline};
use crate::workplace::{Ran, Workplace, program, start};

/// How long a build may take to come to the stage that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// What `osbuild build` and `osbuild MANIFEST` are called with; both put the tree into `out`.
const BUILD: [&str; 6] = ["build", "image.json", "--store", "store", "--output", "out"];
const MANIFEST: [&str; 9] = [
    "image.json",
    "--store",
    "store",
    "--export",
    "tree",
    "--output-directory",
    ".",
    "--on-failure",
    "keep",
];

/// A stage that works, and one that makes a directory, whose parent has to be there.
fn manifest(second: &str) -> String {
    one_pipeline(&json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/first"}]}},
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": second}]}},
    ]))
}

fn run(workplace: &Workplace, words: &[&str]) -> Ran {
    workplace.run(workplace.command(words))
}

fn resume(workplace: &Workplace, options: &[&str]) -> Ran {
    let mut command = workplace.command(&["resume", "--store", "store"]);
    command.args(options);
    workplace.run(command)
}

/// The stages that were run: a line for each, `tree: org.osbuild.mkdir 0.01 s`.
fn stages(ran: &Ran) -> Vec<&str> {
    let lines = ran.stderr.lines();
    lines
        .filter(|line| line.ends_with(" s") && line.contains(": org.osbuild."))
        .map(|line| line.rsplit_once(' ').unwrap().0.rsplit_once(' ').unwrap().0)
        .collect()
}

/// The ids of builds that the store remembers.
fn remembered(workplace: &Workplace) -> Vec<String> {
    let listed = run(workplace, &["cache", "ls", "--store", "store"]);
    let (_, builds) = listed
        .stdout
        .split_once("Builds for `osbuild resume`:\n")
        .unwrap_or_default();
    let ids = builds.lines().map(|line| line.split(' ').next().unwrap());
    ids.map(str::to_owned).collect()
}

#[test]
fn a_build_goes_on_from_the_failed_stage_with_a_changed_manifest() {
    needs![root, kernel_filesystem("overlay")];
    for words in [&BUILD[..], &MANIFEST] {
        let workplace = Workplace::new();
        workplace.write("image.json", manifest("/not/there"));
        let ran = run(&workplace, words);
        assert_eq!(ran.code, 1, "{ran:?}");
        let ids = remembered(&workplace);
        assert_eq!(ids.len(), 1, "{ids:?}");
        let said = format!(
            "help: `osbuild resume {} --store [folder]/store` goes on from there once the cause is mended\n",
            ids[0]
        );
        assert!(ran.stderr.contains(&said), "{ran:?}");

        // As it was, it fails as before, at the same stage, and says what may be meant instead.
        workplace.write("image.json", manifest("/first/there"));
        let ran = resume(&workplace, &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let said = format!(
            "going on with {id}, [folder]/image.json: stage 2 of pipeline `tree`, `org.osbuild.mkdir`, failed with \
             exit status 1\n[folder]/image.json has changed since; this goes on with what it was. To take it as it \
             is now: osbuild resume {id} --store [folder]/store --with [folder]/image.json\n",
            id = ids[0]
        );
        assert!(ran.stderr.starts_with(&said), "{ran:?}");
        assert_eq!(remembered(&workplace), ids);
        assert!(!workplace.path("out").exists() && !workplace.path("tree").exists());

        let ran = resume(&workplace, &[&ids[0][..4], "--with", "image.json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(stages(&ran), ["tree: org.osbuild.mkdir"], "{ran:?}");
        let place = if words == BUILD { "out" } else { "tree" };
        assert_eq!(
            describe(&workplace.path(place)).unwrap(),
            "first/ 0755\nfirst/there/ 0755\n"
        );
        assert_eq!(remembered(&workplace), [""; 0]);
    }
}

#[test]
fn a_build_that_is_done_later_is_no_longer_remembered() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("/not/there"));
    assert_eq!(run(&workplace, &BUILD).code, 1);
    assert_eq!(run(&workplace, &BUILD).code, 1);
    assert_eq!(remembered(&workplace).len(), 1);
    workplace.write("image.json", manifest("/there"));
    assert_eq!(run(&workplace, &BUILD).code, 0);
    assert_eq!(remembered(&workplace), [""; 0]);
}

#[test]
fn without_a_failed_build_there_is_nothing_to_go_on_with() {
    needs![root];
    let workplace = Workplace::new();
    let ran = resume(&workplace, &[]);
    assert_eq!(
        ran.stderr,
        "error: opening the store store: there is no store\n"
    );
    assert!(!workplace.path("store").exists());
    workplace.assert_usable();
    // Without --on-failure nothing is kept, as upstream.
    workplace.write("image.json", manifest("/not/there"));
    assert_eq!(run(&workplace, &MANIFEST[..7]).code, 1);
    let ran = resume(&workplace, &[]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stderr.lines().next().unwrap(),
        "error: no build in [folder]/store is left to go on with: none failed, or all are done since"
    );
    let ran = resume(&workplace, &["abc"]);
    assert_eq!(
        ran.stderr.lines().next().unwrap(),
        "error: [folder]/store remembers no build whose id begins with `abc`"
    );
}

/// Nothing but the record is needed: stages whose results are gone are run again.
#[test]
fn a_build_goes_on_without_what_was_kept() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("/not/there"));
    let mut words = BUILD.to_vec();
    words.extend(["--on-failure", "keep"]);
    let ran = run(&workplace, &words);
    let removes = ran.stderr.split_once("shows it, `").unwrap().1;
    let removes = removes.split_once('`').unwrap().0.to_owned();
    let removes = removes.replace("[folder]", workplace.path("").to_str().unwrap());
    let removes: Vec<&str> = removes.split(' ').skip(1).collect();
    let kept = || {
        fs::read_dir(workplace.path("store/objects"))
            .unwrap()
            .count()
    };
    assert_eq!(kept(), 1);
    assert_eq!(run(&workplace, &removes).code, 0);
    assert_eq!(kept(), 0);
    for step in fs::read_dir(workplace.path("store/steps")).unwrap() {
        fs::remove_dir_all(step.unwrap().path()).unwrap();
    }
    workplace.write("image.json", manifest("/there"));
    let ran = resume(&workplace, &["--with", "image.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(stages(&ran).len(), 2);
    assert_eq!(
        describe(&workplace.path("out")).unwrap(),
        "first/ 0755\nthere/ 0755\n"
    );
}

/// Whoever wrote a record decides what is run, as root.
#[test]
fn what_others_noted_is_not_gone_on_with() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("/not/there"));
    assert_eq!(run(&workplace, &BUILD).code, 1);
    let builds = workplace.path("store/builds");
    std::os::unix::fs::chown(&builds, Some(1000), None).unwrap();
    let ran = resume(&workplace, &[]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            1,
            "error: the builds that [folder]/store remembers are not believed: [folder]/store/builds belongs to user \
             1000\n  help: going on with a build runs what its record says: only your own and root's count\n"
        )
    );
    assert_eq!(remembered(&workplace), [""; 0]);
    let ran = run(&workplace, &BUILD);
    assert!(
        ran.stderr.contains("can not be gone on with if it fails: "),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("osbuild resume"), "{ran:?}");
}

/// A store that lies in the directory where root happens to be.
#[test]
fn a_store_of_another_user_is_used_only_when_it_is_named() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("/first/there"));
    let beside = workplace.path(".osbuild");
    fs::create_dir(&beside).unwrap();
    std::os::unix::fs::chown(&beside, Some(1000), None).unwrap();
    let words = ["cache", "ls"];
    let said = "the store .osbuild here is not used, for it belongs to user 1000; name it with `--store ./.osbuild` \
                if you trust it\n";
    assert!(run(&workplace, &words).stderr.starts_with(said));
    let named = [
        "build",
        "image.json",
        "--output",
        "out",
        "--store",
        "./.osbuild",
    ];
    let ran = run(&workplace, &named);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stderr.contains("is not used"), "{ran:?}");
    assert!(beside.join("objects").exists());
}

#[test]
fn records_of_other_versions_of_the_program_are_read_or_refused() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifest("/not/there"));
    assert_eq!(run(&workplace, &BUILD).code, 1);
    let id = remembered(&workplace).remove(0);
    let file = workplace.path(&format!("store/builds/{id}.json"));
    let change = |key: &str, value: Value| {
        let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        record[key] = value;
        fs::write(&file, record.to_string()).unwrap();
    };
    change("program", json!("0.0.1"));
    let ran = resume(&workplace, &[]);
    assert!(
        ran.stderr
            .contains("\nit was begun by version 0.0.1 of osbuild, and this is "),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("\nerror: stage 2 of pipeline `tree`"),
        "{ran:?}"
    );
    change("format", json!(1));
    let ran = resume(&workplace, &[]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stderr,
        format!(
            "error: going on with build {id}: another version of osbuild remembered it, in format 1: this one reads \
             format 2\n  help: begin it anew; finished stages are used again as far as they are kept\n"
        )
    );
    assert!(remembered(&workplace).contains(&id));
    let prune = ["cache", "prune", "--all", "--store", "store"];
    assert_eq!(run(&workplace, &prune).code, 0);
    assert_eq!(remembered(&workplace), [""; 0]);
}

/// What is in the library directory counts when a build goes on, and so do the other options.
#[test]
fn a_foreign_module_is_mended_and_the_build_goes_on() {
    needs![root, kernel_filesystem("overlay")];
    let workplace = Workplace::new();
    fs::create_dir_all(workplace.path("library/stages")).unwrap();
    let write_stage = |text: &str| {
        let stage = workplace.path("library/stages/com.example.own");
        fs::write(&stage, text).unwrap();
        fs::set_permissions(&stage, PermissionsExt::from_mode(0o755)).unwrap();
    };
    workplace.write(
        "library/stages/com.example.own.meta.json",
        r#"{"summary": "s", "description": [], "schema_2": {"options": {}}}"#,
    );
    write_stage("#!/bin/sh\nexit 1\n");
    let stages_of_tree = json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/first"}]}},
        {"type": "com.example.own"},
    ]);
    workplace.write("image.json", one_pipeline(&stages_of_tree));
    let mut words = MANIFEST.to_vec();
    words.extend(["--libdir", "library", "--rundir", "run"]);
    assert_eq!(run(&workplace, &words).code, 1);
    write_stage("#!/bin/sh\nexit 0\n");
    let ran = resume(&workplace, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(stages(&ran), [""; 0], "{ran:?}");
    assert!(ran.stderr.contains("tree: com.example.own "), "{ran:?}");
    assert_eq!(describe(&workplace.path("tree")).unwrap(), "first/ 0755\n");
}

#[test]
fn a_build_that_was_killed_is_gone_on_with() {
    needs![root, tool("xz")];
    for signal in [Signal::KILL, Signal::INT] {
        let workplace = Workplace::new();
        workplace.write("image.json", manifests::long());
        let mut child = start(workplace.command(&BUILD));
        let deadline = Instant::now() + PATIENCE;
        while !has_begun(&workplace) {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline);
            std::thread::sleep(POLL);
        }
        let mut other = workplace.command(&["resume", "--store", "store"]);
        let other = other.output().unwrap();
        let said = String::from_utf8(other.stderr).unwrap();
        assert!(said.contains(" remembers is still running\n"), "{said}");
        let process = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        kill_process(process, signal).unwrap();
        workplace.wait(child);
        workplace.write("image.json", manifests::long().replace("256G", "1M"));
        let ran = resume(&workplace, &["--with", "image.json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let how = if signal == Signal::KILL {
            "was killed"
        } else {
            "interrupted"
        };
        let said = format!(", [folder]/image.json: {how}\n");
        assert!(ran.stderr.contains(&said), "{ran:?}");
        assert_eq!(remembered(&workplace), [""; 0]);
    }
}

/// Tells whether a stage of a build that is remembered writes its log.
fn has_begun(workplace: &Workplace) -> bool {
    let Ok(runs) = fs::read_dir(workplace.path("store/logs")) else {
        return false;
    };
    workplace.path("store/builds").exists()
        && runs
            .map(|run| run.unwrap().path())
            .any(|run| fs::read_dir(run).is_ok_and(|mut pipelines| pipelines.next().is_some()))
}

#[test]
fn a_build_goes_on_when_the_disk_has_room_again() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        tool("tar"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "resume::a_build_goes_on_when_the_disk_has_room_again",
        |workplace| {
            /// More than is left beside the program, and less than the disk has without the filler.
            const CONTENT: u64 = 90 << 20;
            const LEFT: u64 = 50 << 20;
            let disk = rustix::fs::statvfs(workplace.path("disk")).unwrap();
            let free = disk.f_bavail * disk.f_frsize;
            let filler = free - fs::metadata(program()).unwrap().len() - LEFT;
            let file = fs::File::create(workplace.path("disk/filler")).unwrap();
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, filler).unwrap();
            drop(file);
            workplace.write(
                "image.json",
                json!({
                    "version": "2",
                    "pipelines": [
                        {"name": "tree", "stages": [{
                            "type": "org.osbuild.truncate",
                            "options": {"filename": "zeros", "size": CONTENT.to_string()},
                        }]},
                        {"name": "archive", "stages": [{
                            "type": "org.osbuild.tar",
                            "inputs": {"tree": {
                                "type": "org.osbuild.tree",
                                "origin": "org.osbuild.pipeline",
                                "references": ["name:tree"],
                            }},
                            "options": {"filename": "tree.tar"},
                        }]},
                    ],
                })
                .to_string(),
            );
            let ran = run(workplace, &BUILD);
            assert_eq!(ran.code, 1, "{ran:?}");
            assert!(ran.stderr.contains("the disk of the store has "), "{ran:?}");
            // Not a byte is left, not even for the record.
            let mut rest = fs::File::create(workplace.path("disk/rest")).unwrap();
            while std::io::Write::write_all(&mut rest, &[1; 4096]).is_ok() {}
            drop(rest);
            let ran = resume(workplace, &[]);
            assert_eq!(ran.code, 1, "{ran:?}");
            assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
            assert!(!ran.stderr.contains("still running"), "{ran:?}");
            fs::remove_file(workplace.path("disk/rest")).unwrap();
            fs::remove_file(workplace.path("disk/filler")).unwrap();
            let ran = resume(workplace, &[]);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(stages(&ran), ["archive: org.osbuild.tar"]);
            let archive = fs::metadata(workplace.path("out/tree.tar")).unwrap();
            assert!(archive.len() > CONTENT);
            assert_eq!(remembered(workplace), [""; 0]);
        },
    );
}

/// The packages are chosen when a build begins, and anew only for a recipe that is given.
#[test]
fn a_recipe_is_gone_on_with_as_it_was_or_as_it_is() {
    needs![root];
    let workplace = Workplace::new();
    let stanza = |name: &str| {
        format!(
            "Package: {name}\nVersion: 1\nArchitecture: amd64\nEssential: yes\nPriority: required\n\
             Filename: pool/{name}.deb\nSize: 3\nSHA256: {}\n\n",
            "0".repeat(64)
        )
    };
    let mirror = workplace.path("mirror");
    let packages = stanza("base-files") + &stanza("more").replace("Essential: yes\n", "");
    let repository = DebRepository::create(&mirror, &packages).unwrap();
    let keyring = workplace.path("keyring.gpg");
    repository.write_keyring(&keyring).unwrap();
    let recipe = |include: &str| {
        format!(
            "distribution: debian\nrelease: bookworm\narchitecture: amd64\nbuild: host\n\
             repositories:\n  - mirror: file://{}\n    suites: [stable]\n    keyring: keyring.gpg\n\
             packages:\n  base: essential\n  include: [{include}]\noutputs: [tar]\n",
            mirror.display()
        )
    };
    workplace.write("image.yaml", recipe("base-files"));
    let words = ["build", "image.yaml", "--store", "store", "--output", "out"];
    assert_eq!(run(&workplace, &words).code, 1);
    let id = remembered(&workplace).remove(0);
    let record = || -> Value {
        let file = workplace.path(&format!("store/builds/{id}.json"));
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    };
    let first = record();
    let has_more = |record: &Value| {
        record["manifest"]
            .as_str()
            .unwrap()
            .contains("pool/more.deb")
    };
    assert!(!has_more(&first));
    workplace.write("image.yaml", recipe("more"));
    assert_eq!(resume(&workplace, &[]).code, 1);
    assert!(!has_more(&record()));
    assert_eq!(resume(&workplace, &["--with", "image.yaml"]).code, 1);
    assert!(has_more(&record()));
    for same in ["exports", "results", "output", "file"] {
        assert_eq!(record()[same], first[same]);
    }
}
