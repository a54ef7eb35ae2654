//! Stores on disks that run full.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::private_mounts::in_private_mounts;
use osbuild_testing::server::{Answer, Server};
use serde_json::json;

use crate::manifests;
use crate::workplace::{Ran, Workplace};

/// Room for the program itself, a debug build of it included, and not much more.
const DISK_SIZE: u64 = 400 << 20;
/// More than that.
const TOO_MUCH: usize = 500 << 20;

/// A workplace whose store is on a disk of its own, in the mounts of this process alone.
fn with_small_disk() -> Workplace {
    let workplace = Workplace::new();
    let image = workplace.path("disk.img");
    fs::File::create(&image)
        .unwrap()
        .set_len(DISK_SIZE)
        .unwrap();
    run(Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0"])
        .arg(&image));
    fs::create_dir(workplace.path("disk")).unwrap();
    run(Command::new("mount")
        .args(["-o", "loop"])
        .arg(&image)
        .arg(workplace.path("disk")));
    fs::create_dir(workplace.path("disk/store")).unwrap();
    std::os::unix::fs::symlink("disk/store", workplace.path("store")).unwrap();
    workplace
}

#[track_caller]
fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// The loop device that the disk is on has another number each time.
fn without_number(text: &str) -> String {
    let mut pieces = text.split("/dev/loop");
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        shown += "/dev/loop[n]";
        shown += piece.trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    shown
}

/// Shows the number before ` bytes are free` as `[free]`: it depends on the tools that made the disk.
fn without_free_bytes(text: &str) -> String {
    let Some((before, after)) = text.split_once(" bytes are free") else {
        return text.to_owned();
    };
    let kept = before.trim_end_matches(|letter: char| letter.is_ascii_digit());
    format!("{kept}[free] bytes are free{after}")
}

/// Undoes the mount, also when a test fails: the folder can not be removed while it is there.
struct Mounted<'a>(&'a Workplace);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let disk = self.0.path("disk");
        let unmounted = Command::new("umount").arg(disk).status();
        if !std::thread::panicking() {
            assert!(unmounted.unwrap().success());
        }
    }
}

pub(crate) fn in_small_disk(test: &str, body: impl FnOnce(&Workplace)) {
    in_private_mounts(test, || {
        let workplace = with_small_disk();
        let _mounted = Mounted(&workplace);
        body(&workplace);
    });
}

#[test]
fn a_disk_that_is_too_small_for_a_download_is_told() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "full_disk::a_disk_that_is_too_small_for_a_download_is_told",
        |workplace| {
            let server = Server::start().unwrap();
            server.answer("/file", [Answer::File(vec![0; TOO_MUCH])]);
            let manifest = json!({
                "version": "2",
                "pipelines": [{"name": "tree", "stages": [{"type": "org.osbuild.noop"}]}],
                "sources": {"org.osbuild.curl": {"items": {
                    format!("sha256:{}", "0".repeat(64)): server.url("/file"),
                }}},
            });
            workplace.write("image.json", manifest.to_string());
            let ran = workplace.build("image.json");
            let message = without_number(&ran.stderr).replace(&server.url(""), "[mirror]");
            assert_eq!(
                without_free_bytes(&message),
                "error: source `org.osbuild.curl` failed: curl: error downloading [mirror]/file: exit code 23 \
                 (no space left on `[folder]/disk` (ext4 on /dev/loop[n]) for `[mirror]/file`: 524288000 more \
                 bytes are needed, [free] bytes are free)\n  \
                   help: make room there, or name a store on another disk with --store\n  \
                   help: what was fetched is kept; running the same command again goes on from there\n"
            );
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
            workplace.assert_usable();
        },
    );
}

