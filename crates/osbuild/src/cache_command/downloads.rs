//! Downloads: whether they are what their names say, and copies of them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use fs_err as fs;
use osbuild_fetch::{Checksum, FetchOptions, FetchRequest, Hasher, fetch_all, quote_path};
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

/// Copies downloads to another store. What stands under its name there is whole and has its checksum, whenever this ends.
pub(super) fn export(store: &Store, arguments: &ExportArguments) -> Result<()> {
    let from = fs::canonicalize(store.downloads_dir().join(FILES));
    let names = if arguments.manifests.is_empty() {
        let names = from.as_deref().map_or_else(|_| Ok(Vec::new()), names_in)?;
        let is_file = |name: &String| name.parse::<Checksum>().is_ok();
        names.into_iter().filter(is_file).collect()
    } else {
        items(&arguments.manifests)?
    };
    let from = from.unwrap_or_default();
    for name in &names {
        ensure!(
            from.join(name).is_file(),
            "{name} is not in the store: build the manifest once, or run `osbuild` on it without --export"
        );
    }
    let target = Store::open(&arguments.directory, &StoreOptions::default())?;
    export_files(&from, &names, &target.downloads_dir().join(FILES))?;
    if arguments.manifests.is_empty() {
        export_other_kinds(&store.downloads_dir(), &target.downloads_dir())?;
    }
    Ok(())
}

/// Copies files as if they were fetched: checked on the way, and without a name before that.
fn export_files(from: &Path, names: &BTreeSet<String>, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let requests = names.iter().map(|name| {
        let path = from.join(name);
        let path = path
            .to_str()
            .with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok(FetchRequest::new(
            quote_path(&format!("file://{path}")),
            name.parse()?,
        ))
    });
    let requests: Vec<_> = requests.collect::<Result<_>>()?;
    let cancel = AtomicBool::new(false);
    let fetched = fetch_all(&requests, to, &FetchOptions::default(), &cancel, &|_| {});
    for (name, fetched) in names.iter().zip(fetched) {
        fetched.with_context(|| {
            format!("copying {name} (`osbuild cache verify` removes what is damaged)")
        })?;
    }
    Ok(())
}

/// Copies what modules of other projects keep in ways of their own: a file or directory for each name.
fn export_other_kinds(from: &Path, to: &Path) -> Result<()> {
    for kind in names_in(from)? {
        if kind == FILES || !from.join(&kind).is_dir() {
            continue;
        }
        let to = to.join(&kind);
        fs::create_dir_all(&to)?;
        for name in names_in(&from.join(&kind))? {
            // What is not finished yet has such names.
            if name.starts_with('.') || to.join(&name).symlink_metadata().is_ok() {
                continue;
            }
            let unfinished = tempfile::Builder::new()
                .prefix(".unfinished-")
                .tempdir_in(&to)?;
            let copy = unfinished.path().join(&name);
            let original = from.join(&kind).join(&name);
            if original.is_dir() {
                copy_tree(&original, &copy, Ownership::Preserve, Top::OfTree)?;
            } else {
                fs::copy(&original, &copy)?;
            }
            fs::rename(&copy, to.join(&name))?;
        }
    }
    Ok(())
}

/// The names in a directory. Others than UTF-8 are nobody's.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
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
