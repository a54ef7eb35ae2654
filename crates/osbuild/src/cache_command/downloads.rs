//! Downloads: whether they are what their names say, and copies of them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use fs_err as fs;
use osbuild_fetch::{Checksum, Hasher};
use osbuild_manifest::value::Value;
use osbuild_store::{Ownership, Store, StoreOptions, Top, export as copy_tree};

/// The kind of downloads that are files named by their checksums.
const FILES: &str = "org.osbuild.files";
/// The piece of a file to read at a time.
const BUFFER: usize = 128 * 1024;

/// `osbuild cache export-sources`.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The new store
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Only what these manifests need, as `osbuild manifest` prints them; default: all downloads
    #[arg(value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
}

/// Finds files whose content is not that of their names.
pub(super) fn damaged(downloads: &Path) -> Result<Vec<PathBuf>> {
    let mut damaged = Vec::new();
    let folder = downloads.join(FILES);
    if !folder.is_dir() {
        return Ok(damaged);
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        // Downloads that are not finished have other names.
        let Some(Ok(expected)) = name.map(str::parse::<Checksum>) else {
            continue;
        };
        if !path.is_file() || checksum(&path, &expected)? != expected {
            damaged.push(path);
        }
    }
    damaged.sort();
    Ok(damaged)
}

fn checksum(path: &Path, like: &Checksum) -> Result<Checksum> {
    let mut hasher = Hasher::new(like.algorithm());
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file
            .read(&mut buffer)
            .with_context(|| format!("reading {}", path.display()))?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
    }
}

/// Copies downloads to another store.
pub(super) fn export(store: &Store, arguments: &ExportArguments) -> Result<()> {
    let target = Store::open(&arguments.directory, &StoreOptions::default())?;
    if arguments.manifests.is_empty() {
        return copy_tree(
            &store.downloads_dir(),
            &target.downloads_dir(),
            Ownership::Preserve,
            Top::OfTree,
        );
    }
    let (from, to) = (
        store.downloads_dir().join(FILES),
        target.downloads_dir().join(FILES),
    );
    fs::create_dir_all(&to)?;
    for item in items(&arguments.manifests)? {
        let file = from.join(&item);
        ensure!(
            file.is_file(),
            "{item} is not in the store: build the manifest once, or run `osbuild` on it without --export"
        );
        fs::copy(file, to.join(item))?;
    }
    Ok(())
}

/// Gives the names of the files that manifests need.
fn items(manifests: &[PathBuf]) -> Result<BTreeSet<String>> {
    let mut items = BTreeSet::new();
    for path in manifests {
        let manifest = Value::from_json(&fs::read_to_string(path)?)
            .with_context(|| format!("reading {}", path.display()))?
            .to_serde();
        let sources = manifest
            .get("sources")
            .and_then(|sources| sources.as_object());
        for source in sources.into_iter().flat_map(|sources| sources.values()) {
            // Format 2 has `items`, format 1 `urls`.
            let named = ["items", "urls"]
                .iter()
                .find_map(|key| source.get(key)?.as_object());
            let names = named.into_iter().flat_map(|named| named.keys());
            items.extend(
                names
                    .filter(|name| name.parse::<Checksum>().is_ok())
                    .cloned(),
            );
        }
    }
    Ok(items)
}
