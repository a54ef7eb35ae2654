//! The small files at the top of a store.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use crate::accounting::replace_file;
use crate::size::{DEFAULT_MAXIMUM_SIZE, MaximumSize};

/// The format that this program reads and writes; the same as upstream's.
pub(crate) const VERSION: u64 = 1;

/// Reads `cache.info`, or writes it if there is none, and gives the limit that holds from now on.
pub(crate) fn settle(store: &Path, wanted: Option<MaximumSize>) -> Result<MaximumSize> {
    let path = store.join("cache.info");
    let mut info = load(store)?;
    let before = info.clone();
    info.entry("version").or_insert(Value::from(VERSION));
    if let Some(wanted) = wanted {
        info.insert("maximum-size".to_owned(), size_to_value(wanted));
    }
    if info != before {
        replace_file(&path, &serde_json::to_vec(&info)?)?;
    }
    limit(store, &info)
}

/// Gives the limit that holds.
pub(crate) fn read(store: &Path) -> Result<MaximumSize> {
    limit(store, &load(store)?)
}

fn load(store: &Path) -> Result<Map<String, Value>> {
    let path = store.join("cache.info");
    let info = match fs_err::read(&path) {
        Ok(text) => parse(&path, &text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error.into()),
    };
    check_version(store, &info)?;
    Ok(info)
}

fn limit(store: &Path, info: &Map<String, Value>) -> Result<MaximumSize> {
    let path = store.join("cache.info");
    match info.get("maximum-size") {
        None => Ok(DEFAULT_MAXIMUM_SIZE),
        Some(value) => size_from_value(value)
            .with_context(|| format!("`maximum-size` in {} is no size", path.display())),
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(text).with_context(|| {
        format!(
            "{} is not what a store has there; delete it to have it made anew",
            path.display()
        )
    })
}

/// Refuses what a later version made: it may lock and name things in ways that this one knows nothing of.
fn check_version(store: &Path, info: &Map<String, Value>) -> Result<()> {
    let Some(version) = info.get("version") else {
        return Ok(());
    };
    if version.as_u64() != Some(VERSION) {
        bail!(
            "the store {} has format {version}, and this osbuild knows format {VERSION}: use a newer osbuild, or name another directory with --cache",
            store.display()
        );
    }
    Ok(())
}

fn size_to_value(size: MaximumSize) -> Value {
    match size {
        MaximumSize::Bytes(bytes) => Value::from(bytes),
        MaximumSize::Unlimited => Value::from("unlimited"),
    }
}

fn size_from_value(value: &Value) -> Option<MaximumSize> {
    match value {
        Value::String(text) if text == "unlimited" => Some(MaximumSize::Unlimited),
        value => value.as_u64().map(MaximumSize::Bytes),
    }
}
