//! Packs a tree into a cpio archive.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.cpio.out",
    include_str!("cpio_out.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    filename: String,
    #[serde(default)]
    append: bool,
    #[serde(default = "newc")]
    format: String,
    #[serde(default)]
    root_node: RootNode,
    #[serde(default = "yes")]
    reproducible: bool,
    owner: Option<Owner>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RootNode {
    #[default]
    Include,
    Omit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    user: String,
    #[serde(default)]
    group: String,
}

fn newc() -> String {
    "newc".to_owned()
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.input("tree")?.path();
    let names = names(tree, options.root_node)?;
    context
        .command("cpio")
        .args([
            "-v",
            "-o",
            &format!("--format={}", options.format),
            "--null",
        ])
        .args(arguments(&options))
        .arg("-O")
        .arg(context.tree_path()?.target_path(&options.filename)?)
        .arg("-D")
        .arg(tree)
        .input(names)
        .run()
}

fn arguments(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    if options.reproducible {
        arguments.push("--reproducible".to_owned());
    }
    if options.append {
        arguments.push("--append".to_owned());
    }
    if let Some(Owner { user, group }) = &options.owner {
        let group = match group.as_str() {
            "" => String::new(),
            group => format!(":{group}"),
        };
        arguments.push(format!("--owner={user}{group}"));
    }
    arguments
}

/// What is packed: names below the tree, with a zero byte between, files of a directory before what is below it.
fn names(tree: &Path, root_node: RootNode) -> Result<Vec<u8>> {
    let mut paths = Vec::new();
    visit(tree, Path::new(""), root_node, &mut paths)?;
    let names: Vec<&[u8]> = paths
        .iter()
        .map(|path| path.as_os_str().as_bytes())
        .collect();
    Ok(names.join(&0))
}

fn visit(tree: &Path, below: &Path, root_node: RootNode, paths: &mut Vec<PathBuf>) -> Result<()> {
    let (mut files, mut directories): (Vec<OsString>, Vec<OsString>) = Default::default();
    for entry in fs_err::read_dir(tree.join(below))? {
        let entry = entry?;
        // A link to a directory is a link: it is packed, and not followed.
        let names = if entry.file_type()?.is_dir() {
            &mut directories
        } else {
            &mut files
        };
        names.push(entry.file_name());
    }
    files.sort();
    directories.sort();
    paths.extend(files.into_iter().map(|name| below.join(name)));
    if below != Path::new("") {
        paths.push(below.to_owned());
    } else if root_node == RootNode::Include {
        paths.push(PathBuf::from("."));
    }
    directories
        .iter()
        .try_for_each(|name| visit(tree, &below.join(name), root_node, paths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn test_with(options: Value) -> StageTest {
        let files: [(&str, &[u8]); 3] = [("b", b""), ("d/e/f", b""), ("a", b"")];
        StageTest::new(&STAGE, options)
            .input("tree", &files, Value::Null)
            .program("cpio", "tr '\\0' ' '")
    }

    #[test]
    fn the_names_are_sorted_and_options_become_arguments() {
        let all = json!({
            "filename": "/x.cpio", "append": true, "format": "crc", "root-node": "omit", "reproducible": false,
            "owner": {"user": "root", "group": "disk"}
        });
        for (options, log) in [
            (
                json!({"filename": "x"}),
                "$ cpio -v -o --format=newc --null --reproducible -O TREE/x -D INPUTS/tree\na b . d d/e/f d/e",
            ),
            (
                all,
                "$ cpio -v -o --format=crc --null --append --owner=root:disk -O TREE/x.cpio -D INPUTS/tree\n\
                 a b d d/e/f d/e",
            ),
        ] {
            assert_eq!(test_with(options).run().success().log.trim_end(), log);
        }
    }

    #[test]
    fn links_to_directories_are_packed_and_not_followed() {
        let test = test_with(json!({"filename": "x"}));
        let input = test.context().input("tree").unwrap().path().to_owned();
        std::os::unix::fs::symlink("/etc", input.join("c")).unwrap();
        let log = test.run().success().log;
        assert_eq!(log.lines().last(), Some("a b c . d d/e/f d/e"));
    }
}
