//! A store as a build uses it; no privileges needed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use osbuild_store::{
    MaximumSize, Ownership, Store, StoreOptions, Top, TreeBuilder, export, remove_tree,
};
use serde_json::json;
use tempfile::TempDir;

const ID: &str = "beda46704765a47e6d4f44aff22168ae36866c9c0e6e11552b775b77776b2969";

fn open(directory: &TempDir) -> Store {
    Store::open(&directory.path().join("store"), &StoreOptions::default()).unwrap()
}

fn open_with_limit(directory: &TempDir, bytes: u64) -> Store {
    let options = StoreOptions {
        maximum_size: Some(MaximumSize::Bytes(bytes)),
        ..StoreOptions::default()
    };
    Store::open(&directory.path().join("store"), &options).unwrap()
}

fn tree_with(store: &Store, name: &str, bytes: usize) -> TreeBuilder {
    let builder = store.new_tree().unwrap();
    fs_err::write(builder.tree().join(name), vec![b'x'; bytes]).unwrap();
    builder
}

fn booked(store: &Store) -> u64 {
    fs_err::read_to_string(store.root().join("cache.size"))
        .unwrap()
        .parse()
        .unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_committed_tree_is_found_again_with_its_metadata() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    assert!(!store.contains(ID) && store.object(ID).unwrap().is_none());
    let builder = tree_with(&store, "file", 5000);
    assert_eq!(
        fs_err::metadata(builder.tree()).unwrap().mode() & 0o7777,
        0o755
    );
    builder
        .write_metadata("stage-1", &json!({"a": [1, null]}))
        .unwrap();
    let object = builder.commit(ID).unwrap();
    assert!(object.is_kept());
    drop(object);
    drop(store);

    let store = open(&directory);
    let object = store.object(ID).unwrap().unwrap();
    assert_eq!(
        fs_err::read(object.tree().join("file")).unwrap().len(),
        5000
    );
    let metadata: Vec<_> = object.metadata().unwrap().into_iter().collect();
    assert_eq!(metadata, [("stage-1".to_owned(), json!({"a": [1, null]}))]);
    assert_eq!(
        names(&store.root().join("objects").join(ID)),
        ["data", "object.info", "object.lock"]
    );
    assert!(names(&store.root().join("stage")).is_empty());
}

#[test]
fn a_tree_that_starts_from_another_leaves_it_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let builder = tree_with(&store, "file", 10);
    builder.write_metadata("one", &json!(1)).unwrap();
    let base = builder.commit("base").unwrap();
    let next = store.new_tree_from(&base).unwrap();
    fs_err::write(next.tree().join("file"), "changed").unwrap();
    next.write_metadata("two", &json!(2)).unwrap();
    let middle = next.checkpoint("middle").unwrap();
    fs_err::remove_file(next.tree().join("file")).unwrap();
    let last = next.commit("last").unwrap();
    assert_eq!(fs_err::read(base.tree().join("file")).unwrap(), [b'x'; 10]);
    assert_eq!(
        fs_err::read(middle.tree().join("file")).unwrap(),
        b"changed"
    );
    assert!(!last.tree().join("file").exists());
    assert_eq!(base.metadata().unwrap().len(), 1);
    assert_eq!(last.metadata().unwrap().len(), 2);
}

#[test]
fn floating_and_abandoned_trees_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    drop(tree_with(&store, "file", 10));
    let floating = tree_with(&store, "file", 10).keep_floating(ID).unwrap();
    let copy = floating.clone();
    assert!(!floating.is_kept());
    drop(floating);
    assert!(copy.tree().join("file").exists());
    drop(copy);
    assert!(names(&store.root().join("stage")).is_empty());
    assert!(!store.contains(ID));
    assert_eq!(booked(&store), 0);
}

#[test]
fn the_first_of_two_equal_trees_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let first = tree_with(&store, "first", 10).commit(ID).unwrap();
    let before = booked(&store);
    let second = tree_with(&store, "second", 10).commit(ID).unwrap();
    assert!(second.tree().join("first").exists());
    assert_eq!(first.tree(), second.tree());
    assert_eq!(booked(&store), before);
}

