//! `osbuild modules`: which modules there are, what they take, and all of them as files.

pub(crate) mod arguments;
mod export;
mod list;
mod show;

use osbuild_engine::module_catalog::ModuleCatalog;

use crate::failure::Failures;
use crate::tell;
use arguments::{ModulesArguments, ModulesCommand};

/// Does what was asked.
pub(crate) fn run(arguments: &ModulesArguments) -> Result<(), Failures> {
    match &arguments.command {
        None => {
            let catalog = ModuleCatalog::open(arguments.libdir.as_deref())?;
            tell::data(&list::text(&catalog, arguments.json));
            Ok(())
        }
        Some(ModulesCommand::Show(arguments)) => {
            let catalog = ModuleCatalog::open(arguments.libdir.as_deref())?;
            tell::data(&show::text(&catalog, arguments)?);
            Ok(())
        }
        Some(ModulesCommand::Export(export)) => {
            let exported = export::export(export)?;
            tell::note(&format!(
                "wrote {exported} modules to {}",
                export.directory.display()
            ));
            Ok(())
        }
    }
}
