//! The programs of the build root, and what every call of them says.

use std::io;

use anyhow::Result;
use osbuild_stage_api::{Command, StageContext, StageError};

use super::Options;

/// `rpm` and `rpmkeys`, at work on the tree.
pub(super) struct Programs<'a> {
    pub(super) context: &'a StageContext,
    rpmkeys: String,
    dbpath: Vec<String>,
}

impl<'a> Programs<'a> {
    pub(super) fn new(context: &'a StageContext, options: &Options) -> Self {
        let mut dbpath = Vec::new();
        if let Some(path) = options.dbpath.as_ref().filter(|path| !path.is_empty()) {
            context.log(format_args!("dbpath set to '{path}'"));
            dbpath = vec!["--dbpath".to_owned(), path.clone()];
        }
        let rpmkeys = options.rpmkeys.bin_path.clone();
        Self {
            context,
            rpmkeys: rpmkeys.unwrap_or_else(|| "rpmkeys".to_owned()),
            dbpath,
        }
    }

    /// Prepares `rpm`; `first` comes before the database and the tree.
    pub(super) fn rpm(&self, first: &[&str]) -> Command {
        self.on_tree(self.context.command("rpm").args(first))
    }

    /// Prepares `rpmkeys`.
    pub(super) fn rpmkeys(&self) -> Command {
        self.on_tree(self.context.command(&self.rpmkeys))
    }

    /// Makes sure that no link of the tree leads the database out of it: rpm opens it from outside, where an absolute
    /// link means another file than in the finished system.
    pub(super) fn check_database(&self) -> Result<()> {
        let given = self.dbpath.last().cloned();
        let path = given.map_or_else(|| self.default_database(), Ok)?;
        let tree = fs_err::canonicalize(self.context.tree())?;
        let mut directory = self.context.tree().join(path.trim_start_matches('/'));
        let real = loop {
            match fs_err::canonicalize(&directory) {
                Ok(real) => break real,
                // Made by rpm, unless a link is there that leads nowhere yet.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && !directory.is_symlink() =>
                {
                    directory.pop();
                }
                Err(error) => return Err(error.into()),
            }
        };
        let is_climbing = path.split('/').any(|part| part == "..");
        if real.starts_with(&tree) && !is_climbing {
            return Ok(());
        }
        let text = format!("the database {path} is outside the tree");
        Err(StageError::new("ValueError", text).into())
    }

    fn default_database(&self) -> Result<String> {
        let rpm = self.context.command("rpm").args(["--eval", "%{_dbpath}"]);
        let path = rpm.quiet().read()?;
        Ok(String::from_utf8_lossy(&path).trim().to_owned())
    }

    fn on_tree(&self, command: Command) -> Command {
        let command = command.args(&self.dbpath).arg("--root");
        command.arg(self.context.tree())
    }
}
