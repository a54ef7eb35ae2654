//! Finds the modules that a manifest names: in a library directory if one was given, else those that are built in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use osbuild_manifest::manifest::Version;
use osbuild_manifest::module::{ModuleIndex, ModuleInfo, ModuleKind};
use osbuild_manifest::module_metadata::MetadataError;
use osbuild_manifest::runner::{self, Runner};
use osbuild_manifest::schema::Schema;
use osbuild_sandbox::CapabilitySet;

use crate::host_runner::{host_runner, similar_runners};
use crate::module_library::{Found, ModuleLibrary};

pub use crate::module_library::MetadataProblem;

/// Serves distributions that have no runner of their own.
const FALLBACK_RUNNER: &str = "org.osbuild.linux";

/// Every module there is. Metadata is read when a module is first asked for: a manifest names few.
pub struct ModuleCatalog {
    library: Option<ModuleLibrary>,
    first: Precedence,
    built_in: BTreeMap<ModuleKind, BTreeMap<&'static str, BuiltIn>>,
}

struct BuiltIn {
    meta: &'static str,
    info: OnceLock<Arc<ModuleInfo>>,
}

/// Which module counts when a library directory and this program both have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precedence {
    Library,
    BuiltIn,
}

/// Where the code of a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleCode {
    /// In this program.
    BuiltIn,
    /// In this file of the library directory.
    File(PathBuf),
}

impl ModuleCatalog {
    /// Lists the modules of a library directory, if one was given, and those that are built in. Where both have a
    /// module, that of the directory counts.
    ///
    /// # Errors
    /// The library directory is none, or can not be read.
    pub fn open(library: Option<&Path>) -> Result<Self> {
        let library = library.map(ModuleLibrary::open).transpose()?;
        Ok(Self {
            library,
            ..Self::built_in()
        })
    }

    /// Lists the modules that are built in, and those of a library directory that nobody asked for: what is installed
    /// there adds to what is built in, and takes the place of nothing.
    ///
    /// # Errors
    /// The library directory is none, or can not be read.
    pub fn open_installed(library: &Path) -> Result<Self> {
        Ok(Self {
            first: Precedence::BuiltIn,
            ..Self::open(Some(library))?
        })
    }

    /// Lists the modules that are built in.
    pub fn built_in() -> Self {
        let sandboxed = osbuild_stages::STAGES
            .iter()
            .map(|module| (ModuleKind::Stage, module.name, module.meta));
        let assemblers = osbuild_stages::ASSEMBLERS
            .iter()
            .map(|module| (ModuleKind::Assembler, module.name, module.meta));
        let on_host = osbuild_host_modules::HOST_MODULES
            .iter()
            .map(|module| (module.kind, module.name, module.meta));
        let mut built_in: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (kind, name, meta) in sandboxed.chain(assemblers).chain(on_host) {
            let info = OnceLock::new();
            built_in
                .entry(kind)
                .or_default()
                .insert(name, BuiltIn { meta, info });
        }
        Self {
            library: None,
            first: Precedence::Library,
            built_in,
        }
    }

    /// Gives the library directory, absolute.
    pub fn library_path(&self) -> Option<&Path> {
        self.library.as_ref().map(ModuleLibrary::path)
    }

    /// Tells where the code of a module is; `None` if there is no such module.
    pub fn code(&self, kind: ModuleKind, name: &str) -> Option<ModuleCode> {
        if let Some(library) = self.library_for(kind, name) {
            match library.find(kind, name) {
                Found::Module(_) => return Some(ModuleCode::File(library.file(kind, name))),
                Found::Unusable(_) => return None,
                Found::Nothing => {}
            }
        }
        let built_in = self.built_in.get(&kind)?.contains_key(name);
        built_in.then_some(ModuleCode::BuiltIn)
    }

    /// Gives what was found to be wrong with the metadata of modules that were asked for. A module whose metadata is
    /// of the wrong shape counts as absent, with a warning; upstream ends when it is not even JSON.
    pub fn metadata_warnings(&self) -> Vec<MetadataProblem> {
        let problems = self.library.iter().flat_map(ModuleLibrary::problems);
        problems
            .filter(|problem| matches!(problem.error, MetadataError::Shape(_)))
            .collect()
    }

    /// Fails if the metadata of a module that was asked for is no JSON; to be called after validation.
    ///
    /// # Errors
    /// Names the first such module.
    pub fn check_metadata(&self) -> Result<()> {
        let mut problems = self.library.iter().flat_map(ModuleLibrary::problems);
        match problems.find(|problem| matches!(problem.error, MetadataError::Syntax(_))) {
            Some(problem) => bail!("{problem}"),
            None => Ok(()),
        }
    }

