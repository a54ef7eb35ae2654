//! Puts files, links and directories where a recipe wants them.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use rustix::fs::{FileType, OFlags};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.place", include_str!("place.meta.json"), run);

/// Where the contents lie.
const INPUT: &str = "files";
const FILE_MODE: u32 = 0o644;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    entries: Vec<Entry>,
}

/// One path and the one thing that is put there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    content: Option<String>,
    link: Option<String>,
    directory: Option<bool>,
}

/// What is at a path now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A directory, or a link to one.
    Directory,
    Other,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    options
        .entries
        .iter()
        .try_for_each(|entry| place(context, entry))
}

fn place(context: &StageContext, entry: &Entry) -> Result<()> {
    let tree = context.tree_path()?;
    let path = Path::new(&entry.path);
    match (&entry.content, &entry.link, entry.directory) {
        (Some(reference), None, None) => {
            make_way(&tree, path)?;
            context.log(format_args!("writing {}", entry.path));
            write(context, &tree, path, reference)
        }
        (None, Some(target), None) => {
            make_way(&tree, path)?;
            context.log(format_args!("linking {} to {target}", entry.path));
            tree.symlink(target, path)
        }
        (None, None, Some(true)) => {
            if found(&tree, path)? == Found::Other {
                bail!(
                    "`{}` is a file already, so it can not be made a directory",
                    entry.path
                );
            }
            context.log(format_args!("making {}", entry.path));
            tree.create_dir_all(path)
        }
        _ => bail!(
            "`{}` needs one of `content`, `link` and `directory`",
            entry.path
        ),
    }
}

/// Removes what is at the path, and makes the directory that it is to be in.
fn make_way(tree: &TreeRoot, path: &Path) -> Result<()> {
    if found(tree, path)? == Found::Directory && !is_link(tree, path)? {
        bail!(
            "`{}` is a directory already; only files and links are replaced",
            path.display()
        );
    }
    if let Some(parent) = path.parent() {
        tree.create_dir_all(parent)?;
    }
    tree.remove_file(path).map(drop)
}

fn found(tree: &TreeRoot, path: &Path) -> Result<Found> {
    Ok(if tree.is_dir(path)? {
        Found::Directory
    } else if tree.has_entry(path)? {
        Found::Other
    } else {
        Found::Nothing
    })
}

fn is_link(tree: &TreeRoot, path: &Path) -> Result<bool> {
    Ok(FileType::from_raw_mode(tree.lstat(path)?.st_mode).is_symlink())
}

/// Writes instead of copying with attributes: those of a download mean nothing in a tree, and its time would differ from
/// one build to the next.
fn write(context: &StageContext, tree: &TreeRoot, path: &Path, reference: &str) -> Result<()> {
    let source = context.input(INPUT)?.path().join(reference);
    let mut source = fs_err::File::open(source)
        .with_context(|| format!("the input `{INPUT}` does not bring `{reference}`"))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut target = tree.open_file(path, flags, FILE_MODE)?;
    io::copy(&mut source, &mut target).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    use super::*;

    const CONTENT: &str = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

    fn test(entries: &Value) -> StageTest {
        StageTest::new(&STAGE, json!({ "entries": entries })).input(
            INPUT,
            &[(CONTENT, b"x")],
            json!({"files": {CONTENT: {}}}),
        )
    }

    #[test]
    fn things_are_put_where_they_belong() {
        let test = test(&json!([
            {"path": "/srv/deep", "directory": true},
            {"path": "/etc/new/file", "content": CONTENT},
            {"path": "/etc/link", "link": "new/file"},
        ]))
        .directory("etc");
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/link -> new/file\netc/new/ 0755\netc/new/file 0644 \"x\"\n\
             srv/ 0755\nsrv/deep/ 0755\n"
        );
    }

    #[test]
    fn files_and_links_are_replaced_and_not_followed() {
        let test = test(&json!([
            {"path": "/file", "link": "other"},
            {"path": "/link", "content": CONTENT},
            {"path": "/folder", "link": "etc"},
            {"path": "/etc", "directory": true},
        ]))
        .file("file", "old")
        .file("target", "kept")
        .symlink("link", "target")
        .directory("etc")
        .symlink("folder", "srv")
        .directory("srv");
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\nfile -> other\nfolder -> etc\nlink 0644 \"x\"\nsrv/ 0755\ntarget 0644 \"kept\"\n"
        );
    }

    #[test]
    fn a_directory_is_not_replaced_and_nothing_is_put_into_it() {
        for thing in [
            json!({"path": "/etc/opt", "content": CONTENT}),
            json!({"path": "/etc/opt", "link": "x"}),
        ] {
            let test = test(&json!([thing])).directory("etc/opt");
            assert_eq!(
                test.run().error(),
                "ValueError: `/etc/opt` is a directory already; only files and links are replaced"
            );
        }
    }

    #[test]
    fn a_file_is_not_made_a_directory() {
        let test = test(&json!([{"path": "/a", "directory": true}])).file("a", "");
        assert_eq!(
            test.run().error(),
            "ValueError: `/a` is a file already, so it can not be made a directory"
        );
    }

    #[test]
    fn a_content_that_no_input_brings_is_named() {
        let test = test(&json!([{"path": "/a", "content": "sha256:0"}]));
        let ran = test.run();
        assert!(
            ran.error()
                .contains("the input `files` does not bring `sha256:0`"),
            "{}",
            ran.error()
        );
    }
}