#[test]
fn a_disk_that_runs_full_in_a_stage_is_told() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        tool("tar"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "full_disk::a_disk_that_runs_full_in_a_stage_is_told",
        |workplace| {
            let manifest = json!({
                "version": "2",
                "pipelines": [
                    {"name": "tree", "stages": [{
                        "type": "org.osbuild.truncate",
                        "options": {"filename": "zeros", "size": TOO_MUCH.to_string()},
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
            });
            workplace.write("image.json", manifest.to_string());
            let ran = workplace.build("image.json");
            // What `tar` says depends on where in a block it came to the end.
            let (first, rest) = ran.stderr.split_once('\n').unwrap();
            assert_eq!(
                first,
                "error: stage 1 of pipeline `archive`, `org.osbuild.tar`, failed with exit status 1"
            );
            let end = rest.split_once("  full log: ").unwrap().1;
            let left = end.split(' ').find(|word| word.parse::<u64>().is_ok());
            assert_eq!(
                end.replacen(left.unwrap(), "[n]", 1),
                "[folder]/store/logs/[run]/archive/001-org.osbuild.tar.log\n  \
                   help: the disk of the store has [n] MiB left: make room there, or name a store on another disk with \
                 --store\n"
            );
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
            assert!(!workplace.path("out").exists(), "nothing was exported");
            workplace.assert_usable();
        },
    );
}

/// The image is full, the disk is not.
#[test]
fn an_image_that_is_too_small_is_told_from_a_full_disk() {
    needs![root, tool("mkfs.ext4"), kernel_filesystem("ext4")];
    let workplace = Workplace::new();
    workplace.write("file", vec![1; 20 << 20]);
    let checksum = format!("sha256:{}", sha256(&vec![1; 20 << 20]));
    let disk = json!({"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}});
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "disk", "stages": [
            {"type": "org.osbuild.truncate", "options": {"filename": "disk.img", "size": "16M"}},
            {
                "type": "org.osbuild.mkfs.ext4",
                "devices": {"device": disk},
                "options": {"uuid": "1a3c5e70-0000-4000-8000-000000000003"},
            },
            {
                "type": "org.osbuild.copy",
                "inputs": {"file": {
                    "type": "org.osbuild.files",
                    "origin": "org.osbuild.source",
                    "references": [checksum],
                }},
                "devices": {"device": disk},
                "mounts": [{
                    "name": "root",
                    "type": "org.osbuild.ext4",
                    "source": "device",
                    "target": "/",
                }],
                "options": {"paths": [
                    {"from": format!("input://file/{checksum}"), "to": "mount://root/file"},
                ]},
            },
        ]}],
        "sources": {"org.osbuild.curl": {"items": {
            checksum.clone(): format!("file://{}", workplace.path("file").display()),
        }}},
    });
    workplace.write("image.json", manifest.to_string());
    let ran = workplace.build("image.json");
    assert_eq!(ran.code, 1);
    let end = ran.stderr.split_once("  full log: ").unwrap().1;
    assert_eq!(
        end,
        "[folder]/store/logs/[run]/disk/003-org.osbuild.copy.log\n  \
           help: the disk of the store has room, so it is a file system that the stage fills that is full: make \
         the image larger\n"
    );
    workplace.assert_usable();
}

/// Not even the engine's own files have room.
#[test]
fn a_disk_that_is_full_from_the_start_is_told() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "full_disk::a_disk_that_is_full_from_the_start_is_told",
        |workplace| {
            workplace.write("image.json", manifests::small());
            let ballast = workplace.path("disk/ballast");
            fill(&ballast);
            let ran = workplace.build("image.json");
            assert_eq!(
                ran.stderr,
                "error: opening the store [folder]/store: failed to create directory `[folder]/store/sources`: \
                 No space left on device (os error 28)\n  \
                   help: make room there, or name a store on another disk with --store\n"
            );
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
            fs::remove_file(&ballast).unwrap();
            assert_eq!(workplace.build("image.json"), Ran::silent());
            workplace.assert_usable();
        },
    );
}

/// Fills the disk to the last block.
fn fill(ballast: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(ballast).unwrap();
    let zeros = vec![0; 1 << 20];
    for size in [1 << 20, 4096] {
        while file.write_all(&zeros[..size]).is_ok() {}
    }
}

