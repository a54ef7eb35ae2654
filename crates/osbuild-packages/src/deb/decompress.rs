//! Unpacks compressed indices.

use std::io::Read;

use anyhow::{Context as _, Result, bail};

/// The compressions that indices are offered in, the one that takes the least to transfer first.
pub(super) const EXTENSIONS: [&str; 5] = [".xz", ".zst", ".bz2", ".gz", ""];
/// No distribution's index is near this; beyond it, a few bytes could fill the memory.
const LARGEST_INDEX: u64 = 1 << 30;

/// Unpacks content by the extension of its name.
pub(crate) fn decompress(content: &[u8], extension: &str) -> Result<String> {
    let reader: Box<dyn Read + '_> = match extension {
        ".xz" => Box::new(liblzma::read::XzDecoder::new_multi_decoder(content)),
        ".zst" => Box::new(zstd::stream::read::Decoder::new(content).context("starting zstd")?),
        ".bz2" => Box::new(bzip2::read::MultiBzDecoder::new(content)),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(content)),
        "" => Box::new(content),
        other => bail!("unknown compression `{other}`"),
    };
    let mut bytes = Vec::new();
    reader
        .take(LARGEST_INDEX + 1)
        .read_to_end(&mut bytes)
        .context("unpacking a package index")?;
    if bytes.len() as u64 > LARGEST_INDEX {
        bail!("a package index is larger than {LARGEST_INDEX} bytes when unpacked");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // Old maintainers' names may be in Latin-1; they decide nothing.
        Err(error) => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}
