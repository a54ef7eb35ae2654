//! The flags of `osbuild modules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `osbuild modules`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ModulesArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ModulesCommand>,

    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Directory of modules that are not built in, or that are to be used instead of those
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) libdir: Option<PathBuf>,
}

/// What `osbuild modules` does besides listing them.
#[derive(Debug, Subcommand)]
pub(crate) enum ModulesCommand {
    /// Explain a module: what it does, what it takes, and an example
    Show(ShowArguments),
    /// Write the built-in modules as a library directory in upstream's layout
    ///
    /// Upstream's engine and this one can run modules from there, and other programs can read what modules take. All
    /// modules are links to one copy of this program.
    Export(ExportArguments),
}

/// `osbuild modules show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The name, `org.osbuild.hostname` or just `hostname`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Print the explanation as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Directory of modules that are not built in, or that are to be used instead of those
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) libdir: Option<PathBuf>,
}

/// `osbuild modules export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The directory; made if it is not there
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,

    /// Make the program in the directory a hard link of this one instead of a copy; it has to be on the same file system
    #[arg(long)]
    pub(crate) link: bool,
}
