//! The programs of the build root, and what every call of them says.

use anyhow::Result;
use osbuild_stage_api::{Command, StageContext};

use super::Options;
use crate::shared::places::check_database;

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

    /// Makes sure that no link of the tree leads the database out of it.
    pub(super) fn check_database(&self) -> Result<()> {
        check_database(self.context, self.dbpath.last().map(String::as_str))
    }

    fn on_tree(&self, command: Command) -> Command {
        let command = command.args(&self.dbpath).arg("--root");
        command.arg(self.context.tree())
    }
}
