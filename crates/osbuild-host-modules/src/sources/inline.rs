//! `org.osbuild.inline`: files that are written out in the manifest itself.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use osbuild_fetch::{Checksum, Hasher};
use serde::Deserialize;
use serde_json::Value;

use super::FILES;
use crate::{SourceEvent, SourceModule, SourceOutcome, SourceRequest, SourceResult};

const NAME: &str = "org.osbuild.inline";

/// The module.
#[derive(Debug)]
pub struct Inline;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    encoding: Encoding,
    data: String,
}

#[derive(Clone, Copy, Deserialize)]
enum Encoding {
    #[serde(rename = "base64")]
    Base64,
    #[serde(rename = "lzma+base64")]
    LzmaBase64,
}

impl SourceModule for Inline {
    fn download(
        &self,
        request: &SourceRequest<'_>,
        report: &(dyn Fn(SourceEvent) + Sync),
    ) -> SourceOutcome {
        let directory = request.cache.join(FILES);
        let total = request.items.len();
        let mut results = Vec::with_capacity(total);
        let mut bytes_done = 0;
        for (checksum, item) in request.items {
            let result = if request.cancel.is_cancelled() {
                Err(anyhow::anyhow!("unpacking {checksum} was cancelled"))
            } else {
                provide(&directory, checksum, item)
            };
            if result.is_ok() {
                report(SourceEvent::Arrived {
                    checksum: checksum.clone(),
                });
            }
            results.push(SourceResult {
                checksum: Some(checksum.clone()),
                cached: Some(matches!(result, Ok(Provided::WasThere))),
                error: result.as_ref().err().map(|error| format!("{error:#}")),
            });
            if let Ok(Provided::Unpacked { bytes }) = result {
                bytes_done += bytes;
            }
            report(SourceEvent::Progress {
                bytes_done,
                bytes_total: None,
                files_done: results.len(),
                files_total: total,
            });
        }
        SourceOutcome::new(NAME, results)
    }
}

enum Provided {
    WasThere,
    Unpacked { bytes: u64 },
}

fn provide(directory: &Path, checksum: &str, item: &Value) -> Result<Provided> {
    let target = directory.join(checksum);
    if target.is_file() {
        return Ok(Provided::WasThere);
    }
    let expected: Checksum = checksum.parse()?;
    let item: Item = serde_json::from_value(item.clone())
        .with_context(|| format!("reading the item {checksum}"))?;
    let data = decode(&item).with_context(|| format!("decoding the data of {checksum}"))?;
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(&data);
    if hasher.finish() != expected {
        bail!("Checksum mismatch for {checksum}");
    }
    write(directory, &target, &data)?;
    Ok(Provided::Unpacked {
        bytes: data.len() as u64,
    })
}

/// Writes beside the target and renames, so that the name never stands for half a file.
fn write(directory: &Path, target: &Path, data: &[u8]) -> Result<()> {
    fs_err::create_dir_all(directory)?;
    let writing = || format!("writing {}", target.display());
    let mut file = tempfile::Builder::new()
        .prefix(".unverified-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .with_context(writing)?;
    file.write_all(data).with_context(writing)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
        .with_context(writing)?;
    file.persist(target).with_context(writing)?;
    Ok(())
}

fn decode(item: &Item) -> Result<Vec<u8>> {
    let bytes = decode_base64(&item.data)?;
    match item.encoding {
        Encoding::Base64 => Ok(bytes),
        Encoding::LzmaBase64 => decompress(&bytes).context("unpacking LZMA data"),
    }
}

/// Decodes as Python's `b64decode` does: what is not of the alphabet (line breaks above all) does not
/// count, and nothing after the padding does.
fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let mut clean: Vec<u8> = text
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        .collect();
    if let Some(padding) = clean.iter().position(|&byte| byte == b'=') {
        clean.truncate(padding.next_multiple_of(4));
    }
    STANDARD.decode(&clean).context("the text is not base64")
}

/// Reads `.xz` and the older `.lzma`, and several streams in a row.
fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    use liblzma::stream::{CONCATENATED, Stream};
    let stream = Stream::new_auto_decoder(u64::MAX, CONCATENATED)?;
    let mut data = Vec::new();
    let mut decoder = liblzma::write::XzDecoder::new_stream(&mut data, stream);
    decoder.write_all(bytes)?;
    decoder.finish()?;
    Ok(data)
}
