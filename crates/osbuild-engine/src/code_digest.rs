//! Digests of what runs: this program, modules that are files, the host.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use osbuild_manifest::module::ModuleKind;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::cache_key::hexadecimal;
use crate::module_catalog::{ModuleCatalog, ModuleCode};

/// Files of the host whose content says which system and packages it has. Databases of packages change with every
/// installation, upgrade and removal.
const HOST_FILES: [&str; 3] = [
    "/usr/lib/os-release",
    "/var/lib/dpkg/status",
    "/etc/mke2fs.conf",
];

/// Files and folders of the host that are told by size and time of change: they are large, or their content does not
/// matter as long as nothing is added or taken away.
const HOST_MARKS: [&str; 9] = [
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/var/lib/pacman/local",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/etc/containers",
];

/// The piece to read at a time.
const BUFFER: usize = 128 * 1024;

/// Digests, each computed when first asked for.
#[derive(Debug)]
pub(crate) struct CodeDigests {
    program: PathBuf,
    of_program: OnceLock<String>,
    of_host: OnceLock<Value>,
    files: Mutex<BTreeMap<PathBuf, String>>,
}

impl CodeDigests {
    /// `program` is this program, which is also every built-in module; its digest may be `known`.
    pub(crate) fn new(program: &Path, known: Option<String>) -> Self {
        Self {
            program: program.to_owned(),
            of_program: known.map_or_else(OnceLock::new, OnceLock::from),
            of_host: OnceLock::new(),
            files: Mutex::default(),
        }
    }

    /// Gives that of this program.
    pub(crate) fn program(&self) -> Result<String> {
        if let Some(known) = self.of_program.get() {
            return Ok(known.clone());
        }
        let digest = self.file(&self.program)?;
        Ok(self.of_program.get_or_init(|| digest).clone())
    }

    /// Gives that of a module: of this program for those that are built in, else of its file, together with the Python
    /// package that modules import.
    pub(crate) fn module(
        &self,
        catalog: &ModuleCatalog,
        kind: ModuleKind,
        name: &str,
    ) -> Result<String> {
        match catalog.code(kind, name) {
            None => bail!("there is no {} `{name}`", kind.noun()),
            Some(ModuleCode::BuiltIn) => self.program(),
            Some(ModuleCode::File(file)) => {
                let package = match catalog.python_path() {
                    Some(path) => self.folder(&path.join("osbuild"))?,
                    None => String::new(),
                };
                Ok(format!("{}{package}", self.file(&file)?))
            }
        }
    }

    /// Gives that of the content of a file.
    pub(crate) fn file(&self, path: &Path) -> Result<String> {
        self.remember(path, file_digest)
    }

    /// Gives that of the Python files in a folder and those below.
    fn folder(&self, path: &Path) -> Result<String> {
        self.remember(path, |path| {
            let mut hash = Sha256::new();
            add_folder(&mut hash, path)?;
            Ok(hexadecimal(&hash.finalize()))
        })
    }

    fn remember(
        &self,
        path: &Path,
        compute: impl FnOnce(&Path) -> Result<String>,
    ) -> Result<String> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.get(path) {
            return Ok(known.clone());
        }
        let digest = compute(path)?;
        files.insert(path.to_owned(), digest.clone());
        Ok(digest)
    }

    /// Describes the host as far as stages that run in it see it: system, packages, and when something was last added
    /// to or removed from the folders of its programs.
    ///
    /// A file of `/usr` that was edited in place, past the package manager, is not noticed.
    pub(crate) fn host(&self) -> Result<Value> {
        if let Some(known) = self.of_host.get() {
            return Ok(known.clone());
        }
        let mut parts = Map::new();
        for path in HOST_FILES {
            if Path::new(path).is_file() {
                parts.insert(path.to_owned(), self.file(Path::new(path))?.into());
            }
        }
        for path in HOST_MARKS {
            if let Ok(metadata) = fs::metadata(path) {
                let mark = format!(
                    "{} bytes, changed {}.{:09}",
                    metadata.len(),
                    metadata.mtime(),
                    metadata.mtime_nsec()
                );
                parts.insert(path.to_owned(), mark.into());
            }
        }
        Ok(self.of_host.get_or_init(|| json!(parts)).clone())
    }

    /// Names the running kernel.
    pub(crate) fn kernel() -> String {
        rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned()
    }

    #[cfg(test)]
    pub(crate) fn fixed(program: &str, host: &str) -> Self {
        let digests = Self::new(Path::new(program), Some(program.to_owned()));
        digests.of_host.set(host.into()).unwrap();
        digests
    }
}

/// Gives the digest of the content of a file.
pub(crate) fn file_digest(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file
            .read(&mut buffer)
            .with_context(|| format!("reading {}", path.display()))?;
        if read == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn add_folder(hash: &mut Sha256, folder: &Path) -> Result<()> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("listing {}", folder.display()))?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            add_folder(hash, &path)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            let content = fs::read(&path)?;
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(content.len().to_le_bytes());
            hash.update(content);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_foreign_modules_counts_with_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let digest = || CodeDigests::fixed("p", "h").folder(folder.path()).unwrap();
        write("api.py", "1");
        write("util/lvm2.py", "2");
        let before = digest();
        write("util/__pycache__/lvm2.pyc", "compiled");
        assert_eq!(digest(), before);
        write("util/lvm2.py", "3");
        assert_ne!(digest(), before);
    }
}
