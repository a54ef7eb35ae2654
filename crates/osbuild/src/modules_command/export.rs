//! The built-in modules as a library directory in upstream's layout.
//!
//! ```text
//! DIRECTORY/
//!   bin/osbuild              this program
//!   bin/osbuild-assembler    the same file under another name: see `osbuild_stages::ASSEMBLER_PROGRAM`
//!   stages/ assemblers/ sources/ inputs/ devices/ mounts/
//!     NAME                   -> ../bin/osbuild, or ../bin/osbuild-assembler
//!     NAME.meta.json
//!   runners/NAME             -> ../bin/osbuild
//!   schemas/osbuild1.json, osbuild2.json
//!   osbuild/                 empty: upstream's engine shows its own Python package there
//! ```

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use osbuild_host_modules::HOST_MODULES;
use osbuild_manifest::module::ModuleKind;
use osbuild_manifest::validate::{MANIFEST_SCHEMA_1, MANIFEST_SCHEMA_2};
use osbuild_stages::runners::RUNNERS;
use osbuild_stages::{ASSEMBLER_PROGRAM, ASSEMBLERS, STAGES};

use super::arguments::ExportArguments;

const PROGRAM: &str = "osbuild";
const PROGRAM_FOLDER: &str = "bin";
/// Upstream refuses to work without it.
const PYTHON_PACKAGE: &str = "osbuild";
const PROGRAM_MODE: u32 = 0o755;

/// A module to write. Runners have no description.
struct Module {
    kind: ModuleKind,
    name: &'static str,
    meta: Option<&'static str>,
}

/// Writes everything; gives the number of modules. What an earlier export left is replaced, what others left is not.
pub(super) fn export(arguments: &ExportArguments) -> Result<usize> {
    let directory = &arguments.directory;
    let modules = modules();
    for module in &modules {
        check_place(&directory.join(module.kind.folder()).join(module.name))?;
    }
    for kind in ModuleKind::ALL {
        fs::create_dir_all(directory.join(kind.folder()))?;
    }
    fs::create_dir_all(directory.join(PYTHON_PACKAGE))?;
    write_program(&directory.join(PROGRAM_FOLDER), arguments.link)?;
    for module in &modules {
        write_module(directory, module)?;
    }
    let schemas = directory.join("schemas");
    fs::create_dir_all(&schemas)?;
    fs::write(schemas.join("osbuild1.json"), MANIFEST_SCHEMA_1)?;
    fs::write(schemas.join("osbuild2.json"), MANIFEST_SCHEMA_2)?;
    Ok(modules.len())
}

fn modules() -> Vec<Module> {
    let host = HOST_MODULES
        .iter()
        .map(|module| (module.kind, module.name, Some(module.meta)));
    let sandboxed = [
        (ModuleKind::Stage, STAGES),
        (ModuleKind::Assembler, ASSEMBLERS),
    ];
    let sandboxed = sandboxed.into_iter().flat_map(|(kind, table)| {
        table
            .iter()
            .map(move |module| (kind, module.name, Some(module.meta)))
    });
    let runners = RUNNERS.iter().map(|name| (ModuleKind::Runner, *name, None));
    host.chain(sandboxed)
        .chain(runners)
        .map(|(kind, name, meta)| Module { kind, name, meta })
        .collect()
}

/// Fails if a module is there that no export wrote.
fn check_place(place: &Path) -> Result<()> {
    match std::fs::symlink_metadata(place) {
        Ok(metadata) if metadata.is_symlink() => {
            let target = fs::read_link(place)?;
            if target.starts_with(Path::new("..").join(PROGRAM_FOLDER)) {
                return Ok(());
            }
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("looking at {}", place.display()));
        }
    }
    bail!(
        "{} is there already, and is not from an export: choose an empty directory",
        place.display()
    )
}

/// Writes this program under its two names.
fn write_program(folder: &Path, is_link: bool) -> Result<()> {
    fs::create_dir_all(folder)?;
    let own = std::env::current_exe().context("finding this program")?;
    let program = folder.join(PROGRAM);
    replace(&program, |new| {
        if is_link {
            return Ok(fs::hard_link(&own, new)?);
        }
        fs::copy(&own, new)?;
        Ok(fs::set_permissions(
            new,
            std::fs::Permissions::from_mode(PROGRAM_MODE),
        )?)
    })?;
    replace(&folder.join(ASSEMBLER_PROGRAM), |new| {
        Ok(fs::hard_link(&program, new)?)
    })
}

fn write_module(directory: &Path, module: &Module) -> Result<()> {
    let place = directory.join(module.kind.folder()).join(module.name);
    let program = match module.kind {
        ModuleKind::Assembler => ASSEMBLER_PROGRAM,
        _ => PROGRAM,
    };
    let target = Path::new("..").join(PROGRAM_FOLDER).join(program);
    replace(&place, |new| Ok(fs::os::unix::fs::symlink(&target, new)?))?;
    if let Some(meta) = module.meta {
        let mut file = place.into_os_string();
        file.push(".meta.json");
        fs::write(PathBuf::from(file), meta)?;
    }
    Ok(())
}

/// Makes a file beside the place and moves it there: whoever runs modules from there finds the old one or the new one.
fn replace(place: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = place.parent().context("a module is in a folder")?;
    let name = place.file_name().context("a module has a name")?;
    let temporary = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(folder)?;
    let new = temporary.path().join(name);
    make(&new)?;
    // Renaming a hard link onto the same file would leave both names.
    fs::rename(&new, place)?;
    Ok(())
}