    /// Gives the directory to put on the Python path of modules on the host.
    pub(crate) fn python_path(&self) -> Option<&Path> {
        let library = self.library.as_ref()?;
        library.python_package().search_path(library.path())
    }

    /// Gives the library directory.
    pub(crate) fn library(&self) -> Option<&ModuleLibrary> {
        self.library.as_ref()
    }

    /// Gives the library directory, unless the module is built in and that counts.
    fn library_for(&self, kind: ModuleKind, name: &str) -> Option<&ModuleLibrary> {
        let has = self
            .built_in
            .get(&kind)
            .is_some_and(|modules| modules.contains_key(name));
        let is_passed_over = has && self.first == Precedence::BuiltIn;
        self.library.as_ref().filter(|_| !is_passed_over)
    }

    /// Gives the file of a runner for a distribution that no built-in runner knows.
    pub(crate) fn foreign_runner(&self, runner: &Runner) -> Option<PathBuf> {
        let name = runner.file_name.as_str();
        let library = self.library.as_ref()?;
        let is_known = select_built_in(name).is_some();
        (!is_known && library.runners().iter().any(|other| other == name))
            .then(|| library.file(ModuleKind::Runner, name))
    }

    /// Gives what a stage or assembler may do beyond the default.
    pub(crate) fn capabilities(&self, kind: ModuleKind, name: &str) -> Result<CapabilitySet> {
        let info = self
            .module(kind, name)
            .with_context(|| format!("there is no {} `{name}`", kind.noun()))?;
        info.capabilities.iter().map(|name| name.parse()).collect()
    }
}

impl ModuleIndex for ModuleCatalog {
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>> {
        if let Some(library) = self.library_for(kind, name) {
            match library.find(kind, name) {
                Found::Module(module) => return Some(module),
                // Another module of that name is not what was meant.
                Found::Unusable(_) => return None,
                Found::Nothing => {}
            }
        }
        let (name, module) = self.built_in.get(&kind)?.get_key_value(name)?;
        let info = module.info.get_or_init(|| {
            let info = ModuleInfo::from_meta_json(kind, name, module.meta)
                .expect("a test reads the metadata of every built-in module");
            Arc::new(info)
        });
        Some(Arc::clone(info))
    }

    fn runner(&self, requested: &str) -> Result<Runner> {
        let file_name = match self.find_runner(requested) {
            Some(file_name) => file_name.to_owned(),
            // Every built-in runner is the one program; a distribution that nobody listed gets it as well. Whoever
            // asks by name for a runner of a library directory wants that one.
            None => match self.stand_in_for_host(requested)? {
                Some(file_name) => file_name,
                None if self.library.is_none() => FALLBACK_RUNNER.to_owned(),
                None => bail!("No suitable runner for {requested}"),
            },
        };
        Ok(Runner {
            requested: requested.to_owned(),
            file_name,
        })
    }

    fn names(&self, kind: ModuleKind) -> Vec<String> {
        let of_library = self.library.iter().flat_map(|library| library.names(kind));
        let built_in = self.built_in.get(&kind).into_iter().flatten();
        let names: std::collections::BTreeSet<String> = built_in
            .map(|(name, _)| (*name).to_owned())
            .chain(of_library)
            .collect();
        names.into_iter().collect()
    }

    fn manifest_schema(&self, version: Version) -> Option<Arc<Schema>> {
        let library = self
            .library
            .as_ref()
            .filter(|_| self.first == Precedence::Library);
        library?.manifest_schema(version)
    }
}

impl ModuleCatalog {
    /// Gives the runner that serves this machine's system if `requested` is its own and nobody has made that one: that
    /// of a system it says it is like, or one for any.
    ///
    /// # Errors
    /// What the machine says of its system can not be read.
    pub fn stand_in_for_host(&self, requested: &str) -> Result<Option<String>> {
        let host = Path::new("/");
        if self.find_runner(requested).is_some() || requested != host_runner(host)? {
            return Ok(None);
        }
        Ok(Some(
            self.nearest_runner(&similar_runners(host)?).to_owned(),
        ))
    }

    fn nearest_runner(&self, similar: &[String]) -> &str {
        let mut similar = similar.iter();
        let nearest = similar.find_map(|name| self.find_runner(name));
        nearest.unwrap_or(FALLBACK_RUNNER)
    }

