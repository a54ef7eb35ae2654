//! The compressions of a package's members.

use std::io::{BufRead, Read};

use anyhow::{Context, Result};

/// A single decoder's memory is small; this is the limit up to which blocks are decoded side by side.
const THREADED_MEMORY: u64 = 512 << 20;

/// How a member is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`
    Gzip,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.bz2`, of old packages
    Bzip2,
    /// `.lzma`, of old packages
    Lzma,
}

impl Compression {
    /// What the end of a member's name says.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "" => Self::None,
            ".gz" => Self::Gzip,
            ".xz" => Self::Xz,
            ".zst" => Self::Zstd,
            ".bz2" => Self::Bzip2,
            ".lzma" => Self::Lzma,
            _ => return None,
        })
    }

    /// Wraps a reader with the decoder.
    pub(super) fn reader(
        self,
        reader: impl BufRead + Send + 'static,
        threads: u32,
    ) -> Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_stream(
                reader,
                xz(threads)?,
            )),
            Self::Zstd => {
                Box::new(zstd::stream::read::Decoder::with_buffer(reader).context("starting zstd")?)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
            Self::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(u64::MAX);
                Box::new(liblzma::bufread::XzDecoder::new_stream(
                    reader,
                    stream.context("starting lzma")?,
                ))
            }
        })
    }
}

/// Large packages have several blocks, which threads can share.
fn xz(threads: u32) -> Result<liblzma::stream::Stream> {
    let stream = if threads > 1 {
        liblzma::stream::MtStreamBuilder::new()
            .threads(threads)
            .memlimit_threading(THREADED_MEMORY)
            .memlimit_stop(u64::MAX)
            .decoder()
    } else {
        liblzma::stream::Stream::new_stream_decoder(u64::MAX, 0)
    };
    stream.context("starting xz")
}
