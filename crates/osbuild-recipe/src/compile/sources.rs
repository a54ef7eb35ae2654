//! The manifest's sources: packages by address, small files inline.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::lock::{LockedPackage, digest};

/// Collects what the stages of a manifest refer to, sorted by digest.
#[derive(Default)]
pub(super) struct Sources {
    packages: BTreeMap<String, Value>,
    inline: BTreeMap<String, Value>,
}

impl Sources {
    /// Adds a package and gives its reference.
    pub(super) fn package(&mut self, package: &LockedPackage) -> String {
        let reference = format!("sha256:{}", package.sha256);
        let address = package.urls.first().map_or("", String::as_str);
        self.packages
            .insert(reference.clone(), json!({ "url": address }));
        reference
    }

    /// Adds a file's content and gives its reference.
    pub(super) fn content(&mut self, bytes: &[u8]) -> String {
        let reference = digest(bytes);
        let item = json!({ "encoding": "base64", "data": STANDARD.encode(bytes) });
        self.inline.insert(reference.clone(), item);
        reference
    }

    /// The `sources` of the manifest.
    pub(super) fn into_json(self) -> Value {
        let mut sources = Map::new();
        for (name, items) in [
            ("org.osbuild.curl", self.packages),
            ("org.osbuild.inline", self.inline),
        ] {
            if !items.is_empty() {
                sources.insert(name.to_owned(), json!({ "items": items }));
            }
        }
        Value::Object(sources)
    }
}