/// The size of a tree that is built again on a disk that has become too small for it.
const COPIED: usize = 20 << 20;
/// What is free there: enough for all but that tree.
const LEFT: u64 = 5 << 20;

/// Takes a second to compress, so that the result is worth keeping.
fn content() -> Vec<u8> {
    let mut content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    content.resize(COPIED, 0);
    content
}

/// Copies the content and compresses it under this name.
fn copying(checksum: &str, name: &str) -> String {
    let file = json!({
        "type": "org.osbuild.files",
        "origin": "org.osbuild.source",
        "references": [checksum],
    });
    let mut manifest: serde_json::Value = serde_json::from_str(&manifests::one_pipeline(&json!([
        {
            "type": "org.osbuild.copy",
            "inputs": {"file": file},
            "options": {"paths": [{"from": format!("input://file/{checksum}"), "to": "tree:///file"}]},
        },
        {"type": "org.osbuild.xz", "inputs": {"file": file}, "options": {"filename": name}},
    ])))
    .unwrap();
    manifest["sources"] = json!({"org.osbuild.curl": {"items": {checksum: "file:///nowhere"}}});
    manifest.to_string()
}

#[test]
fn a_build_that_will_not_fit_is_warned_of() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        tool("xz"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "full_disk::a_build_that_will_not_fit_is_warned_of",
        |workplace| {
            let checksum = format!("sha256:{}", sha256(&content()));
            let downloads = workplace.path("store/sources/org.osbuild.files");
            fs::create_dir_all(&downloads).unwrap();
            fs::write(downloads.join(&checksum), content()).unwrap();
            let build = |name| {
                workplace.write("image.json", copying(&checksum, name));
                let mut command = workplace.command(&["build", "image.json", "--store", "store"]);
                command.args(["--output", name]);
                // Every tree is a whole one.
                command.env("OSBUILD_SNAPSHOTTER", "copy");
                workplace.run(command)
            };
            for name in ["first", "second"] {
                let ran = build(name);
                assert_eq!(ran.code, 0, "{ran:?}");
                assert!(!ran.stderr.contains("warning"), "{ran:?}");
            }
            leave(&workplace.path("disk"), LEFT);
            let short = build("third");
            let warning =
                "warning: the store's disk is too small for this build: these stages took 2";
            assert!(short.stderr.starts_with(warning), "{short:?}");
            fs::remove_file(workplace.path("disk/ballast")).unwrap();
            let again = build("third");
            assert_eq!(again.code, 0, "{again:?}");
            assert!(!again.stderr.contains("warning"), "{again:?}");
        },
    );
}

/// What a tree of the next test takes; two of them are too large for the disk.
const LARGE: usize = 60 << 20;

/// Three pipelines, of which each needs something small of the one before; the first and the last are large.
fn one_after_the_other(checksum: &str) -> String {
    let file = json!({
        "type": "org.osbuild.files",
        "origin": "org.osbuild.source",
        "references": [checksum],
    });
    let tree_of = |pipeline: &str| {
        json!({
            "type": "org.osbuild.tree",
            "origin": "org.osbuild.pipeline",
            "references": [format!("name:{pipeline}")],
        })
    };
    let large = |name: &str| {
        let copies = (0..3).map(|number| {
            json!({"from": format!("input://file/{checksum}"), "to": format!("tree:///{name}{number}")})
        });
        json!({
            "type": "org.osbuild.copy",
            "inputs": {"file": file},
            "options": {"paths": copies.collect::<Vec<_>>()},
        })
    };
    let small = |pipeline: &str| {
        json!({
            "type": "org.osbuild.copy",
            "inputs": {"tree": tree_of(pipeline)},
            "options": {"paths": [{"from": "input://tree/small", "to": "tree:///small"}]},
        })
    };
    let mkdir = json!({"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/small"}]}});
    json!({
        "version": "2",
        "pipelines": [
            {"name": "first", "stages": [mkdir, large("a")]},
            {"name": "between", "stages": [small("first")]},
            {"name": "last", "stages": [small("between"), large("b")]},
        ],
        "sources": {"org.osbuild.curl": {"items": {checksum: "file:///nowhere"}}},
    })
    .to_string()
}

