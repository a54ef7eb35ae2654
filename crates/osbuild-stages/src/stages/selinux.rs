//! Labels files for `SELinux`.

use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use indexmap::IndexMap;
use osbuild_stage_api::{Location, StageContext, StageModule};
use rustix::fs::{OFlags, XattrFlags};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.selinux",
    include_str!("selinux.meta.json"),
    run,
);

const LABEL: &str = "security.selinux";
/// More than any label has.
const LABEL_MAX: usize = 4096;
/// Has the first boot label everything, and not types only: `fixfiles -F boot`.
const AUTORELABEL: &str = "-F";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    target: Option<String>,
    file_contexts: Option<String>,
    #[serde(default)]
    exclude_paths: Vec<String>,
    #[serde(default)]
    labels: IndexMap<String, String>,
    #[serde(default)]
    force_autorelabel: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let target = context.resolve_location(options.target.as_deref().unwrap_or("tree:///"))?;
    if let Some(file) = options
        .file_contexts
        .as_deref()
        .filter(|file| !file.is_empty())
    {
        set_files(context, &target, file, &options.exclude_paths)?;
    }
    for (location, label) in &options.labels {
        set_label(&context.resolve_location(location)?, label)?;
    }
    if options.force_autorelabel {
        target.tree_root()?.write("/.autorelabel", AUTORELABEL)?;
    }
    Ok(())
}

fn set_files(
    context: &StageContext,
    target: &Location,
    file_contexts: &str,
    exclude_paths: &[String],
) -> Result<()> {
    let file_contexts = if file_contexts.contains("://") {
        let location = context.resolve_location(file_contexts)?;
        location.tree_root()?.real_path(location.path())?
    } else {
        context.tree_path()?.real_path(file_contexts)?
    };
    let mut command = context
        .command("setfiles")
        .arg("-F")
        .arg("-r")
        .arg(target.root());
    for path in exclude_paths {
        command = command.arg("-e").arg(below(&target.host_path(), path));
    }
    command.arg(file_contexts).arg(top(target)?).run()
}

/// What `setfiles` starts at: links below it are labelled, not followed.
fn top(target: &Location) -> Result<PathBuf> {
    let path = target.tree_root()?.real_path(target.path())?;
    // Written as the location is: upstream's tests look at it.
    Ok(if target.is_directory_spelled() {
        path.join("")
    } else {
        path
    })
}

/// As Python's `normpath` of the two put together, though never above the first.
fn below(top: &Path, path: &str) -> PathBuf {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    top.components()
        .map(Component::as_os_str)
        .chain(parts)
        .collect()
}

fn set_label(location: &Location, label: &str) -> Result<()> {
    let file = location
        .tree_root()?
        .open_file(location.path(), OFlags::PATH, 0)?;
    // Attributes are out of reach of a descriptor that is a mere path.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let set = rustix::fs::setxattr(&path, LABEL, label.as_bytes(), XattrFlags::empty());
    if set == Err(rustix::io::Errno::NOTSUP) && has_label(&path, label) {
        return Ok(());
    }
    set.map_err(std::io::Error::from)
        .with_context(|| format!("labelling {}", location.path().display()))
}

/// As `setfilecon(3)`: where labels can not be set, one that is right already is good enough.
fn has_label(path: &str, label: &str) -> bool {
    let mut buffer = vec![0; LABEL_MAX];
    rustix::fs::getxattr(path, LABEL, &mut buffer).is_ok_and(|length| {
        String::from_utf8_lossy(&buffer[..length]).trim_matches(['\n', '\0']) == label
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    const CONTEXTS: &str = "etc/selinux/targeted/contexts/files/file_contexts";

    #[test]
    fn the_tree_is_labelled_by_its_own_policy() {
        let options = json!({"file_contexts": CONTEXTS, "exclude_paths": ["/sysroot", "a/../b"]});
        let ran = StageTest::new(&STAGE, options)
            .file(CONTEXTS, "")
            .program("setfiles", "true")
            .run()
            .success();
        assert_eq!(
            ran.log,
            format!("$ setfiles -F -r TREE -e TREE/sysroot -e TREE/b TREE/{CONTEXTS} TREE/\n")
        );
    }

    #[test]
    fn a_mount_is_labelled_by_the_policy_of_an_input() {
        let options = json!({"file_contexts": "input://tree/policy", "target": "mount://root/"});
        let ran = StageTest::new(&STAGE, options)
            .input("tree", &[("policy", b"")], serde_json::Value::Null)
            .mount("root")
            .program("setfiles", "true")
            .run()
            .success();
        assert_eq!(
            ran.log,
            "$ setfiles -F -r MOUNTS/root INPUTS/tree/policy MOUNTS/root/\n"
        );
    }

    #[test]
    fn single_files_are_labelled() {
        osbuild_testing::needs![root];
        let label = "system_u:object_r:install_exec_t:s0";
        let options = json!({"labels": {"tree:///usr/bin/link": label}, "force_autorelabel": true});
        let test = StageTest::new(&STAGE, options)
            .file("usr/bin/file", "")
            .symlink("usr/bin/link", "/usr/bin/file");
        let ran = test.run().success();
        assert!(
            ran.tree.starts_with(".autorelabel 0644 \"-F\"\n"),
            "{}",
            ran.tree
        );
        let file = test.path("usr/bin/file");
        assert!(has_label(file.to_str().unwrap(), label));
    }

    #[test]
    fn a_policy_that_is_not_there_fails_the_stage() {
        let ran = StageTest::new(&STAGE, json!({"file_contexts": CONTEXTS})).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
