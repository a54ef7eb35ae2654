//! Making an ext4 file system in place, filled by its own `mkfs.ext4`.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::StageContext;

use super::options::FileSystem;
use crate::shared::filesystem::content::{Amount, Content};
use crate::shared::filesystem::ext4_inodes;
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::mask::Masks;

/// Blocks are of this size, whatever `mke2fs.conf` has for small file systems.
pub(super) const BLOCK: u64 = 4096;
const INODE: u64 = 256;
const BLOCKS_PER_GROUP: u64 = 8 * BLOCK;
/// One inode for this many bytes, as the defaults of `mke2fs.conf` have it.
const BYTES_PER_INODE: u64 = 16384;
/// Inodes beyond those of the content that even a small file system gets.
const INODES_SPARE: u64 = 1024;
/// Descriptors of 64 bytes in a block.
const DESCRIPTORS_PER_BLOCK: u64 = BLOCK / 64;
/// How often its size a file system can be grown to, by the block descriptors set aside.
const GROWTH: u64 = 1024;
/// `lost+found`, and the list of orphans that newer versions make.
const FIXED_BLOCKS: u64 = 4 + 512;
/// In percent, what is kept for root, and of that which is set up, a margin for what this sum does not know.
const RESERVED: u64 = 5;
const MARGIN: u64 = 1;
/// Smaller ones get no journal.
const SIZE_MIN: u64 = 16 * 1024 * 1024;

/// Says how large a file system must be for a content and some free bytes: enough, and little more.
pub(super) fn size_for(amount: Amount, free: u64) -> u64 {
    let data = amount.blocks + free.div_ceil(BLOCK);
    let mut blocks = SIZE_MIN / BLOCK;
    // Grows towards the fixed point: more blocks need more descriptors, more inodes, a larger journal.
    loop {
        let needed = (data + overhead(blocks, amount.inodes)) * 100 / (100 - RESERVED - MARGIN);
        if needed <= blocks {
            return blocks * BLOCK;
        }
        blocks = needed;
    }
}

/// Blocks that are no data.
fn overhead(blocks: u64, content_inodes: u64) -> u64 {
    let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
    let inodes = inodes(blocks * BLOCK, content_inodes)
        .div_ceil(groups)
        .next_multiple_of(BLOCK / INODE)
        * groups;
    let descriptors = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
    let grown = (blocks * GROWTH)
        .div_ceil(BLOCKS_PER_GROUP)
        .div_ceil(DESCRIPTORS_PER_BLOCK)
        .min(BLOCK / 4);
    let copies = (0..groups).filter(|group| has_copy(*group)).count() as u64;
    let bitmaps = 2 * groups;
    copies * (1 + descriptors.max(grown))
        + bitmaps
        + inodes * INODE / BLOCK
        + journal(blocks)
        + FIXED_BLOCKS
}

/// Groups 0, 1 and the powers of 3, 5 and 7 have a copy of the superblock.
fn has_copy(group: u64) -> bool {
    let is_power = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || is_power(3) || is_power(5) || is_power(7)
}

/// The journal that `mkfs.ext4` makes by default.
fn journal(blocks: u64) -> u64 {
    match blocks {
        0..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        4_194_304..8_388_608 => 32_768,
        8_388_608..16_777_216 => 65_536,
        16_777_216..33_554_432 => 131_072,
        _ => 262_144,
    }
}

fn inodes(size: u64, content: u64) -> u64 {
    (size / BYTES_PER_INODE).max(content + content / 4 + INODES_SPARE)
}

/// Makes the file system in its place on the disk, and fills it.
pub(super) fn make(
    context: &StageContext,
    image: &Path,
    extent: Extent,
    system: &FileSystem,
    content: Option<&Content>,
    amount: Amount,
) -> Result<()> {
    let mut command = context
        .command("mkfs.ext4")
        .args(["-q", "-F", "-U", &system.uuid]);
    if let Some(label) = &system.label {
        command = command.args(["-L", label]);
    }
    if !system.features.is_empty() {
        command = command.args(["-O", &system.features.join(",")]);
    }
    command = command.args(["-b", &BLOCK.to_string(), "-I", &INODE.to_string()]);
    command = command.args([
        "-N",
        &inodes(extent.length, amount.inodes).to_string(),
        "-E",
        &extended(extent, system),
    ]);
    if let Some(epoch) = context.source_epoch() {
        // The first is what versions before 1.47.1 know.
        command = command
            .env("E2FSPROGS_FAKE_TIME", epoch.to_string())
            .env("SOURCE_DATE_EPOCH", epoch.to_string());
    }
    if let Some(content) = content {
        command = command.arg("-d").arg(&content.root);
    }
    let masks = content.map(Masks::hide).transpose()?;
    command
        .arg(image)
        .arg(format!("{}k", extent.length / 1024))
        .run()?;
    masks.map_or(Ok(()), Masks::lift)?;
    let disk: File = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)?
        .into();
    ext4_inodes::finish(
        &disk,
        extent.start,
        content.map(|content| content.root.as_path()),
        context.source_epoch(),
    )
    .with_context(|| format!("finishing the ext4 file system at {}", extent.start))
}

/// The seed of directory hashes is random otherwise; nothing is left for the first mount to zero: it is zero.
fn extended(extent: Extent, system: &FileSystem) -> String {
    format!(
        "offset={},hash_seed={},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
        extent.start, system.uuid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_the_superblock_are_where_ext4_has_them() {
        let groups: Vec<_> = (0..130).filter(|group| has_copy(*group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn the_size_grows_with_content_and_free_space_alike() {
        let size = |blocks, inodes, free| size_for(Amount { inodes, blocks }, free);
        assert_eq!(size(0, 1, 0), SIZE_MIN);
        let small = size(100_000, 15_000, 0);
        assert!((400 << 20..520 << 20).contains(&small), "{small}");
        let large = size(100_000, 15_000, 10 << 30);
        assert!((10 << 30..12 << 30).contains(&large), "{large}");
    }
}