    /// Finds the runner for a name, in the library or built in.
    fn find_runner(&self, requested: &str) -> Option<&str> {
        let of_library = self.library.as_ref().map(ModuleLibrary::runners);
        let of_library = of_library.unwrap_or_default().iter().map(String::as_str);
        runner::select(requested, of_library).or_else(|| select_built_in(requested))
    }
}

/// Picks the built-in runner for a requested name.
fn select_built_in(requested: &str) -> Option<&'static str> {
    runner::select(requested, osbuild_stages::runners::RUNNERS.iter().copied())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    const META: &str = r#"{"summary": "s", "description": [], "schema": {}}"#;

    /// A library directory with these files.
    fn library(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    fn open(library: &tempfile::TempDir) -> ModuleCatalog {
        ModuleCatalog::open(Some(library.path())).unwrap()
    }

    #[test]
    fn the_metadata_of_every_built_in_module_can_be_read() {
        let catalog = ModuleCatalog::built_in();
        for kind in catalog.built_in.keys() {
            for name in catalog.names(*kind) {
                assert_eq!(catalog.module(*kind, &name).unwrap().name, name);
            }
        }
        assert!(catalog.names(ModuleKind::Stage).len() > 20);
    }

    #[test]
    fn a_library_comes_before_what_is_built_in() {
        let library = library(&[
            ("stages/org.osbuild.noop", ""),
            (
                "stages/org.osbuild.noop.meta.json",
                r#"{"summary": "theirs", "description": [], "schema": {}, "capabilities": ["CAP_NET_ADMIN"]}"#,
            ),
            ("stages/com.example.own", ""),
            ("stages/com.example.own.meta.json", META),
        ]);
        let catalog = open(&library);
        let noop = catalog
            .module(ModuleKind::Stage, "org.osbuild.noop")
            .unwrap();
        assert_eq!(noop.summary, "theirs");
        let code = |name| catalog.code(ModuleKind::Stage, name);
        assert_eq!(
            code("org.osbuild.noop"),
            Some(ModuleCode::File(
                library.path().join("stages/org.osbuild.noop")
            ))
        );
        assert_eq!(code("org.osbuild.mkdir"), Some(ModuleCode::BuiltIn));
        assert_eq!(code("com.example.none"), None);
        let capabilities = catalog
            .capabilities(ModuleKind::Stage, "org.osbuild.noop")
            .unwrap();
        assert_eq!(
            capabilities,
            std::iter::once("CAP_NET_ADMIN".parse().unwrap()).collect()
        );
        let names = catalog.names(ModuleKind::Stage);
        assert!(names.is_sorted() && names.contains(&"com.example.own".to_owned()));
    }

    #[test]
    fn an_installed_library_adds_modules_and_replaces_none() {
        let meta = ("stages/org.osbuild.noop.meta.json", "broken");
        let own = ("stages/com.example.own.meta.json", META);
        let files = [
            ("stages/org.osbuild.noop", ""),
            meta,
            ("stages/com.example.own", ""),
            own,
        ];
        let library = library(&files);
        let catalog = ModuleCatalog::open_installed(library.path()).unwrap();
        let code = |name| catalog.code(ModuleKind::Stage, name);
        assert_eq!(code("org.osbuild.noop"), Some(ModuleCode::BuiltIn));
        let own = library.path().join("stages/com.example.own");
        assert_eq!(code("com.example.own"), Some(ModuleCode::File(own)));
    }

    #[test]
    fn an_assembler_describes_itself_in_python() {
        let library = library(&[(
            "assemblers/org.osbuild.pack",
            "\"\"\"Pack\"\"\"\nSCHEMA = \"\"\"\n\"required\": [\"x\"]\n\"\"\"\n",
        )]);
        let module = open(&library)
            .module(ModuleKind::Assembler, "org.osbuild.pack")
            .unwrap();
        assert_eq!(module.summary, "Pack");
    }

    #[test]
    fn a_module_with_broken_metadata_is_absent_and_told_of() {
        let library = library(&[
            ("stages/org.osbuild.noop", ""),
            ("stages/org.osbuild.noop.meta.json", r#"{"summary": 1}"#),
            ("inputs/org.osbuild.tree", ""),
            ("inputs/org.osbuild.tree.meta.json", "{"),
        ]);
        let catalog = open(&library);
        assert!(
            catalog
                .module(ModuleKind::Stage, "org.osbuild.noop")
                .is_none()
        );
        catalog.check_metadata().unwrap();
        assert!(
            catalog
                .module(ModuleKind::Input, "org.osbuild.tree")
                .is_none()
        );
        let warnings = catalog.metadata_warnings();
        assert_eq!(warnings.len(), 1);
        let place = library.path().display();
        assert!(warnings[0].to_string().starts_with(&format!(
            "schema for {place}/stages/org.osbuild.noop is invalid: "
        )));
        assert_eq!(
            catalog.check_metadata().unwrap_err().to_string(),
            format!(
                "the metadata of {place}/inputs/org.osbuild.tree is not valid JSON: line 1, column 2: expected a key in double quotes"
            )
        );
    }

    #[test]
    fn a_name_never_leads_out_of_its_folder() {
        let library = library(&[
            ("evil", ""),
            ("evil.meta.json", META),
            ("stages/.hidden", ""),
            ("stages/.hidden.meta.json", META),
        ]);
        let catalog = open(&library);
        for name in ["../evil", "/etc/passwd", ".hidden", ".", "..", "", "a\0b"] {
            assert_eq!(catalog.code(ModuleKind::Stage, name), None, "{name:?}");
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        for (path, reason) in [
            (
                "/nowhere/at/all",
                "opening the library directory /nowhere/at/all",
            ),
            (
                "/etc/passwd",
                "the library directory /etc/passwd is no directory",
            ),
        ] {
            let error = ModuleCatalog::open(Some(Path::new(path))).err().unwrap();
            assert_eq!(error.to_string(), reason);
        }
    }

    #[test]
    fn runners_of_the_library_come_first() {
        let library = library(&[
            ("runners/org.osbuild.fedora37", ""),
            ("runners/com.example.own2", ""),
        ]);
        let catalog = open(&library);
        let file = |requested| catalog.runner(requested).unwrap();
        assert_eq!(
            file("org.osbuild.fedora40").file_name,
            "org.osbuild.fedora37"
        );
        assert_eq!(
            file("org.osbuild.fedora31").file_name,
            "org.osbuild.fedora30"
        );
        assert_eq!(catalog.foreign_runner(&file("org.osbuild.fedora40")), None);
        assert_eq!(
            catalog.foreign_runner(&file("com.example.own3")),
            Some(library.path().join("runners/com.example.own2"))
        );
        assert_eq!(
            catalog.runner("com.example.other").unwrap_err().to_string(),
            "No suitable runner for com.example.other"
        );
        let without = ModuleCatalog::built_in().runner("com.example.other");
        assert_eq!(without.unwrap().file_name, FALLBACK_RUNNER);
    }

    #[test]
    fn a_system_without_a_runner_gets_that_of_the_nearest() {
        let nearest = |catalog: &ModuleCatalog, similar: &[&str]| {
            let similar: Vec<String> = similar.iter().map(|name| (*name).to_owned()).collect();
            catalog.nearest_runner(&similar).to_owned()
        };
        let built_in = ModuleCatalog::built_in();
        for (similar, expected) in [
            (
                &["org.osbuild.rhel93", "org.osbuild.fedora93"][..],
                "org.osbuild.rhel82",
            ),
            // Its versions are not those of the first.
            (
                &["org.osbuild.ubuntu21", "org.osbuild.debian21"],
                "org.osbuild.debian",
            ),
            (&["org.osbuild.unheard-of"], FALLBACK_RUNNER),
            (&[], FALLBACK_RUNNER),
        ] {
            assert_eq!(nearest(&built_in, similar), expected);
        }
        let library = library(&[("runners/org.osbuild.rhel90", "")]);
        assert_eq!(
            nearest(&open(&library), &["org.osbuild.rhel93"]),
            "org.osbuild.rhel90"
        );
        assert_eq!(
            built_in.stand_in_for_host("com.example.other").unwrap(),
            None
        );
    }

    #[test]
    fn the_library_has_its_own_schema_for_manifests() {
        let library = library(&[(
            "schemas/osbuild2.json",
            r#"{"required": ["pipelines", "signature"]}"#,
        )]);
        let catalog = open(&library);
        let manifest =
            osbuild_manifest::value::Value::from_json(r#"{"version": "2", "pipelines": []}"#)
                .unwrap();
        let errors = osbuild_manifest::validate::validate(&manifest, &catalog);
        let messages: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(messages, ["'signature' is a required property"]);
        assert_eq!(
            osbuild_manifest::validate::validate(&manifest, &ModuleCatalog::built_in()),
            []
        );
    }
}
