//! Running a stage under test: a temporary tree, options, and the whole tree it leaves behind.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::context::StageContext;
use crate::error::describe;
use crate::output::Output;
use crate::stage::StageModule;

/// Held while a stand-in program is written: a child forked by another test at that moment would inherit the open
/// file, and running it would fail with "text file busy".
static WRITING_PROGRAM: Mutex<()> = Mutex::new(());

/// A stage about to be run on a tree of its own.
#[derive(Debug)]
pub struct StageTest {
    module: &'static StageModule,
    directory: tempfile::TempDir,
    options: Value,
    inputs: Map<String, Value>,
    devices: Map<String, Value>,
    mounts: Map<String, Value>,
    meta: Map<String, Value>,
    has_programs: bool,
    missing_programs: Vec<&'static str>,
}

/// How a stage under test ended.
#[derive(Debug)]
pub struct Ran {
    /// What it returned.
    pub result: Result<()>,
    /// What it wrote to its log, with `TREE`, `INPUTS` and `MOUNTS` for these paths.
    pub log: String,
    /// What it left as metadata.
    pub metadata: Option<Value>,
    /// Every entry of the tree, as [`osbuild_testing::tree::describe`] shows it.
    pub tree: String,
    error: Option<String>,
}

impl StageTest {
    /// Prepares a stage with an empty tree.
    pub fn new(module: &'static StageModule, options: Value) -> Self {
        let directory = tempfile::tempdir().expect("the machine has a temporary directory");
        for name in ["tree", "mounts", "inputs", "bin"] {
            fs_err::create_dir(directory.path().join(name)).expect("a new directory is empty");
        }
        fs_err::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
            .expect("it is ours");
        let (inputs, devices, mounts, meta) = (Map::new(), Map::new(), Map::new(), Map::new());
        Self {
            module,
            directory,
            options,
            inputs,
            devices,
            mounts,
            meta,
            has_programs: false,
            missing_programs: Vec::new(),
        }
    }

