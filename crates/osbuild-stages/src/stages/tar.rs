//! Packs a tree into a tar archive.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::tar_members::top_entries;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.tar", include_str!("tar.meta.json"), run);

#[derive(Debug, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are switches of the published interface"
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    filename: String,
    #[serde(default = "gnu")]
    format: String,
    #[serde(default = "auto")]
    compression: String,
    #[serde(default = "yes")]
    acls: bool,
    #[serde(default = "yes")]
    selinux: bool,
    #[serde(default = "yes")]
    xattrs: bool,
    #[serde(default)]
    sparse: bool,
    #[serde(default)]
    numeric_owner: bool,
    transform: Option<String>,
    #[serde(default)]
    root_node: RootNode,
    #[serde(default)]
    paths: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RootNode {
    #[default]
    Include,
    Omit,
}

fn gnu() -> String {
    "gnu".to_owned()
}

fn auto() -> String {
    "auto".to_owned()
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.input("tree")?.path();
    let archive = context.tree_path()?.target_path(&options.filename)?;
    let command = context
        .command("tar")
        .arg(format!("--format={}", options.format))
        .args(arguments(&options))
        // Entries come in the order of the directory otherwise, which is the disk's secret.
        .args(context.source_epoch().map(|_| "--sort=name"))
        .args(
            context
                .source_epoch()
                .filter(|_| has_extended_headers(&options))
                .map(|_| PLAIN_HEADERS),
        )
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(tree)
        .args(members(&options, tree)?);
    command.env("XZ_OPT", "--threads 0").run()
}

/// Keeps times of access and change, which differ from build to build, out of extended headers; their
/// names would hold the number of the process.
const PLAIN_HEADERS: &str = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime";

/// Tells whether `tar` writes extended headers: whatever the format, each of the switches makes it do so,
/// and without them it refuses the option.
fn has_extended_headers(options: &Options) -> bool {
    options.format == "posix" || options.acls || options.selinux || options.xattrs
}

fn arguments(options: &Options) -> Vec<String> {
    let compression = match options.compression.as_str() {
        "auto" => "--auto-compress".to_owned(),
        program => format!("--{program}"),
    };
    let mut arguments = Vec::new();
    for (wanted, words) in [
        (options.acls, &["--acls"][..]),
        (options.selinux, &["--selinux"]),
        (options.xattrs, &["--xattrs", "--xattrs-include", "*"]),
        (options.sparse, &["--sparse"]),
    ] {
        if wanted {
            arguments.extend(words.iter().map(ToString::to_string));
        }
    }
    if let Some(transform) = options
        .transform
        .as_ref()
        .filter(|expression| !expression.is_empty())
    {
        arguments.extend(["--transform".to_owned(), transform.clone()]);
    }
    if options.numeric_owner {
        arguments.push("--numeric-owner".to_owned());
    }
    arguments.push(compression);
    arguments
}

fn members(options: &Options, tree: &Path) -> Result<Vec<OsString>> {
    if !options.paths.is_empty() {
        return Ok(options.paths.iter().map(OsString::from).collect());
    }
    match options.root_node {
        RootNode::Include => Ok(vec![".".into()]),
        RootNode::Omit => top_entries(tree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    fn test_with(options: Value) -> StageTest {
        StageTest::new(&STAGE, options).input(
            "tree",
            &[("file1", b"one"), ("file2", b"two"), ("-v", b"")],
            Value::Null,
        )
    }

    fn listing(test: &StageTest, archive: &str) -> String {
        let bytes = test
            .context()
            .command("tar")
            .arg("-tf")
            .arg(test.path(archive))
            .read()
            .unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn options_become_arguments() {
        let everything = json!({
            "filename": "/out.tar", "format": "posix", "compression": "zstd", "acls": false, "selinux": false,
            "xattrs": false, "sparse": true, "transform": "s/a/b/", "numeric-owner": true, "paths": ["b", "a"]
        });
        for (options, expected) in [
            (
                json!({"filename": "out.tar"}),
                "--format=gnu --acls --selinux --xattrs --xattrs-include '*' --auto-compress -cf TREE/out.tar -C INPUTS/tree .",
            ),
            (
                json!({"filename": "out.tar", "root-node": "omit"}),
                "-C INPUTS/tree --add-file=-v file1 file2",
            ),
            (
                everything,
                "--format=posix --sparse --transform s/a/b/ --numeric-owner --zstd -cf TREE/out.tar -C INPUTS/tree b a",
            ),
        ] {
            let test = test_with(options).program("tar", "");
            let log = test.run().success().log;
            assert!(log.ends_with(&format!("{expected}\n")), "{log}");
        }
    }

    #[test]
    fn every_way_to_name_members_packs_them() {
        needs![tool("tar")];
        for (options, expected) in [
            (json!({}), "./\n./-v\n./file1\n./file2\n"),
            (json!({"root-node": "omit"}), "-v\nfile1\nfile2\n"),
            (
                json!({"paths": ["file2", "file1", "file2"]}),
                "file2\nfile1\nfile2\n",
            ),
            (
                json!({"paths": ["file1"], "transform": "s/file1/foo/"}),
                "foo\n",
            ),
        ] {
            let mut options = options;
            options["filename"] = json!("out.tar");
            let test = test_with(options).source_epoch(0);
            let _ = test.run().success();
            assert_eq!(listing(&test, "out.tar"), expected);
        }
    }

    #[test]
    fn with_an_epoch_archives_made_at_different_times_are_equal() {
        needs![tool("tar")];
        for switches in [
            json!({}),
            json!({"acls": false, "selinux": false, "xattrs": false}),
            json!({"format": "posix"}),
        ] {
            let archives = [(); 2].map(|()| {
                let mut options = switches.clone();
                options["filename"] = json!("out.tar");
                let test = test_with(options).source_epoch(0);
                let inputs = test.context().input("tree").unwrap().path().to_owned();
                for name in ["file1", "file2", "-v"] {
                    let file = fs_err::File::options().write(true).open(inputs.join(name));
                    file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
                }
                let folder = fs_err::File::open(inputs).unwrap();
                folder.set_modified(std::time::UNIX_EPOCH).unwrap();
                let _ = test.run().success();
                fs_err::read(test.path("out.tar")).unwrap()
            });
            assert!(archives[0] == archives[1], "{switches}");
        }
    }

    #[test]
    fn the_suffix_picks_the_compressor() {
        needs![tool("tar"), tool("gzip")];
        let test = test_with(json!({"filename": "out.tar.gz"}));
        let _ = test.run().success();
        assert_eq!(
            fs_err::read(test.path("out.tar.gz")).unwrap()[..2],
            [0x1f, 0x8b]
        );
    }

    #[test]
    fn an_expression_can_not_run_programs() {
        needs![tool("tar")];
        let test = test_with(
            json!({"filename": "out.tar", "paths": ["file1"], "transform": "s/file1/date/e"}),
        );
        assert!(
            test.run()
                .error()
                .ends_with("returned non-zero exit status 2.")
        );
    }
}
