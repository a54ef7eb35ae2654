//! Modules of a library directory, as upstream's checkout is one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use osbuild_manifest::module::{ModuleIndex, ModuleInfo, ModuleKind};
use osbuild_manifest::runner::{Runner, select};

/// Looks modules up in a library directory.
pub(crate) struct DirectoryIndex {
    root: PathBuf,
}

impl DirectoryIndex {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }
}

impl ModuleIndex for DirectoryIndex {
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>> {
        let path = self.root.join(kind.folder()).join(name);
        let info = match fs_err::read_to_string(path.with_file_name(format!("{name}.meta.json"))) {
            Ok(text) => ModuleInfo::from_meta_json(kind, name, &text),
            Err(_) => {
                ModuleInfo::from_python_source(kind, name, &fs_err::read_to_string(&path).ok()?)
            }
        };
        Some(Arc::new(info.unwrap_or_else(|error| {
            panic!("{}: {error}", path.display())
        })))
    }

    fn runner(&self, requested: &str) -> Result<Runner> {
        let mut names = Vec::new();
        for entry in fs_err::read_dir(self.root.join("runners"))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let found = select(requested, names.iter().map(String::as_str));
        let file_name = found
            .with_context(|| format!("No suitable runner for {requested}"))?
            .to_owned();
        Ok(Runner {
            requested: requested.to_owned(),
            file_name,
        })
    }
}
