//! Every flag. The doc comments here are `--help`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds operating-system images.
///
/// `osbuild build` takes a recipe, the file a person writes, or a manifest. `osbuild MANIFEST` is the
/// command line of upstream osbuild, as far as it is there.
#[derive(Debug, Parser)]
#[command(
    name = "osbuild",
    // The version of upstream osbuild whose interface this program has: callers compare it.
    version = "191",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) manifest: ManifestArguments,

    /// Print the version and exit
    #[arg(long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// What `osbuild` does besides building a manifest upstream's way.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build a recipe or a manifest
    Build(BuildArguments),
    /// Print the manifest that a recipe becomes
    Manifest(RecipeArguments),
    /// Choose the packages of a recipe and write the lock file beside it
    Lock(LockArguments),
}

/// `osbuild MANIFEST`.
#[derive(Debug, Args)]
pub(crate) struct ManifestArguments {
    /// The manifest, `-` for standard input
    #[arg(value_name = "MANIFEST", required = true)]
    pub(crate) manifest: Option<String>,

    /// Directory of downloads and built trees
    #[arg(
        long,
        visible_alias = "cache",
        value_name = "DIR",
        default_value = ".osbuild"
    )]
    pub(crate) store: PathBuf,

    /// Keep the tree of a pipeline or stage in the store, by name or id; `*`, `?` and `[…]` match (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// Build a pipeline and copy its tree, by name or id, to the output directory (repeatable); without it nothing is
    /// built, and sources are downloaded
    #[arg(long, value_name = "NAME")]
    pub(crate) export: Vec<String>,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Directory that exports are copied to
    #[arg(long, value_name = "DIR")]
    pub(crate) output_directory: Option<PathBuf>,

    /// Print the manifest with its ids and build nothing
    #[arg(long)]
    pub(crate) inspect: bool,

    /// How to tell what happens: the log, unless `--json` or `--quiet` is given
    #[arg(long, value_name = "NAME")]
    pub(crate) monitor: Option<MonitorName>,

    /// End a stage that runs longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) stage_timeout: Option<Duration>,

    /// Print only errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// The monitors that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MonitorName {
    /// Say nothing
    #[value(name = "NullMonitor")]
    Null,
    /// Write the whole log
    #[value(name = "LogMonitor")]
    Log,
}

/// `osbuild build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The recipe (`.yaml`) or manifest (`.json`)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Directory that the result is put in
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Directory of downloads and built trees
    #[arg(
        long,
        visible_alias = "cache",
        value_name = "DIR",
        default_value = ".osbuild"
    )]
    pub(crate) store: PathBuf,

    /// Of a manifest, the pipelines to export; the last one if none is named
    #[arg(long, value_name = "NAME")]
    pub(crate) export: Vec<String>,

    /// Pipelines that run side by side at most; the number of processors by default
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// End a stage that runs longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) stage_timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,

    /// Show everything that stages print
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Where packages come from when neither recipe nor host says it.
#[derive(Clone, Debug, Args)]
pub(crate) struct RepositoryArguments {
    /// Mirror to take packages from, where the recipe names none; default: the host's own
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,

    /// Keyring that the mirror's signature is checked with
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,
}

/// `osbuild manifest`.
#[derive(Debug, Args)]
pub(crate) struct RecipeArguments {
    /// The recipe
    #[arg(value_name = "RECIPE")]
    pub(crate) recipe: PathBuf,

    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,

    /// Directory of downloads, package lists among them
    #[arg(
        long,
        visible_alias = "cache",
        value_name = "DIR",
        default_value = ".osbuild"
    )]
    pub(crate) store: PathBuf,
}

/// `osbuild lock`.
#[derive(Debug, Args)]
pub(crate) struct LockArguments {
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Where to write the lock; default: the recipe's name with `.lock` in place of its ending
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse::<u64>()
        .map(Duration::from_secs)
        .map_err(|error| format!("a whole number of seconds is needed: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_manifest_without_a_subcommand_is_upstreams_command_line() {
        let parsed = CommandLine::try_parse_from([
            "osbuild",
            "--store",
            "s",
            "-",
            "--export",
            "tree",
            "--inspect",
        ])
        .unwrap();
        assert_eq!(parsed.manifest.manifest.as_deref(), Some("-"));
        assert_eq!(parsed.manifest.export, ["tree"]);
        assert!(parsed.manifest.inspect && parsed.command.is_none());
    }
}
