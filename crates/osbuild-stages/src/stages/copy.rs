//! Copies files and directories between inputs, mounts and the tree.

use anyhow::Result;
use std::path::{Path, PathBuf};

use anyhow::bail;
use osbuild_stage_api::{Location, StageContext, StageModule, TreeRoot};
use rustix::fs::FileType;
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.copy", include_str!("copy.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    paths: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    from: String,
    to: String,
    #[serde(default)]
    remove_destination: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    options
        .paths
        .iter()
        .try_for_each(|item| copy(context, item))
}

fn copy(context: &StageContext, item: &Item) -> Result<()> {
    let from = context.resolve_location(&item.from)?;
    let to = context.resolve_location(&item.to)?;
    context.log(format_args!(
        "copying '{}' -> '{}'",
        from.host_path().display(),
        to.host_path().display()
    ));
    let source = source_path(&from)?;
    let destination = destination_path(&to, item.remove_destination)?;
    refuse_stray_links(&source, &from, &destination, &to)?;
    context
        .command("cp")
        .args(["-a", "--reflink=auto"])
        .args(item.remove_destination.then_some("--remove-destination"))
        .args([source, destination])
        .run()
}

/// Resolves links in the root they belong to; `cp` would resolve them in the sandbox's. One at the end is copied.
fn source_path(from: &Location) -> Result<PathBuf> {
    let root = from.tree_root()?;
    if from.is_directory_spelled() {
        Ok(root.real_path(from.path())?.join("."))
    } else if from.path() == Path::new("/") {
        Ok(root.path().to_owned())
    } else {
        root.real_parent_path(from.path())
    }
}

/// Resolves links as for the source; one at the end is written through, unless it is to be replaced.
fn destination_path(to: &Location, remove: bool) -> Result<PathBuf> {
    let (root, path) = (to.tree_root()?, to.path());
    if to.is_directory_spelled() {
        return Ok(root.real_path(path)?.join("."));
    }
    let is_link =
        root.has_entry(&path)? && FileType::from_raw_mode(root.lstat(&path)?.st_mode).is_symlink();
    if remove && is_link && !root.is_dir(&path)? {
        // Here and not by `cp`: seen from the sandbox the link may lead to a directory, which `cp` would copy into.
        root.remove_file(&path)?;
    }
    root.target_path(path)
}

/// `cp` writes through links that are already where a file is to go; one that leads elsewhere for `cp` than for the
/// finished system must not be followed.
fn refuse_stray_links(
    source: &Path,
    from: &Location,
    destination: &Path,
    to: &Location,
) -> Result<()> {
    let root = to.tree_root()?;
    let inside = |path: &Path| path.strip_prefix(root.path()).map(Path::to_owned);
    let (Ok(metadata), Ok(below)) = (fs_err::symlink_metadata(source), inside(destination)) else {
        return Ok(());
    };
    if !metadata.is_dir() {
        // A file goes into a directory that is there, under its own name.
        let target = match source.file_name() {
            Some(name) if root.is_dir(&below)? => below.join(name),
            _ => below,
        };
        return check_link(&root, &target);
    }
    let name = if from.is_directory_spelled() || !root.is_dir(&below)? {
        None
    } else {
        source.file_name()
    };
    check_links_below(
        source,
        &root,
        &name.map_or(below.clone(), |name| below.join(name)),
    )
}

fn check_links_below(source: &Path, root: &TreeRoot, target: &Path) -> Result<()> {
    if !root.has_entry(target)? {
        return Ok(());
    }
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let target = target.join(entry.file_name());
        if !root.has_entry(&target)? {
            continue;
        }
        check_link(root, &target)?;
        if entry.file_type()?.is_dir() {
            check_links_below(&entry.path(), root, &target)?;
        }
    }
    Ok(())
}