#[test]
fn the_oldest_unused_object_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_with_limit(&directory, 1_000_000);
    let commit = |id: &str| tree_with(&store, "file", 300_000).commit(id).unwrap();
    drop(commit("a"));
    // File times have the resolution of the kernel's clock tick.
    std::thread::sleep(std::time::Duration::from_millis(20));
    drop(commit("b"));
    std::thread::sleep(std::time::Duration::from_millis(20));
    let held = commit("c");
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(
        store.object("a").unwrap().is_some(),
        "this use makes `b` the oldest"
    );
    drop(commit("d"));
    let there: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .filter(|id| store.contains(id))
        .collect();
    assert!(
        !there.contains(&"b") && there.contains(&"c") && there.contains(&"d"),
        "{there:?}"
    );
    assert!(booked(&store) <= 1_000_000);
    drop(held);

    let too_big = tree_with(&store, "file", 2_000_000).commit("e").unwrap();
    assert!(!too_big.is_kept() && !store.contains("e"));
    assert!(too_big.tree().join("file").exists());
}

#[test]
fn the_limit_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    drop(open_with_limit(&directory, 4096));
    assert_eq!(open(&directory).maximum_size(), MaximumSize::Bytes(4096));
    let info = fs_err::read_to_string(directory.path().join("store/cache.info")).unwrap();
    assert_eq!(info, r#"{"version":1,"maximum-size":4096}"#);
}

#[test]
fn what_was_not_flushed_is_not_trusted_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    drop(tree_with(&store, "file", 10).commit("flushed").unwrap());
    store.flush().unwrap();
    let noted = ["noted", "torn", "renamed", "dated"];
    for id in noted {
        drop(tree_with(&store, "file", 10).commit(id).unwrap());
    }
    store.record_digests().unwrap();
    drop(tree_with(&store, "file", 10).commit("lost").unwrap());
    // What a file system without a journal can do to them.
    let file = |id: &str| store.root().join("objects").join(id).join("data/tree/file");
    fs_err::write(file("torn"), [0; 10]).unwrap();
    fs_err::rename(file("renamed"), file("renamed").with_extension("x")).unwrap();
    let dated = fs_err::File::open(file("dated")).unwrap();
    dated.set_modified(std::time::UNIX_EPOCH).unwrap();
    for id in noted.into_iter().chain(["flushed", "lost"]) {
        let path = store.root().join("objects").join(id).join("object.info");
        let mut info: serde_json::Value =
            serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        info["creation-boot-id"] = json!("00000000000000000000000000000000");
        fs_err::write(&path, info.to_string()).unwrap();
    }
    assert!(store.contains("flushed") && !store.contains("lost"));
    // What is as it was noted is trusted, and from now on without a comparison.
    assert!(store.contains("noted"));
    fs_err::remove_file(store.root().join("objects/noted/content-digests")).unwrap();
    assert!(store.contains("noted"));
    for id in ["torn", "renamed", "dated"] {
        assert!(!store.contains(id), "{id}");
    }
    // It is replaced, not in the way.
    let again = tree_with(&store, "new", 10).commit("lost").unwrap();
    assert!(again.is_kept() && again.tree().join("new").exists());
    assert!(!again.tree().join("file").exists());
}

/// Opening empties `tmp` and `stage`: it must not do that to directories of others, the machine's own `/tmp` above all.
#[test]
fn what_is_not_a_store_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let refuse = |path: &Path| {
        format!(
            "{:#}",
            Store::open(path, &StoreOptions::default()).unwrap_err()
        )
    };
    let home = directory.path().join("home");
    for file in ["tmp/mine", "stage/mine", "letter"] {
        let file = home.join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, "precious").unwrap();
    }
    assert!(
        refuse(&home).contains("it is no store and not empty"),
        "{}",
        refuse(&home)
    );
    fs_err::remove_file(home.join("letter")).unwrap();
    assert!(
        refuse(&home).contains("it is no store and not empty"),
        "{}",
        refuse(&home)
    );
    assert_eq!(names(&home), ["stage", "tmp"], "nothing was made");
    for file in ["tmp/mine", "stage/mine"] {
        assert_eq!(fs_err::read_to_string(home.join(file)).unwrap(), "precious");
    }
}

