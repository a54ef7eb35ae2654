//! Which module a name means, and running the one this program was started as.

mod bound_file;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use osbuild_stage_api::{StageModule, run_stage};

use crate::runners;
use crate::table::{ASSEMBLERS, STAGES};

pub use bound_file::ASSEMBLER_PROGRAM;

/// Every module's name starts so; the program itself is never called that.
const NAME_PREFIX: &str = "org.osbuild.";
/// Where the sandbox has stages.
const STAGE_DIRECTORY: &str = "/run/osbuild/bin";
/// The folder of assemblers in a library directory.
const ASSEMBLER_FOLDER: &str = "assemblers";
/// Set in the environment of an assembler. Its name and place in the sandbox are those of a stage, and stages of the same
/// name exist: `org.osbuild.tar`. Upstream tells them apart by which program it shows there; ours is always the same.
pub const ASSEMBLER_ENVIRONMENT: (&str, &str) = ("OSBUILD_MODULE_KIND", "assembler");
/// Where the sandbox has the runner.
const RUNNER_DIRECTORY: &str = "/run/osbuild/runner";
/// A program that can not be run, as shells say it.
const NOT_FOUND: u8 = 127;

/// What the program was started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role<'a> {
    Stage(&'a str),
    Assembler(&'a str),
    Runner,
    Unknown(&'a str),
}

/// Finds a stage by its full name.
pub fn lookup(name: &str) -> Option<&'static StageModule> {
    find(STAGES, name)
}

fn find(table: &'static [StageModule], name: &str) -> Option<&'static StageModule> {
    let index = table
        .binary_search_by_key(&name, |module| module.name)
        .ok()?;
    Some(&table[index])
}

/// Runs the module that `argv[0]` names; `None` if it names none, so this is the command line.
///
/// To be called before the command line is parsed: modules have no options of ours.
pub fn run_module(argv0: &OsStr) -> Option<ExitCode> {
    let (variable, value) = ASSEMBLER_ENVIRONMENT;
    let is_told = std::env::var_os(variable).is_some_and(|kind| kind == value);
    let path = Path::new(argv0);
    let is_assembler = || is_told || bound_file::is_assembler_program(path);
    Some(match role(argv0, is_assembler)? {
        Role::Stage(name) => run_stage(lookup(name)?),
        Role::Assembler(name) => run_stage(find(ASSEMBLERS, name)?),
        Role::Runner => runners::run(std::env::args_os().skip(1)),
        Role::Unknown(name) => {
            osbuild_stage_api::Output::standard().line(format_args!(
                "ValueError: there is no module `{name}` in this program"
            ));
            ExitCode::from(NOT_FOUND)
        }
    })
}

/// `is_assembler` tells what the name alone does not: it is asked for names that stages and assemblers share.
fn role(argv0: &OsStr, is_assembler: impl FnOnce() -> bool) -> Option<Role<'_>> {
    let path = Path::new(argv0);
    let name = path.file_name()?.to_str()?;
    let is_in = |directory: &str| path.parent() == Some(Path::new(directory));
    if is_in(RUNNER_DIRECTORY) {
        return Some(Role::Runner);
    }
    if !is_in(STAGE_DIRECTORY) && !name.starts_with(NAME_PREFIX) {
        return None;
    }
    let folder = path.parent().and_then(Path::file_name);
    let is_in_folder = folder.is_some_and(|folder| folder == ASSEMBLER_FOLDER);
    Some(match (lookup(name), find(ASSEMBLERS, name)) {
        (Some(_), Some(_)) if is_in_folder || is_assembler() => Role::Assembler(name),
        (Some(_), _) => Role::Stage(name),
        (None, Some(_)) => Role::Assembler(name),
        (None, None) if runners::is_runner(name) => Role::Runner,
        (None, None) => Role::Unknown(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_says_when_a_name_means_an_assembler() {
        for (name, is_assembler, expected) in [
            ("org.osbuild.tar", false, Role::Stage("org.osbuild.tar")),
            ("org.osbuild.tar", true, Role::Assembler("org.osbuild.tar")),
            ("org.osbuild.mkdir", true, Role::Stage("org.osbuild.mkdir")),
            ("org.osbuild.debian", true, Role::Runner),
        ] {
            let path = format!("/run/osbuild/bin/{name}");
            assert_eq!(role(OsStr::new(&path), || is_assembler), Some(expected));
        }
        let path = "/usr/lib/osbuild/assemblers/org.osbuild.tar";
        assert_eq!(
            role(OsStr::new(path), || false),
            Some(Role::Assembler("org.osbuild.tar"))
        );
    }

    #[test]
    fn the_name_it_was_started_by_decides() {
        for (argv0, expected) in [
            (
                "/run/osbuild/bin/org.osbuild.hostname",
                Some(Role::Stage("org.osbuild.hostname")),
            ),
            (
                "org.osbuild.hostname",
                Some(Role::Stage("org.osbuild.hostname")),
            ),
            ("/run/osbuild/runner/org.osbuild.debian", Some(Role::Runner)),
            (
                "/usr/lib/osbuild/runners/org.osbuild.fedora38",
                Some(Role::Runner),
            ),
            (
                "/run/osbuild/bin/org.osbuild.nonesuch",
                Some(Role::Unknown("org.osbuild.nonesuch")),
            ),
            ("/usr/bin/osbuild", None),
            ("osbuild", None),
            ("", None),
        ] {
            assert_eq!(role(OsStr::new(argv0), || false), expected, "{argv0}");
        }
    }
}
