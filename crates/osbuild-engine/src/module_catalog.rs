//! Finds the modules that a manifest names. Nothing has to be installed: all of them are built in.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use osbuild_manifest::module::{ModuleIndex, ModuleInfo, ModuleKind};
use osbuild_manifest::runner::{self, Runner};
use osbuild_sandbox::CapabilitySet;

/// Serves distributions that have no runner of their own.
const FALLBACK_RUNNER: &str = "org.osbuild.linux";

/// Every module there is. Metadata is read when a module is first asked for: a manifest names few.
pub struct ModuleCatalog {
    modules: BTreeMap<ModuleKind, BTreeMap<&'static str, BuiltIn>>,
}

struct BuiltIn {
    meta: &'static str,
    info: OnceLock<Arc<ModuleInfo>>,
}

impl ModuleCatalog {
    /// Lists the modules that are built in.
    pub fn built_in() -> Self {
        let sandboxed = osbuild_stages::STAGES
            .iter()
            .map(|module| (ModuleKind::Stage, module.name, module.meta));
        let on_host = osbuild_host_modules::HOST_MODULES
            .iter()
            .map(|module| (module.kind, module.name, module.meta));
        let mut modules: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (kind, name, meta) in sandboxed.chain(on_host) {
            let info = OnceLock::new();
            modules
                .entry(kind)
                .or_default()
                .insert(name, BuiltIn { meta, info });
        }
        Self { modules }
    }

    /// Gives what a stage may do beyond the default.
    pub(crate) fn capabilities(&self, stage: &str) -> Result<CapabilitySet> {
        let info = self
            .module(ModuleKind::Stage, stage)
            .with_context(|| format!("no stage `{stage}` is built in"))?;
        info.capabilities.iter().map(|name| name.parse()).collect()
    }
}

impl ModuleIndex for ModuleCatalog {
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>> {
        let (name, module) = self.modules.get(&kind)?.get_key_value(name)?;
        let info = module.info.get_or_init(|| {
            let info = ModuleInfo::from_meta_json(kind, name, module.meta)
                .expect("a test reads the metadata of every built-in module");
            Arc::new(info)
        });
        Some(Arc::clone(info))
    }

    fn runner(&self, requested: &str) -> Result<Runner> {
        // Every runner is the one built-in program; a distribution that nobody listed gets it as well.
        let file_name = runner::select(requested, osbuild_stages::runners::RUNNERS.iter().copied())
            .unwrap_or(FALLBACK_RUNNER);
        Ok(Runner {
            requested: requested.to_owned(),
            file_name: file_name.to_owned(),
        })
    }

    fn names(&self, kind: ModuleKind) -> Vec<String> {
        let modules = self.modules.get(&kind);
        modules
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(|name| (*name).to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_every_built_in_module_can_be_read() {
        let catalog = ModuleCatalog::built_in();
        for kind in catalog.modules.keys() {
            for name in catalog.names(*kind) {
                assert_eq!(catalog.module(*kind, &name).unwrap().name, name);
            }
        }
        assert!(catalog.names(ModuleKind::Stage).len() > 20);
    }
}
