//! The host's files that a recipe puts into the system, and the keys of RPM packages, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::distribution::PackageKind;
use crate::problem::{Place, Problems, RecipeError, RecipeErrors};
use crate::recipe::{Content, FileEntry, Recipe, Repository};

/// Largest file that is embedded into a manifest; larger ones belong into a package or an artifact.
const MAXIMUM_BYTES: u64 = 64 << 20;
/// What rpm takes for a key begins with this (RFC 9580, 6.2).
const KEY_BEGINNING: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Contents of the host's files that a recipe names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    contents: BTreeMap<PathBuf, Vec<u8>>,
}

impl Attachments {
    /// Reads every file a recipe names; each that cannot be read is an error at its place.
    pub fn read(recipe: &Recipe) -> Result<Self, RecipeErrors> {
        let mut problems = Problems::default();
        let mut contents = BTreeMap::new();
        for (source, file) in sources(recipe) {
            match read_file(&recipe.folder().join(source)) {
                Ok(bytes) => {
                    contents.insert(source.clone(), bytes);
                }
                Err(message) => problems.add(
                    RecipeError::new(file.place, message)
                        .hint("paths of `source` start from the recipe's folder"),
                ),
            }
        }
        for repository in keyrings(recipe) {
            match read_key(&recipe.folder().join(&repository.keyring)) {
                Ok(bytes) => {
                    contents.insert(repository.keyring.clone(), bytes);
                }
                Err(error) => problems.add(RecipeError {
                    line: repository.place.line,
                    column: repository.place.column,
                    ..error
                }),
            }
        }
        problems.conclude(&recipe.path, Some(Self { contents }))
    }

    /// The files that are read for a recipe, as it names them.
    pub(crate) fn wanted(recipe: &Recipe) -> impl Iterator<Item = &Path> {
        let sources = sources(recipe).map(|(source, _)| source.as_path());
        sources.chain(keyrings(recipe).map(|repository| repository.keyring.as_path()))
    }

    /// The content of a file as the recipe names it.
    pub fn get(&self, source: &Path) -> Option<&[u8]> {
        self.contents.get(source).map(Vec::as_slice)
    }
}

fn sources(recipe: &Recipe) -> impl Iterator<Item = (&PathBuf, &FileEntry)> {
    recipe.files.iter().filter_map(|file| match &file.content {
        Content::Source(source) => Some((source, file)),
        _ => None,
    })
}

/// The repositories whose keys the manifest must have: each RPM package is checked when it is installed, while Debian's
/// are known by their checksums in signed lists.
fn keyrings(recipe: &Recipe) -> impl Iterator<Item = &Repository> {
    let is_rpm = recipe.package_kind() == PackageKind::Rpm;
    recipe.repositories.iter().filter(move |_| is_rpm)
}

fn read_key(path: &Path) -> Result<Vec<u8>, RecipeError> {
    let place = Place::default();
    let key = read_file(path).map_err(|message| {
        RecipeError::new(place, message).hint("paths of `keyring` start from the recipe's folder")
    })?;
    if key.trim_ascii_start().starts_with(KEY_BEGINNING) && key.is_ascii() {
        return Ok(key);
    }
    let message = format!("{} is not a public key in ASCII armour", path.display());
    Err(RecipeError::new(place, message).hint("`gpg --armor --export` writes one"))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs_err::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    if metadata.len() > MAXIMUM_BYTES {
        let limit = MAXIMUM_BYTES >> 20;
        return Err(format!("{} is larger than {limit} MiB", path.display()));
    }
    fs_err::read(path).map_err(|error| error.to_string())
}