fn check_link(root: &TreeRoot, target: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let path = root.path().join(target);
    let Ok(seen_by_cp) = fs_err::metadata(&path) else {
        return Ok(());
    };
    let is_same = root.exists(target)?
        && root
            .stat(target)
            .map(|stat| (stat.st_dev, stat.st_ino) == (seen_by_cp.dev(), seen_by_cp.ino()))?;
    if !is_same {
        bail!("the link {} leads out of its file system", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn options(from: &str, to: &str) -> serde_json::Value {
        json!({"paths": [{"from": from, "to": to}]})
    }

    #[test]
    fn files_come_from_inputs_mounts_and_the_tree() {
        let options = json!({"paths": [
            {"from": "input://in/file", "to": "tree:///etc/from-input"},
            {"from": "tree:///etc/from-input", "to": "mount://root/from-tree"},
            {"from": "mount://root/from-tree", "to": "tree:///from-mount"},
        ]});
        let test = StageTest::new(&STAGE, options)
            .directory("etc")
            .mount("root")
            .input("in", &[("file", b"content")], json!({}));
        let ran = test.run().success();
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/from-input 0644 \"content\"\nfrom-mount 0644 \"content\"\n"
        );
        assert_eq!(
            ran.log,
            "copying 'INPUTS/in/file' -> 'TREE/etc/from-input'\n\
             $ cp -a --reflink=auto INPUTS/in/file TREE/etc/from-input\n\
             copying 'TREE/etc/from-input' -> 'MOUNTS/root/from-tree'\n\
             $ cp -a --reflink=auto TREE/etc/from-input MOUNTS/root/from-tree\n\
             copying 'MOUNTS/root/from-tree' -> 'TREE/from-mount'\n\
             $ cp -a --reflink=auto MOUNTS/root/from-tree TREE/from-mount\n"
        );
    }

    #[test]
    fn a_slash_at_the_end_means_the_content() {
        let test = StageTest::new(&STAGE, options("input://in/", "tree:///")).input(
            "in",
            &[("a", b"1"), ("b/c", b"2")],
            json!({}),
        );
        let ran = test.run().success();
        assert_eq!(ran.tree, "a 0644 \"1\"\nb/ 0755\nb/c 0644 \"2\"\n");
        assert!(
            ran.log
                .ends_with("$ cp -a --reflink=auto INPUTS/in/. TREE/.\n")
        );
        let test = StageTest::new(&STAGE, options("input://in/b", "tree:///")).input(
            "in",
            &[("b/c", b"2")],
            json!({}),
        );
        assert_eq!(test.run().success().tree, "b/ 0755\nb/c 0644 \"2\"\n");
    }

    #[test]
    fn a_link_to_a_file_is_written_through_or_replaced() {
        let prepare = |remove: bool| {
            let options = json!({"paths": [
                {"from": "input://in/file", "to": "tree:///link", "remove_destination": remove}
            ]});
            StageTest::new(&STAGE, options)
                .file("file", "old")
                .symlink("link", "/file")
                .input("in", &[("file", b"new")], json!({}))
        };
        assert_eq!(
            prepare(false).run().success().tree,
            "file 0644 \"new\"\nlink -> /file\n"
        );
        assert_eq!(
            prepare(true).run().success().tree,
            "file 0644 \"old\"\nlink 0644 \"new\"\n"
        );
    }

    #[test]
    fn links_do_not_lead_out_of_the_tree() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("file");
        fs_err::write(&target, "untouched").unwrap();
        let prepare = |to: &str| {
            StageTest::new(&STAGE, options("input://in/", to))
                .input("in", &[("file", b"new")], json!({}))
                .symlink("directory", &outside.path().display().to_string())
                .symlink("inner/file", &target.display().to_string())
        };
        let run = |to: &str| prepare(to).run().error().to_owned();
        assert!(run("tree:///directory/").starts_with("FileNotFoundError: opening TREE/directory"));
        assert_eq!(
            run("tree:///directory"),
            "ValueError: not writing through the dangling link TREE/directory"
        );
        assert_eq!(
            run("tree:///inner/"),
            "ValueError: the link TREE/inner/file leads out of its file system"
        );
        assert_eq!(fs_err::read_to_string(&target).unwrap(), "untouched");
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_there_can_not_be_copied() {
        let test = StageTest::new(&STAGE, options("tree:///nothing", "tree:///copy"));
        assert_eq!(
            test.run().error(),
            "CalledProcessError: Command '['cp', '-a', '--reflink=auto', 'TREE/nothing', 'TREE/copy']' \
             returned non-zero exit status 1."
        );
    }
}
