//! What a build may not leave behind: processes, mounts, loop devices, scratch files in the store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

/// How long the kernel may take to end the processes of a killed build and let go of what they held.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Fails if anything outside the store still has to do with the folder of a test.
#[track_caller]
pub(crate) fn assert_nothing_runs(folder: &Path) {
    let word = folder.file_name().unwrap().to_str().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = [mounts(word), loop_devices(word), processes(word)].concat();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:#?}");
        std::thread::sleep(POLL);
    }
}

/// Fails if a store holds scratch space or unfinished trees.
#[track_caller]
pub(crate) fn assert_no_scratch(store: &Path) {
    for name in ["tmp", "stage"] {
        let folder = store.join(name);
        if !folder.exists() {
            continue;
        }
        let left: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "left behind in the store: {left:#?}");
    }
}

/// Lines of this process's mount table below the folder, but for a disk that the test itself mounted.
fn mounts(word: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .filter(|line| line.contains(word) && !is_own_disk(line))
        .map(|line| format!("mount {line}"))
        .collect()
}

/// Tests with a small disk mount it on `FOLDER/disk`.
fn is_own_disk(line: &str) -> bool {
    line.split(' ')
        .nth(4)
        .is_some_and(|mount_point| mount_point.ends_with("/disk"))
}

fn loop_devices(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").unwrap() {
        let device = entry.unwrap().path();
        // The file is there only while something is attached.
        let Ok(file) = fs::read_to_string(device.join("loop/backing_file")) else {
            continue;
        };
        let file = file.trim_end();
        if file.contains(word) && !file.ends_with("/disk.img") {
            found.push(format!("{} attached to {file}", device.display()));
        }
    }
    found
}

/// Processes that name the folder, or see anything of it in their mounts: a sandbox shows its programs
/// other paths, but not other mounts.
fn processes(word: &str) -> Vec<String> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if id != own && has_to_do_with(&entry.path(), word) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push(format!("process {id}: {line}"));
        }
    }
    found
}

/// Processes come and go: one that can not be read any more has nothing to do with anything.
fn has_to_do_with(process: &Path, word: &str) -> bool {
    let links = ["exe", "cwd", "root"].into_iter().filter_map(|name| {
        let target = fs::read_link(process.join(name)).ok()?;
        Some(target.to_string_lossy().into_owned())
    });
    let texts = ["cmdline", "mountinfo"].into_iter().filter_map(|name| {
        let text = fs::read(process.join(name)).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    });
    links.chain(texts).any(|text| {
        text.lines()
            .any(|line| line.contains(word) && !is_own_disk(line))
    })
}