/// Upstream makes a store beside whatever is there; its own tests keep the manifest in it.
#[test]
fn a_directory_with_other_files_becomes_a_store_and_keeps_them() {
    let directory = tempfile::tempdir().unwrap();
    let letter = directory.path().join("manifest.json");
    fs_err::write(&letter, "{}").unwrap();
    for _ in 0..2 {
        drop(Store::open(directory.path(), &StoreOptions::default()).unwrap());
    }
    assert_eq!(fs_err::read_to_string(&letter).unwrap(), "{}");
}

/// Tools put downloads there before the first build.
#[test]
fn a_directory_with_downloads_alone_becomes_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let download = directory.path().join("sources/org.osbuild.files/sha256:00");
    fs_err::create_dir_all(download.parent().unwrap()).unwrap();
    fs_err::write(&download, "x").unwrap();
    drop(Store::open(directory.path(), &StoreOptions::default()).unwrap());
    // A store whose damaged `cache.info` was deleted, as the message about it says.
    fs_err::remove_file(directory.path().join("cache.info")).unwrap();
    drop(Store::open(directory.path(), &StoreOptions::default()).unwrap());
    assert_eq!(fs_err::read_to_string(&download).unwrap(), "x");
}

#[test]
fn an_object_made_by_upstream_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let object = store.root().join("objects").join(ID);
    fs_err::create_dir_all(object.join("data/tree")).unwrap();
    fs_err::create_dir_all(object.join("data/meta")).unwrap();
    fs_err::write(object.join("data/meta/info.json"), r#"{"created": 1234}"#).unwrap();
    fs_err::write(object.join("object.lock"), "").unwrap();
    assert!(
        !store.contains(ID),
        "without object.info it is not complete"
    );
    let info = r#"{"creation-boot-id": "0123", "size": 4096}"#;
    fs_err::write(object.join("object.info"), info).unwrap();
    let object = store.object(ID).unwrap().unwrap();
    store
        .new_tree_from(&object)
        .unwrap()
        .commit("next")
        .unwrap();
}

#[test]
fn times_are_clamped_to_the_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let builder = tree_with(&store, "new", 1);
    let old = builder.tree().join("old");
    let file = fs_err::File::create(&old).unwrap();
    file.file()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000))
        .unwrap();
    std::os::unix::fs::symlink("nowhere", builder.tree().join("link")).unwrap();
    let object = builder.with_epoch(Some(86400)).keep_floating(ID).unwrap();
    let modified = |name: &str| {
        fs_err::symlink_metadata(object.tree().join(name))
            .unwrap()
            .mtime()
    };
    assert_eq!(
        [
            modified("new"),
            modified("link"),
            modified("old"),
            modified(".")
        ],
        [86400, 86400, 1000, 86400]
    );
}

#[test]
fn what_killed_builds_left_is_removed_and_what_is_in_use_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let in_use = store.temporary("in.use-").unwrap();
    fs_err::write(in_use.path().join("file"), "").unwrap();
    let builder = tree_with(&store, "file", 10);
    for path in ["tmp/stale/deep", "stage/uuid-stale/data"] {
        fs_err::create_dir_all(store.root().join(path)).unwrap();
    }
    fs_err::write(store.root().join("tmp/stale.lock"), "").unwrap();
    fs_err::write(store.root().join("tmp/lonely.lock"), "").unwrap();
    fs_err::write(store.root().join("stage/uuid-stale/object.lock"), "").unwrap();
    drop(open(&directory));
    assert!(in_use.path().join("file").exists() && builder.tree().join("file").exists());
    assert_eq!(
        names(&store.root().join("tmp")).len(),
        2,
        "the directory in use and its lock"
    );
    assert_eq!(names(&store.root().join("stage")).len(), 1);
    in_use.remove().unwrap();
    assert!(names(&store.root().join("tmp")).is_empty());
}

