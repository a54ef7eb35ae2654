//! An index in which every module exists and accepts anything, for tests of what comes after validation.

use std::sync::Arc;

use osbuild_manifest::module::{ModuleIndex, ModuleInfo, ModuleKind};
use osbuild_manifest::runner::{Runner, select};

pub(crate) struct AnyModule;

impl ModuleIndex for AnyModule {
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>> {
        let anything = r#"{"summary": "", "description": [], "schema_2": {"additionalProperties": true, "properties": {}}}"#;
        ModuleInfo::from_meta_json(kind, name, anything)
            .ok()
            .map(Arc::new)
    }

    fn runner(&self, requested: &str) -> anyhow::Result<Runner> {
        let known = ["org.osbuild.linux", "org.osbuild.fedora38"];
        let file_name = select(requested, known)
            .ok_or_else(|| anyhow::anyhow!("No suitable runner for {requested}"))?;
        Ok(Runner {
            requested: requested.to_owned(),
            file_name: file_name.to_owned(),
        })
    }
}
