//! Commits the tree to an ostree repository.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageError, StageModule, TreeRoot};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) const ASSEMBLER: StageModule = StageModule::new::<Options>(
    "org.osbuild.ostree.commit",
    include_str!("ostree_commit.meta.json"),
    run,
);

/// Directories that a system of ostree has at its top, empty but for what is copied there.
const DIRECTORIES: [&str; 6] = ["dev", "proc", "run", "sys", "sysroot", "var"];
/// Links that it has there, to where their content is on a running system.
const LINKS: [(&str, &str); 7] = [
    ("home", "var/home"),
    ("media", "run/media"),
    ("mnt", "var/mnt"),
    ("opt", "var/opt"),
    ("ostree", "sysroot/ostree"),
    ("root", "var/roothome"),
    ("srv", "var/srv"),
];
/// What is taken from the tree; the first ones must be there.
const NEEDED: [&str; 3] = ["usr", "boot", "var"];
const OPTIONAL: [&str; 5] = ["bin", "lib", "lib32", "lib64", "sbin"];
const DIRECTORY_MODE: u32 = 0o755;
const TEMPORARY_MODE: u32 = 0o1777;
const REPOSITORY: &str = "repo";
const COMPOSE: &str = "compose.json";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    r#ref: String,
    os_version: Option<String>,
    #[serde(rename = "tmp-is-dir", default = "yes")]
    tmp_is_dir: bool,
    parent: Option<String>,
    tar: Option<Tar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tar {
    filename: String,
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let root = tempfile::Builder::new()
        .prefix(".root-")
        .tempdir_in(context.tree())
        .context("making a directory")?;
    context.log("Initializing root filesystem");
    initialize(root.path(), options.tmp_is_dir).context("laying out the system")?;
    context.log("Copying data");
    copy(context, root.path())?;
    commit(context, &options, root.path())?;
    let compose = fs_err::read(context.tree().join(COMPOSE))?;
    let compose: Value = serde_json::from_slice(&compose)
        .with_context(|| format!("reading what rpm-ostree wrote to {COMPOSE}"))?;
    context.write_metadata(&json!({"compose": compose}))?;
    drop(root);
    match &options.tar {
        Some(tar) => pack(context, &tar.filename),
        None => Ok(()),
    }
}

fn initialize(root: &Path, tmp_is_dir: bool) -> Result<()> {
    fs_err::set_permissions(root, Permissions::from_mode(DIRECTORY_MODE))?;
    let directory = |name: &str, mode| {
        fs_err::create_dir(root.join(name))?;
        fs_err::set_permissions(root.join(name), Permissions::from_mode(mode))
    };
    for name in DIRECTORIES {
        directory(name, DIRECTORY_MODE)?;
    }
    for (name, target) in LINKS {
        symlink(target, root.join(name))?;
    }
    if tmp_is_dir {
        directory("tmp", TEMPORARY_MODE)?;
    } else {
        symlink("sysroot/tmp", root.join("tmp"))?;
    }
    Ok(())
}

fn copy(context: &StageContext, root: &Path) -> Result<()> {
    let path = context.input("tree")?.path();
    let tree = TreeRoot::open(path)?;
    let mut names = NEEDED.to_vec();
    for name in OPTIONAL {
        if tree.has_entry(name)? {
            names.push(name);
        }
    }
    for name in names {
        context
            .command("cp")
            .args(["--reflink=auto", "-a"])
            .arg(path.join(name))
            .arg("-t")
            .arg(root)
            .run()?;
    }
    Ok(())
}