#[test]
fn a_tree_makes_room_when_nothing_needs_it_any_more() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "full_disk::a_tree_makes_room_when_nothing_needs_it_any_more",
        |workplace| {
            let content = vec![7; LARGE];
            let checksum = format!("sha256:{}", sha256(&content));
            let downloads = workplace.path("store/sources/org.osbuild.files");
            fs::create_dir_all(&downloads).unwrap();
            fs::write(downloads.join(&checksum), &content).unwrap();
            workplace.write("image.json", one_after_the_other(&checksum));
            let build = |exports: &[&str]| {
                let mut command =
                    workplace.command(&["build", "image.json", "--no-cache", "--quiet"]);
                command.args(["--store", "store", "--output", "out"]);
                for export in exports {
                    command.args(["--export", export]);
                }
                workplace.run(command)
            };
            assert_eq!(build(&["last"]), Ran::silent());
            fs::remove_dir_all(workplace.path("out")).unwrap();
            // What is to be handed out at the end can not go.
            let full = build(&["first", "last"]);
            assert!(full.stderr.contains("No space left on device"), "{full:?}");
            workplace.assert_usable();
        },
    );
}

/// How often a disk runs full.
const TRIES: u64 = 8;

#[test]
fn a_disk_that_runs_full_at_any_moment_does_no_harm() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        tool("xz"),
        kernel_filesystem("ext4")
    ];
    in_small_disk(
        "full_disk::a_disk_that_runs_full_at_any_moment_does_no_harm",
        |workplace| {
            let checksum = format!("sha256:{}", sha256(&content()));
            let original = workplace.path("content");
            fs::write(&original, content()).unwrap();
            let build = |name: &str| {
                let url = format!("file://{}", original.display());
                let manifest = copying(&checksum, name).replace("file:///nowhere", &url);
                workplace.write("image.json", manifest);
                workplace.run(workplace.build_command("image.json"))
            };
            let mut failures = 0;
            for number in 0..TRIES {
                // Spread over all that a build takes, the download first.
                leave(&workplace.path("disk"), (number + 1) * (64 << 20) / TRIES);
                let ran = build(&format!("try{number}"));
                let told = ran.stderr.to_lowercase().contains("no space left");
                assert!(ran == Ran::silent() || (ran.code == 1 && told), "{ran:?}");
                failures += u64::from(ran.code == 1);
                fs::remove_file(workplace.path("disk/ballast")).unwrap();
                let mut verify = workplace.command(&["cache", "--store", "store"]);
                verify.arg("verify");
                assert_eq!(workplace.run(verify), Ran::silent());
                if ran.code == 0 {
                    fs::remove_dir_all(workplace.path("out")).unwrap();
                }
                // Each time from the beginning.
                fs::remove_dir_all(workplace.path("store/sources")).unwrap();
                let mut prune = workplace.command(&["cache", "--store", "store"]);
                prune.args(["prune", "--all"]);
                assert_eq!(workplace.run(prune).code, 0);
            }
            assert!(failures > 0, "the disk was never full");
            assert_eq!(build("last"), Ran::silent());
            assert!(fs::read(workplace.path("out/file")).unwrap() == content());
            workplace.assert_usable();
        },
    );
}

/// Leaves so many bytes of a disk.
fn leave(disk: &Path, bytes: u64) {
    let free = || {
        let statistics = rustix::fs::statvfs(disk).unwrap();
        statistics.f_bfree * statistics.f_frsize
    };
    let ballast = fs::File::create(disk.join("ballast")).unwrap();
    rustix::fs::fallocate(
        &ballast,
        rustix::fs::FallocateFlags::empty(),
        0,
        free() - bytes,
    )
    .unwrap();
}
