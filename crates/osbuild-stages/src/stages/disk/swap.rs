//! Writing a swap area: a header, and nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use super::options::FileSystem;
use crate::shared::filesystem::extent::Extent;

const PAGE: u64 = 4096;
/// The kernel takes no fewer pages than this.
const PAGES_MIN: u64 = 10;
const HEADER_OFFSET: usize = 1024;
const UUID_OFFSET: usize = 1036;
const LABEL_OFFSET: usize = 1052;
const LABEL_MAX: usize = 16;
const SIGNATURE: &[u8] = b"SWAPSPACE2";
const VERSION: u32 = 1;

/// Writes the header to its place on the disk.
pub(super) fn write(disk: &File, extent: Extent, system: &FileSystem) -> Result<()> {
    let pages = extent.length / PAGE;
    ensure!(
        pages >= PAGES_MIN,
        "a swap area of {} bytes is too small",
        extent.length
    );
    let uuid =
        Uuid::parse_str(&system.uuid).with_context(|| format!("`{}` is no UUID", system.uuid))?;
    let label = system.label.as_deref().unwrap_or_default().as_bytes();
    ensure!(
        label.len() < LABEL_MAX,
        "the label of a swap area has at most {} bytes",
        LABEL_MAX - 1
    );
    let mut page = vec![0; PAGE as usize];
    page[HEADER_OFFSET..][..4].copy_from_slice(&VERSION.to_le_bytes());
    let last_page = u32::try_from(pages - 1).unwrap_or(u32::MAX);
    page[HEADER_OFFSET + 4..][..4].copy_from_slice(&last_page.to_le_bytes());
    page[UUID_OFFSET..][..16].copy_from_slice(uuid.as_bytes());
    page[LABEL_OFFSET..][..label.len()].copy_from_slice(label);
    let end = page.len() - SIGNATURE.len();
    page[end..].copy_from_slice(SIGNATURE);
    disk.write_all_at(&page, extent.start)
        .context("writing the swap area")
}
