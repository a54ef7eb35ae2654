//! Moving a file system from a file of its own to its place on a disk.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::SeekFrom;

use super::extent::Extent;

const PIECE: u64 = 1024 * 1024;

/// Copies what is no hole to its place on the disk.
pub(crate) fn copy_data(path: &Path, disk: &File, extent: Extent) -> Result<()> {
    let mut source = fs_err::File::open(path)?;
    let doing = || format!("moving {} to its place on the disk", path.display());
    let mut position = 0;
    let mut piece = vec![0; PIECE as usize];
    while position < extent.length {
        let start = match rustix::fs::seek(&source, SeekFrom::Data(position)) {
            Ok(start) => start,
            // No data behind this position.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error).with_context(doing),
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(start))
            .with_context(doing)?
            .min(extent.length);
        rustix::fs::seek(&source, SeekFrom::Start(start)).with_context(doing)?;
        position = start;
        while position < end {
            let length = (end - position).min(PIECE);
            let bytes = &mut piece[..length as usize];
            source.read_exact(bytes)?;
            if bytes.iter().any(|byte| *byte != 0) {
                disk.write_all_at(bytes, extent.start + position)
                    .with_context(doing)?;
            }
            position += length;
        }
    }
    Ok(())
}