#[test]
fn what_is_left_of_a_killed_removal_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    drop(tree_with(&store, "file", 5000).commit(ID).unwrap());
    let (object, size) = (store.root().join("objects").join(ID), booked(&store));
    // As upstream leaves it, and with a file that is nobody's part of an object.
    fs_err::remove_file(object.join("object.lock")).unwrap();
    fs_err::remove_file(object.join("object.info")).unwrap();
    let foreign = store.root().join("objects/notes");
    fs_err::create_dir_all(foreign.join("mine")).unwrap();
    // As ours leaves it, before its bytes were given back.
    fs_err::create_dir_all(store.root().join("stage/uuid-gone/data")).unwrap();
    fs_err::write(store.root().join("stage/uuid-gone/object.lock"), "").unwrap();
    fs_err::write(store.root().join(".new-0123"), "half").unwrap();

    drop(open(&directory));
    assert!(object.exists(), "someone else has the store open");
    fs_err::create_dir_all(store.root().join("stage/uuid-gone/data")).unwrap();
    drop(store);
    let store = open(&directory);
    assert!(!object.exists() && foreign.join("mine").exists());
    assert!(names(&store.root().join("stage")).is_empty());
    assert!(!store.root().join(".new-0123").exists());
    assert_eq!(booked(&store), 0);
    drop(tree_with(&store, "file", 5000).commit(ID).unwrap());
    assert_eq!(booked(&store), size);
    assert!(store.contains(ID));
}

#[test]
fn what_can_not_be_a_store_is_said_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let fails = |path: &Path| {
        format!(
            "{:#}",
            Store::open(path, &StoreOptions::default()).unwrap_err()
        )
    };
    let file = directory.path().join("file");
    fs_err::write(&file, "").unwrap();
    assert_eq!(
        fails(&file),
        format!(
            "opening the store {}: it is a file and not a directory: delete it, or name another with --cache",
            file.display()
        )
    );
    let newer = directory.path().join("newer");
    drop(Store::open(&newer, &StoreOptions::default()).unwrap());
    fs_err::write(newer.join("cache.info"), r#"{"version": 2}"#).unwrap();
    assert!(
        fails(&newer).contains("has format 2, and this osbuild knows format 1"),
        "{}",
        fails(&newer)
    );
    fs_err::write(newer.join("cache.info"), "{").unwrap();
    assert!(
        fails(&newer).contains("delete it to have it made anew"),
        "{}",
        fails(&newer)
    );
}

#[test]
fn an_id_can_not_lead_out_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for id in ["", "..", "a/b", "a.b"] {
        assert!(store.object(id).is_err(), "{id}");
        assert!(store.new_tree().unwrap().commit(id).is_err(), "{id}");
    }
}

