//! The host's files that a recipe puts into the system, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::problem::{Problems, RecipeError, RecipeErrors};
use crate::recipe::{Content, Recipe};

/// Largest file that is embedded into a manifest; larger ones belong into a package or an artifact.
const MAXIMUM_BYTES: u64 = 64 << 20;

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
        for file in &recipe.files {
            let Content::Source(source) = &file.content else {
                continue;
            };
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
        problems.conclude(&recipe.path, Some(Self { contents }))
    }

    /// The content of a file as the recipe names it.
    pub fn get(&self, source: &Path) -> Option<&[u8]> {
        self.contents.get(source).map(Vec::as_slice)
    }
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