    /// Adds a directory to the tree.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        fs_err::create_dir_all(self.path(path)).expect("the test chose a free name");
        self
    }

    /// Adds a file to the tree, and the directories above it.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        let file = self.path(path);
        fs_err::create_dir_all(file.parent().expect("a file is in a directory"))
            .expect("the test chose a free name");
        fs_err::write(file, content).expect("the test chose a free name");
        self
    }

    /// Adds a link to the tree, and the directories above it.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        let link = self.path(path);
        fs_err::create_dir_all(link.parent().expect("a link is in a directory"))
            .expect("the test chose a free name");
        std::os::unix::fs::symlink(target, link).expect("the test chose a free name");
        self
    }

    /// Sets a mode in the tree.
    #[must_use]
    pub fn mode(self, path: &str, mode: u32) -> Self {
        fs_err::set_permissions(self.path(path), PermissionsExt::from_mode(mode))
            .expect("the test made it");
        self
    }

    /// Gives the stage an input: a directory of files, and what the service says about them.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write `json!` in place"
    )]
    pub fn input(mut self, name: &str, files: &[(&str, &[u8])], data: Value) -> Self {
        let path = self.directory.path().join("inputs").join(name);
        fs_err::create_dir(&path).expect("the test chose a free name");
        for (file, content) in files {
            let file = path.join(file);
            fs_err::create_dir_all(file.parent().expect("below the input"))
                .expect("the test chose a free name");
            fs_err::write(file, content).expect("the test chose a free name");
        }
        self.inputs
            .insert(name.to_owned(), json!({"path": path, "data": data}));
        self
    }

    /// Gives the stage a mount: an empty directory below the mounts root.
    #[must_use]
    pub fn mount(mut self, name: &str) -> Self {
        let path = self.directory.path().join("mounts").join(name);
        fs_err::create_dir(&path).expect("the test chose a free name");
        self.mounts.insert(name.to_owned(), json!({"path": path}));
        self
    }

    /// Gives the stage a device: a file, which need not be there yet.
    #[must_use]
    pub fn device(mut self, name: &str, path: &Path) -> Self {
        self.devices.insert(name.to_owned(), json!({"path": path}));
        self
    }

    /// Gives the stage its id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.meta.insert("id".to_owned(), json!(id));
        self
    }

    /// Gives the stage a source epoch.
    #[must_use]
    pub fn source_epoch(mut self, epoch: i64) -> Self {
        self.meta.insert("source-epoch".to_owned(), json!(epoch));
        self
    }

    /// Puts a program in place of one of the build root: a shell script, found before any other.
    #[must_use]
    pub fn program(mut self, name: &str, script: &str) -> Self {
        let file = self.directory.path().join("bin").join(name);
        // Written by a child of ours, which no other thread's fork can share: see `WRITING_PROGRAM`.
        let _guard = WRITING_PROGRAM.lock();
        let written = std::process::Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod 755 \"$2\"",
                "sh",
                script,
            ])
            .arg(&file)
            .status()
            .expect("there is a shell");
        assert!(written.success(), "writing the program {name}");
        self.has_programs = true;
        self
    }

    /// Has programs of the tree stood in for by `true`; what a chroot mounts on is there.
    #[must_use]
    pub fn chroot_stand_in(self) -> Self {
        ["proc", "dev", "sys"]
            .into_iter()
            .fold(self.program("chroot", "true"), Self::directory)
    }

    /// Has the build root lack a program.
    #[must_use]
    pub fn without_program(mut self, name: &'static str) -> Self {
        self.missing_programs.push(name);
        self
    }

    /// Returns the path of a file in the tree.
    pub fn path(&self, path: &str) -> PathBuf {
        self.tree().join(path.trim_start_matches('/'))
    }

    /// Returns where the tree is.
    pub fn tree(&self) -> PathBuf {
        self.directory.path().join("tree")
    }

    /// Returns where the mounts are.
    pub fn mounts(&self) -> PathBuf {
        self.directory.path().join("mounts")
    }

    /// Returns the directory that holds the tree and all else, for files of the test's own.
    pub fn workspace(&self) -> &Path {
        self.directory.path()
    }

    /// Makes the context the stage would be given.
    pub fn context(&self) -> StageContext {
        let arguments = json!({
            "tree": self.tree(),
            "paths": {
                "devices": "/dev",
                "inputs": self.directory.path().join("inputs"),
                "mounts": self.mounts(),
            },
            "devices": self.devices,
            "inputs": self.inputs,
            "mounts": self.mounts,
            "options": self.options,
            "meta": self.meta,
        });
        let mut context = StageContext::new(
            arguments,
            self.directory.path().join("meta"),
            Output::buffered(),
        )
        .expect("the arguments have the engine's form");
        for name in &self.missing_programs {
            context = context.without_program(name);
        }
        if !self.has_programs {
            return context;
        }
        context.with_stand_ins(&self.directory.path().join("bin"))
    }

    /// Shortens this test's own paths in a text to `TREE`, `INPUTS` and `MOUNTS`.
    pub fn shorten(&self, text: &str) -> String {
        let mut text = text.replace(&format!("{}/bin/", self.directory.path().display()), "");
        for name in ["tree", "inputs", "mounts"] {
            let path = self.directory.path().join(name).display().to_string();
            text = text.replace(&path, &name.to_uppercase());
        }
        text
    }

    /// Runs the stage; it can be run again on what the first run left.
    pub fn run(&self) -> Ran {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let context = self.context();
        let result = (self.module.run)(&context);
        let log = self.shorten(&context.output().collected());
        let metadata = fs_err::read_to_string(self.directory.path().join("meta")).ok();
        let metadata = metadata.map(|text| serde_json::from_str(&text).expect("metadata is JSON"));
        let tree = osbuild_testing::tree::describe(&self.tree()).expect("the tree can be read");
        let error = result.as_ref().err().map(|error| {
            let line = describe(error).0.unwrap_or_else(|| format!("{error}"));
            self.shorten(&line)
        });
        Ran {
            result,
            log,
            metadata,
            tree,
            error,
        }
    }
}

impl Ran {
    /// Returns the last line of a failing stage, shortened as the log is.
    pub fn error(&self) -> &str {
        self.error.as_deref().expect("the stage was to fail")
    }

    /// Fails the test, with the stage's log, unless the stage succeeded.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "often the success is all that matters"
    )]
    pub fn success(self) -> Self {
        if let Err(error) = &self.result {
            panic!("the stage failed: {error:#}\n{}", self.log);
        }
        self
    }
}