fn commit(context: &StageContext, options: &Options, root: &Path) -> Result<()> {
    let output = context.tree();
    let repository = format!("--repo={}", output.join(REPOSITORY).display());
    context
        .command("ostree")
        .args(["init", "--mode=archive", &repository])
        .run()?;
    let missing = || StageError::new("KeyError", "the assembler was not told its id");
    let id = context.id().ok_or_else(missing)?;
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let treefile = directory.path().join("treefile.json");
    let tree = json!({"ref": options.r#ref, "repos": ["osbuild"]});
    fs_err::write(&treefile, tree.to_string())?;
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let mut arguments = vec![repository];
    arguments.extend(given(&options.parent).map(|parent| format!("--parent={parent}")));
    arguments.extend(
        given(&options.os_version)
            .map(|version| format!("--add-metadata-string=version={version}")),
    );
    arguments.extend([
        format!("--add-metadata-string=rpmostree.inputhash={id}"),
        format!("--write-composejson-to={}", output.join(COMPOSE).display()),
    ]);
    context
        .command("rpm-ostree")
        .args(["compose", "commit"])
        .args(arguments)
        .arg(treefile)
        .arg(root)
        .run()
}

fn pack(context: &StageContext, filename: &str) -> Result<()> {
    let archive = context.tree_path()?.target_path(filename)?;
    context
        .command("tar")
        .args(["--remove-files", "--auto-compress", "-cf"])
        .arg(archive)
        .arg("-C")
        .arg(context.tree())
        .args([REPOSITORY, COMPOSE])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;

    /// Leaves what the real one does where it is told to, and the tree it was given as `root`.
    const RPM_OSTREE: &str = r#"for argument; do
  case $argument in --write-composejson-to=*) compose=${argument#*=};; esac
done
echo '{"ostree-commit": "c0ffee"}' >"$compose"
while [ $# -gt 2 ]; do shift; done
cat "$1"; echo
cp -a "$2" "${compose%/*}/root""#;

    fn test_with(options: Value) -> StageTest {
        let files: [(&str, &[u8]); 4] = [
            ("usr/bin/sh", b"sh"),
            ("boot/vmlinuz", b"kernel"),
            ("var/lib/x", b"x"),
            ("etc/hostname", b"left out"),
        ];
        StageTest::new(&ASSEMBLER, options)
            .input("tree", &files, Value::Null)
            .id("0123")
            .program("ostree", r#"for repo; do :; done; mkdir "${repo#*=}""#)
            .program("rpm-ostree", RPM_OSTREE)
    }

    /// Temporary directories have names of their own.
    fn log_of(test: &StageTest) -> String {
        let log = test.run().success().log;
        let words = log.split_inclusive([' ', '\n']).map(|word| {
            let name = word.trim_end();
            let name = match name {
                name if name.contains("/.root-") => "ROOT",
                name if name.ends_with("/treefile.json") => "TREEFILE",
                name => name,
            };
            name.to_owned() + &word[word.trim_end().len()..]
        });
        words.collect()
    }

    #[test]
    fn the_system_is_laid_out_and_committed() {
        let test = test_with(json!({"ref": "a/b", "os_version": "1", "parent": "feed"}));
        std::os::unix::fs::symlink("usr/bin", test.workspace().join("inputs/tree/bin")).unwrap();
        assert_eq!(
            log_of(&test),
            "Initializing root filesystem\nCopying data\n\
             $ cp --reflink=auto -a INPUTS/tree/usr -t ROOT\n\
             $ cp --reflink=auto -a INPUTS/tree/boot -t ROOT\n\
             $ cp --reflink=auto -a INPUTS/tree/var -t ROOT\n\
             $ cp --reflink=auto -a INPUTS/tree/bin -t ROOT\n\
             $ ostree init --mode=archive --repo=TREE/repo\n\
             $ rpm-ostree compose commit --repo=TREE/repo --parent=feed --add-metadata-string=version=1 \
             --add-metadata-string=rpmostree.inputhash=0123 --write-composejson-to=TREE/compose.json TREEFILE ROOT\n\
             {\"ref\":\"a/b\",\"repos\":[\"osbuild\"]}\n"
        );
        assert_eq!(
            osbuild_testing::tree::describe(&test.tree()).unwrap(),
            "compose.json 0644 \"{\\\"ostree-commit\\\": \\\"c0ffee\\\"}\\n\"\n\
             repo/ 0755\n\
             root/ 0755\n\
             root/bin -> usr/bin\n\
             root/boot/ 0755\nroot/boot/vmlinuz 0644 \"kernel\"\n\
             root/dev/ 0755\nroot/home -> var/home\nroot/media -> run/media\nroot/mnt -> var/mnt\n\
             root/opt -> var/opt\nroot/ostree -> sysroot/ostree\nroot/proc/ 0755\nroot/root -> var/roothome\n\
             root/run/ 0755\nroot/srv -> var/srv\nroot/sys/ 0755\nroot/sysroot/ 0755\nroot/tmp/ 1777\n\
             root/usr/ 0755\nroot/usr/bin/ 0755\nroot/usr/bin/sh 0644 \"sh\"\n\
             root/var/ 0755\nroot/var/lib/ 0755\nroot/var/lib/x 0644 \"x\"\n"
        );
    }

    #[test]
    fn the_commit_is_told_as_metadata() {
        let ran = test_with(json!({"ref": "a"})).run().success();
        assert_eq!(
            ran.metadata,
            Some(json!({"compose": {"ostree-commit": "c0ffee"}}))
        );
    }

    #[test]
    fn temporary_files_can_be_outside_the_deployment() {
        let test = test_with(json!({"ref": "a", "tmp-is-dir": false}));
        let _ = test.run().success();
        assert_eq!(
            fs_err::read_link(test.path("root/tmp")).unwrap(),
            Path::new("sysroot/tmp")
        );
    }

    #[test]
    fn an_archive_takes_the_place_of_the_repository() {
        needs![tool("tar"), tool("gzip")];
        let test = test_with(json!({"ref": "a", "tar": {"filename": "commit.tar.gz"}}))
            .program("rpm-ostree", &RPM_OSTREE.replace("cp -a", ": cp"));
        let _ = test.run().success();
        let names: Vec<_> = fs_err::read_dir(test.tree())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["commit.tar.gz"]);
        let listing = test.context().command("tar").arg("-tf");
        let listing = listing.arg(test.path("commit.tar.gz")).read().unwrap();
        assert_eq!(listing, b"repo/\ncompose.json\n");
    }

    #[test]
    fn a_tree_that_is_no_system_is_refused() {
        let test = StageTest::new(&ASSEMBLER, json!({"ref": "a"})).input("tree", &[], Value::Null);
        assert!(
            test.run()
                .error()
                .starts_with("CalledProcessError: Command '['cp'")
        );
    }
}
