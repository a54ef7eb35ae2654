//! Every sample in `samples/` is a recipe or a manifest that works.

use std::path::{Path, PathBuf};

use crate::support::{BuiltIn, manifest};
use osbuild_manifest::validate::validate;
use osbuild_manifest::value::Value;
use osbuild_recipe::{Recipe, parse};

fn samples(ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let mut paths: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    paths.sort();
    paths
}

/// Keys of distributions, which this machine need not have.
const KEYS: &str = "/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43-x86_64";

/// Reads a recipe, with another key in place of a distribution's.
fn read(path: &Path, key: &Path) -> Recipe {
    let text = fs_err::read_to_string(path).unwrap();
    let text = text.replace(KEYS, key.to_str().unwrap());
    parse(&text, path).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn check_valid(path: &Path, text: &str) {
    let value = Value::from_json(text).unwrap();
    let errors: Vec<String> = validate(&value, &BuiltIn)
        .iter()
        .map(|error| format!("{:?}: {}", error.path, error.message))
        .collect();
    assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
}

#[test]
fn every_recipe_compiles_to_a_valid_manifest_without_a_warning() {
    let paths = samples("yaml");
    assert!(paths.len() >= 6, "{paths:?}");
    let key = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(key.path(), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n").unwrap();
    for path in paths {
        let recipe = read(&path, key.path());
        assert_eq!(
            recipe.warnings(),
            Vec::<String>::new(),
            "{}",
            path.display()
        );
        check_valid(&path, &manifest(&recipe));
    }
}

#[test]
fn every_manifest_is_valid() {
    let paths = samples("json");
    assert!(!paths.is_empty());
    for path in paths {
        check_valid(&path, &fs_err::read_to_string(&path).unwrap());
    }
}
