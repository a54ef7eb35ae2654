//! Every flag. The doc comments here are `--help`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::depsolve_command::DepsolveArguments;
use crate::diff_command::DiffArguments;
use clap::{Args, Parser, Subcommand, ValueEnum};
use osbuild_manifest::value::Value;
use osbuild_store::MaximumSize;

use crate::build_command::Talk;
use crate::cache_command::CacheArguments;
use crate::documentation_command::{CompletionsArguments, ManPagesArguments};
use crate::explain_command::ExplainArguments;
use crate::image_info_command::ImageInfoArguments;
use crate::modules_command::arguments::ModulesArguments;
use crate::resume_command::ResumeArguments;
use crate::store_place::default_store;

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
    // As upstream: of an option that is given twice, the last one counts.
    args_override_self = true,
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
    /// Go on with a build that failed, was interrupted or was killed: finished stages are used again
    Resume(ResumeArguments),
    /// Print the manifest that a recipe becomes
    Manifest(RecipeArguments),
    /// Choose the packages of a recipe and write the lock file beside it
    Lock(LockArguments),
    /// Tell what a build would run, and why
    Explain(ExplainArguments),
    /// Look into the store, and tidy it up
    Cache(CacheArguments),
    /// Compare two trees, archives or disk images; exit code 1 if they differ
    Diff(DiffArguments),
    /// Choose RPM packages: upstream's request on standard input, its response on standard output
    Depsolve(DepsolveArguments),
    /// Report what a directory, an archive or a disk image holds, as JSON
    ImageInfo(ImageInfoArguments),
    /// List and explain the modules, or write them as a library directory
    Modules(ModulesArguments),
    /// Print completions of the command line for a shell
    Completions(CompletionsArguments),
    /// Write the man pages, for packages
    #[command(hide = true)]
    ManPages(ManPagesArguments),
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
        visible_alias = "store",
        value_name = "DIRECTORY",
        default_value = ".osbuild"
    )]
    pub(crate) cache: PathBuf,

    /// Directory of modules to use besides the built-in ones, and instead of those of the same name; default: what
    /// /usr/lib/osbuild has besides, if it is there
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) libdir: Option<PathBuf>,

    /// How much the store may hold from now on: digits and one of kB, KiB, MB, MiB, GB, GiB, TB, TiB, or `unlimited`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) cache_max_size: Option<MaximumSize>,

    /// Keep the tree of a pipeline or stage in the store, by name or id; `*`, `?` and `[…]` match (repeatable)
    #[arg(long, value_name = "ID")]
    pub(crate) checkpoint: Vec<String>,

    /// Build a pipeline and copy its tree, by name or id, to the output directory (repeatable); without it nothing is
    /// built, and sources are downloaded
    #[arg(long, value_name = "ID")]
    pub(crate) export: Vec<String>,

    /// Run a pipeline in a virtual machine (not there yet: it is refused)
    #[arg(long, value_name = "ID")]
    pub(crate) in_vm: Vec<String>,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Directory that exports are copied to
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output_directory: Option<PathBuf>,

    /// Print the manifest with its ids and build nothing
    #[arg(long)]
    pub(crate) inspect: bool,

    /// How to tell what happens, `NullMonitor`, `LogMonitor` or `JSONSeqMonitor`; default: the log, unless `--json` or
    /// `--quiet` is given
    #[arg(long, value_name = "NAME")]
    pub(crate) monitor: Option<String>,

    /// Number of an open descriptor that the monitor writes to; default: standard output
    #[arg(long, value_name = "FD", value_parser = parse_number, allow_negative_numbers = true)]
    pub(crate) monitor_fd: Option<i32>,

    /// End a stage that runs longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) stage_timeout: Option<Duration>,

    /// Open a shell in the sandbox of a stage before it runs: a name or id of a stage, or `*`, which is the default
    #[arg(
        long = "break",
        value_name = "STAGE",
        num_args = 0..=1,
        default_missing_value = "*"
    )]
    pub(crate) break_before: Option<String>,

    /// What to do when a stage has failed: `shell` opens a shell in its sandbox, `keep` keeps what it left of its tree;
    /// with `keep`, finished stages are kept too, as by `osbuild build`, and `osbuild resume` goes on
    #[arg(long, value_name = "ACTION")]
    pub(crate) on_failure: Option<OnFailure>,

    /// Directory for sockets; default: /run/osbuild for root, that below `$XDG_RUNTIME_DIR` for others
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) rundir: Option<PathBuf>,

    /// Print only errors
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Pipelines that run side by side at most; default: 1, as upstream
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) seed: SeedArguments,
}

/// What can be done when a stage has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Open a shell where it ran, what it left still in place
    Shell,
    /// Keep the tree as the stage left it, in the store
    Keep,
}

/// What `osbuild build` can do when a stage has failed; its pipelines run side by side, so no shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuildOnFailure {
    /// Keep the tree as the stage left it, in the store
    Keep,
}

/// What the first versions took, in 2020.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of the versions of 2020")]
pub(crate) struct SeedArguments {
    /// Build environment to use at the innermost: a JSON file with `pipeline` and `runner` (format 1)
    #[arg(long, value_name = "FILE")]
    pub(crate) build_env: Option<String>,

    /// Sources to use instead of the manifest's: a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) sources: Option<String>,

    /// Secrets of sources: a JSON file. No source of today reads it; a warning says what to set instead
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<String>,
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

    /// Directory of downloads and built trees; default: .osbuild if it is here, else /var/cache/osbuild for root and
    /// `$XDG_CACHE_HOME/osbuild` for others
    #[arg(
        long,
        visible_alias = "cache",
        value_name = "DIR",
        default_value_os_t = default_store(),
        hide_default_value = true
    )]
    pub(crate) store: PathBuf,

    /// Directory of modules to use besides the built-in ones, and instead of those of the same name
    #[arg(short, long, value_name = "DIR")]
    pub(crate) libdir: Option<PathBuf>,

    /// Of a manifest, the pipelines to export; the last one if none is named
    #[arg(long, value_name = "NAME")]
    pub(crate) export: Vec<String>,

    /// Pipelines that run side by side at most; the number of processors by default
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// End a stage that runs longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) stage_timeout: Option<Duration>,

    /// Neither use results of earlier builds nor keep those of this one
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Run everything anew that comes after a stage, given by name or id
    #[arg(long, value_name = "STAGE", conflicts_with = "no_cache")]
    pub(crate) cache_from: Option<String>,

    /// What to do when a stage has failed: `keep` keeps what it left of its tree
    #[arg(long, value_name = "ACTION")]
    pub(crate) on_failure: Option<BuildOnFailure>,

    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,

    #[command(flatten)]
    pub(crate) talk: Talk,
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
        default_value_os_t = default_store(),
        hide_default_value = true
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

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse();
    seconds
        .map(Duration::from_secs)
        .map_err(|_| invalid("int", text))
}

fn parse_number(text: &str) -> Result<i32, String> {
    text.trim().parse().map_err(|_| invalid("int", text))
}

fn parse_size(text: &str) -> Result<MaximumSize, String> {
    text.parse().map_err(|_| invalid("parse_size", text))
}

/// Says that a value can not be read, in the words of Python's `argparse`.
fn invalid(reader: &str, text: &str) -> String {
    format!(
        "invalid {reader} value: {}",
        Value::from(text).to_python_repr()
    )
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
