//! What the tests of this crate share: a solver without repositories, and the modules of this program.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use osbuild_host_modules::HOST_MODULES;
use osbuild_manifest::module::{ModuleIndex, ModuleInfo, ModuleKind};
use osbuild_manifest::runner::Runner;
use osbuild_recipe::{
    Attachments, LockedPackage, LockedRepository, PackageKind, PackageRequest, PackageSolver,
    PackageSources, Recipe, Solution, compile, parse, solve,
};
use osbuild_stages::{ASSEMBLERS, STAGES};

/// Answers with exactly the named packages and one that every root has.
pub(crate) struct NamedPackages;

impl PackageSolver for NamedPackages {
    fn solve(&self, sources: &PackageSources, requests: &[PackageRequest]) -> Result<Solution> {
        if sources.release.packages() == PackageKind::Rpm {
            return Ok(named_rpms(requests));
        }
        let packages = requests
            .iter()
            .map(|request| {
                let names = ["base-files"].into_iter();
                let names = names.chain(request.include.iter().map(String::as_str));
                names.map(package).collect()
            })
            .collect();
        Ok(Solution {
            repositories: vec![LockedRepository {
                address: "https://deb.example.org/debian".to_owned(),
                suite: Some("bookworm".to_owned()),
                date: "Sat, 10 Jan 2026 09:13:41 UTC".to_owned(),
                in_release_sha256: Some("ab".repeat(32)),
                repomd_sha256: None,
            }],
            packages,
            date: 1_768_036_421,
        })
    }
}

/// The same of RPM packages.
fn named_rpms(requests: &[PackageRequest]) -> Solution {
    let package = |name: &String| LockedPackage {
        name: name.clone(),
        version: "1.0-1.fc43".to_owned(),
        architecture: "x86_64".to_owned(),
        urls: vec![format!(
            "https://rpm.example.org/43/Packages/{name}-1.0-1.fc43.x86_64.rpm"
        )],
        ..self::package(name)
    };
    let packages = requests
        .iter()
        .map(|request| request.include.iter().map(package).collect());
    Solution {
        repositories: vec![LockedRepository {
            address: "https://rpm.example.org/43".to_owned(),
            suite: None,
            date: "1768036421".to_owned(),
            in_release_sha256: None,
            repomd_sha256: Some("cd".repeat(32)),
        }],
        packages: packages.collect(),
        date: 1_768_036_421,
    }
}

fn package(name: &str) -> LockedPackage {
    let digit = name.bytes().map(u32::from).sum::<u32>();
    LockedPackage {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        architecture: "amd64".to_owned(),
        urls: vec![format!(
            "https://deb.example.org/debian/pool/{name}_1.0_amd64.deb"
        )],
        sha256: format!("{digit:064x}"),
        size: 1000,
    }
}

/// A recipe that must be right.
#[track_caller]
pub(crate) fn recipe(text: &str) -> Recipe {
    match parse(text, Path::new("samples/test.yaml")) {
        Ok(recipe) => recipe,
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

/// The manifest of a recipe whose packages are the named ones.
#[track_caller]
pub(crate) fn manifest(recipe: &Recipe) -> String {
    let attachments = Attachments::read(recipe).expect("its files can be read");
    let lock = solve(recipe, &NamedPackages).expect("the solver of the tests knows everything");
    compile(recipe, &attachments, &lock).expect("a recipe and its own lock compile")
}

/// The modules built into this program.
pub(crate) struct BuiltIn;

impl ModuleIndex for BuiltIn {
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>> {
        let meta = match kind {
            ModuleKind::Stage => STAGES.iter().find(|stage| stage.name == name)?.meta,
            ModuleKind::Assembler => ASSEMBLERS.iter().find(|found| found.name == name)?.meta,
            _ => {
                HOST_MODULES
                    .iter()
                    .find(|module| module.kind == kind && module.name == name)?
                    .meta
            }
        };
        let info =
            ModuleInfo::from_meta_json(kind, name, meta).expect("built-in metadata is right");
        Some(Arc::new(info))
    }

    fn runner(&self, requested: &str) -> Result<Runner> {
        anyhow::bail!("validation asks for no runner, but `{requested}` was asked for")
    }
}
