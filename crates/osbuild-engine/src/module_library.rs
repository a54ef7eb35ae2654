//! A library directory: modules as files, in upstream's layout.
//!
//! ```text
//! LIBRARY/
//!   stages/ assemblers/ sources/ inputs/ devices/ mounts/
//!     NAME                an executable
//!     NAME.meta.json      what it is; without, the executable is a Python file that says so itself
//!   runners/NAME          executables
//!   schemas/osbuild1.json, osbuild2.json
//!   osbuild/              the Python package that its modules import; empty where it is installed elsewhere
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use osbuild_manifest::manifest::Version;
use osbuild_manifest::module::{ModuleInfo, ModuleKind};
use osbuild_manifest::module_metadata::MetadataError;
use osbuild_manifest::schema::Schema;
use osbuild_manifest::value::Value;

use crate::external::lean_python;
use crate::external::python_package::PythonPackage;

/// What the metadata of a module is called after the module's own name.
const METADATA_SUFFIX: &str = ".meta.json";

/// Modules as files. What is read is kept: a module is used many times.
pub(crate) struct ModuleLibrary {
    path: PathBuf,
    runners: Vec<String>,
    modules: Mutex<BTreeMap<(ModuleKind, String), Found>>,
    schemas: [OnceLock<Option<Arc<Schema>>>; 2],
    python_package: OnceLock<PythonPackage>,
    covered_package: OnceLock<Option<PathBuf>>,
}

/// What there is of a name.
#[derive(Clone)]
pub(crate) enum Found {
    /// No such file.
    Nothing,
    /// A file that can not be used, and why.
    Unusable(Arc<MetadataProblem>),
    /// A module.
    Module(Arc<ModuleInfo>),
}

/// Why the metadata of a module that is there can not be used.
#[derive(Clone, Debug)]
pub struct MetadataProblem {
    /// The module's file, in the library directory.
    pub module: PathBuf,
    /// What is wrong.
    pub error: MetadataError,
}

impl std::fmt::Display for MetadataProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let module = self.module.display();
        match &self.error {
            MetadataError::Shape(problem) => {
                write!(formatter, "schema for {module} is invalid: {problem}")
            }
            MetadataError::Syntax(_) => {
                write!(formatter, "the metadata of {module} is {}", self.error)
            }
        }
    }
}

impl ModuleLibrary {
    /// Opens the library directory at `path`.
    ///
    /// # Errors
    /// It is no directory, or can not be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)
            .with_context(|| format!("finding the library directory {}", path.display()))?;
        let opening = || format!("opening the library directory {}", path.display());
        if !std::fs::metadata(&path).with_context(opening)?.is_dir() {
            bail!("the library directory {} is no directory", path.display());
        }
        fs::read_dir(&path)?;
        let runners = file_names(&path.join(ModuleKind::Runner.folder()))?;
        Ok(Self {
            path,
            runners,
            modules: Mutex::default(),
            schemas: [const { OnceLock::new() }; 2],
            python_package: OnceLock::new(),
            covered_package: OnceLock::new(),
        })
    }

    /// Gives its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the names of its runners.
    pub(crate) fn runners(&self) -> &[String] {
        &self.runners
    }

    /// Gives the place of a module's file, whether there is one or not.
    pub(crate) fn file(&self, kind: ModuleKind, name: &str) -> PathBuf {
        self.path.join(kind.folder()).join(name)
    }

    /// Gives the names of its modules of a kind, for suggestions.
    pub(crate) fn names(&self, kind: ModuleKind) -> Vec<String> {
        match file_names(&self.path.join(kind.folder())) {
            Ok(names) => names,
            Err(error) => {
                tracing::debug!("listing modules: {error:#}");
                Vec::new()
            }
        }
    }

    /// Reads what is known of a module.
    pub(crate) fn find(&self, kind: ModuleKind, name: &str) -> Found {
        // A name that is a path would be looked for, and shown in the sandbox, outside of the folder of modules.
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Found::Nothing;
        }
        let key = (kind, name.to_owned());
        if let Some(found) = self.lock().get(&key) {
            return found.clone();
        }
        let file = self.file(kind, name);
        let found = match read_module(&file, kind, name) {
            Ok(Some(module)) => Found::Module(Arc::new(module)),
            Ok(None) => Found::Nothing,
            Err(error) => Found::Unusable(Arc::new(MetadataProblem {
                module: file,
                error,
            })),
        };
        self.lock().insert(key, found.clone());
        found
    }

    /// Gives what was found to be unusable so far, in the order of kinds and names.
    pub(crate) fn problems(&self) -> Vec<MetadataProblem> {
        let modules = self.lock();
        let problems = modules.values().filter_map(|found| match found {
            Found::Unusable(problem) => Some(MetadataProblem::clone(problem)),
            _ => None,
        });
        problems.collect()
    }

    /// Gives the schema that it has for manifests, if it has one.
    pub(crate) fn manifest_schema(&self, version: Version) -> Option<Arc<Schema>> {
        let (cell, name) = match version {
            Version::One => (&self.schemas[0], "osbuild1.json"),
            Version::Two => (&self.schemas[1], "osbuild2.json"),
        };
        cell.get_or_init(|| read_schema(&self.path.join("schemas").join(name)))
            .clone()
    }

    /// Tells where its modules find the Python package `osbuild`; looked for when first asked.
    pub(crate) fn python_package(&self) -> &PythonPackage {
        self.python_package
            .get_or_init(|| PythonPackage::find(&self.path))
    }

    /// Gives the directory of that package if our lean one can cover it for stages.
    pub(crate) fn covered_package(&self) -> Option<&Path> {
        let find = || {
            let package = self.python_package().directory(&self.path);
            package.filter(|package| lean_python::can_cover(package))
        };
        self.covered_package.get_or_init(find).as_deref()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ModuleKind, String), Found>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the names of the files in a folder, sorted; none if there is no such folder.
fn file_names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string();
        if let Ok(name) = name
            && !name.ends_with(METADATA_SUFFIX)
            && std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file())
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Reads a module's metadata: a `meta.json` beside it always wins over what is in it.
fn read_module(
    file: &Path,
    kind: ModuleKind,
    name: &str,
) -> Result<Option<ModuleInfo>, MetadataError> {
    let mut metadata = file.to_owned().into_os_string();
    metadata.push(METADATA_SUFFIX);
    if let Some(text) = read_text(Path::new(&metadata))? {
        return ModuleInfo::from_meta_json(kind, name, &text).map(Some);
    }
    read_text(file)?
        .map(|source| ModuleInfo::from_python_source(kind, name, &source))
        .transpose()
}

/// Reads a text file; none if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, MetadataError> {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| MetadataError::Shape("it is not UTF-8 text".to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(MetadataError::Shape(error.to_string())),
    }
}

/// Reads a schema for manifests; one that is missing or broken gives way to that of this program.
fn read_schema(path: &Path) -> Option<Arc<Schema>> {
    let text = fs::read_to_string(path)
        .inspect_err(|error| tracing::debug!("{error}"))
        .ok()?;
    let schema = Value::from_json(&text)
        .map_err(anyhow::Error::from)
        .and_then(|schema| Ok(Schema::compile(&schema)?));
    match schema {
        Ok(schema) => Some(Arc::new(schema)),
        Err(error) => {
            tracing::warn!("{} is not used: {error:#}", path.display());
            None
        }
    }
}
