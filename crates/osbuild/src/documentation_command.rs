//! Man pages and completions, made from the definition of the command line: they can not fall behind it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use fs_err as fs;

use crate::command_line::CommandLine;
use crate::failure::Failures;
use crate::tell;

const PROGRAM: &str = "osbuild";

/// `osbuild completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `osbuild man-pages`.
#[derive(Debug, Args)]
pub(crate) struct ManPagesArguments {
    /// Directory for `osbuild.1` and a page for each command
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
}

/// Prints the completions for a shell.
pub(crate) fn print_completions(arguments: &CompletionsArguments) -> Result<(), Failures> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition(), PROGRAM, &mut script);
    let script = String::from_utf8(script).context("writing completions")?;
    tell::data(&script);
    Ok(())
}

/// Writes the man pages.
pub(crate) fn write_man_pages(arguments: &ManPagesArguments) -> Result<(), Failures> {
    fs::create_dir_all(&arguments.directory).map_err(anyhow::Error::from)?;
    // A page for each command that is not hidden: `osbuild-modules-show.1`.
    clap_mangen::generate_to(definition(), &arguments.directory)
        .with_context(|| format!("writing man pages to {}", arguments.directory.display()))?;
    Ok(())
}

/// The command line as users see it.
fn definition() -> Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        write_man_pages(&ManPagesArguments { directory: path }).unwrap();
        let page = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        for command in definition()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            page(&format!("osbuild-{}.1", command.get_name()));
        }
        assert!(page("osbuild.1").contains(r"\-\-output\-directory"));
        assert!(page("osbuild-modules-export.1").contains(r"\-\-link"));
    }

    #[test]
    fn every_shell_completes_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut definition(), PROGRAM, &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(
                script.contains("modules") && script.contains("checkpoint"),
                "{shell}"
            );
        }
    }
}