#[test]
fn exporting_merges_and_replaces() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let builder = tree_with(&store, "file", 3);
    fs_err::create_dir(builder.tree().join("sub")).unwrap();
    fs_err::write(builder.tree().join("sub/inner"), "inner").unwrap();
    fs_err::set_permissions(
        builder.tree().join("sub"),
        std::fs::Permissions::from_mode(0o511),
    )
    .unwrap();
    std::os::unix::fs::symlink("file", builder.tree().join("link")).unwrap();
    let object = builder.commit(ID).unwrap();
    let target = directory.path().join("out/deep");
    fs_err::create_dir_all(target.join("sub")).unwrap();
    fs_err::write(target.join("sub/kept"), "kept").unwrap();
    fs_err::write(target.join("file"), "longer than before").unwrap();
    for _ in 0..2 {
        export(&object.tree(), &target, Ownership::Caller, Top::OfTree).unwrap();
        assert_eq!(names(&target), ["file", "link", "sub"]);
        assert_eq!(fs_err::read(target.join("file")).unwrap(), b"xxx");
        assert_eq!(names(&target.join("sub")), ["inner", "kept"]);
        assert_eq!(
            fs_err::metadata(target.join("sub")).unwrap().mode() & 0o777,
            0o511
        );
        assert_eq!(
            fs_err::read_link(target.join("link")).unwrap(),
            Path::new("file")
        );
        fs_err::set_permissions(target.join("sub"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
    }
}

#[test]
fn copies_keep_links_holes_times_and_attributes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let builder = store.new_tree().unwrap();
    let tree = builder.tree();
    let sparse = fs_err::File::create(tree.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(sparse.file(), b"data", 32 << 20).unwrap();
    fs_err::create_dir(tree.join("sub")).unwrap();
    fs_err::write(tree.join("sub/a"), "linked").unwrap();
    fs_err::hard_link(tree.join("sub/a"), tree.join("b")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    rustix::fs::setxattr(
        tree.join("b"),
        "user.test",
        b"value",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let moment = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567, 890);
    for name in ["b", "sub"] {
        fs_err::File::open(tree.join(name))
            .unwrap()
            .file()
            .set_modified(moment)
            .unwrap();
    }
    let object = builder.commit(ID).unwrap();
    let copy = store.new_tree_from(&object).unwrap();
    let metadata = |name: &str| fs_err::symlink_metadata(copy.tree().join(name)).unwrap();
    assert_eq!(metadata("sparse").len(), 64 << 20);
    assert!(
        metadata("sparse").blocks() * 512 < 1 << 20,
        "holes stay holes"
    );
    let mut data = [0; 4];
    let file = fs_err::File::open(copy.tree().join("sparse")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(file.file(), &mut data, 32 << 20).unwrap();
    assert_eq!(&data, b"data");
    assert_eq!(metadata("b").ino(), metadata("sub/a").ino());
    assert_ne!(
        metadata("b").ino(),
        fs_err::metadata(object.tree().join("b")).unwrap().ino()
    );
    assert_eq!(
        (metadata("b").mtime(), metadata("b").mtime_nsec()),
        (1_234_567, 890)
    );
    assert_eq!(metadata("sub").mtime(), 1_234_567);
    assert_eq!(metadata("pipe").mode(), 0o010_640);
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(copy.tree().join("b"), "user.test", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"value");
}

#[test]
fn removing_copes_with_what_is_not_there_and_not_permitted() {
    let directory = tempfile::tempdir().unwrap();
    remove_tree(&directory.path().join("missing/deep")).unwrap();
    let top = directory.path().join("top");
    fs_err::create_dir_all(top.join("closed/inner")).unwrap();
    fs_err::write(top.join("closed/inner/file"), "").unwrap();
    std::os::unix::fs::symlink(directory.path(), top.join("link")).unwrap();
    for name in ["closed/inner", "closed"] {
        fs_err::set_permissions(top.join(name), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    remove_tree(&top).unwrap();
    assert!(!top.exists() && directory.path().exists());
}

/// What each process of the next test does, when this test program is started again for it.
fn commit_many(store: &Path) {
    let store = Store::open(store, &StoreOptions::default()).unwrap();
    for number in 0..30 {
        let id = format!("shared-{number}");
        let object = tree_with(&store, "file", 100 + number).commit(&id).unwrap();
        assert_eq!(
            fs_err::read(object.tree().join("file")).unwrap().len(),
            100 + number
        );
        let scratch = store.temporary("scratch-").unwrap();
        assert!(scratch.path().is_dir());
    }
}

const ROUNDS_OF_PROCESSES: u32 = 5;

#[test]
fn processes_share_a_store() {
    const VARIABLE: &str = "OSBUILD_TEST_STORE";
    if let Some(store) = std::env::var_os(VARIABLE) {
        return commit_many(Path::new(&store));
    }
    // Often, because they get into each other's way in the first moments: who is alone mends what is not whole.
    for _ in 0..ROUNDS_OF_PROCESSES {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let processes: Vec<_> = (0..4)
            .map(|_| {
                std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "processes_share_a_store"])
                    .env(VARIABLE, &path)
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for process in processes {
            let output = process.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}");
        }
        assert_shared(&open(&directory));
    }
}

/// Checks what four processes have come to together.
fn assert_shared(store: &Store) {
    let objects = names(&store.root().join("objects"));
    assert_eq!(objects.len(), 30, "{objects:?}");
    assert!(
        names(&store.root().join("tmp")).is_empty()
            && names(&store.root().join("stage")).is_empty()
    );
    let sizes: u64 = objects
        .iter()
        .map(|id| {
            let path = store.root().join("objects").join(id).join("object.info");
            let info: serde_json::Value =
                serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
            info["size"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(booked(store), sizes);
}
