//! Where each partition lies: pure arithmetic.

use anyhow::{Result, bail, ensure};

use super::options::TableKind;
use crate::shared::filesystem::extent::Extent;

/// Entries of a GPT, as every tool makes them: firmware may count on no fewer.
pub(super) const GPT_ENTRIES: u64 = 128;
const GPT_ENTRY_SIZE: u64 = 128;
/// No disk image is larger: ext4 holds no larger file, and sums of such sizes stay far from where numbers end.
pub(super) const SIZE_MAX: u64 = 16 << 40;

/// What the placing depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) label: TableKind,
    pub(super) sector_size: u64,
    pub(super) alignment: u64,
    /// The size of the disk in bytes, if it is given.
    pub(super) size: Option<u64>,
}

/// What one partition asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) size: u64,
    pub(super) is_growing: bool,
}

/// A disk laid out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) size: u64,
    pub(super) partitions: Vec<Extent>,
}

/// Lays the partitions out one after the other, each aligned.
pub(super) fn place(geometry: Geometry, wanted: &[Wanted]) -> Result<Layout> {
    let Geometry {
        alignment,
        sector_size,
        ..
    } = geometry;
    ensure!(
        alignment.is_multiple_of(sector_size),
        "the alignment {alignment} is no multiple of the sector size {sector_size}"
    );
    let lengths: u128 = wanted
        .iter()
        .map(|partition| u128::from(partition.size))
        .sum();
    let largest = lengths.max(u128::from(geometry.size.unwrap_or(0)));
    ensure!(
        largest <= u128::from(SIZE_MAX),
        "a disk of {largest} bytes is too large: {SIZE_MAX} are the most"
    );
    let spare = geometry
        .size
        .map_or(Ok(0), |size| spare(geometry, size, wanted))?;
    let mut growing = wanted
        .iter()
        .filter(|partition| partition.is_growing)
        .count();
    ensure!(
        growing <= 1,
        "only one partition can grow to take the rest of the disk"
    );
    let mut position = front(geometry);
    let mut partitions = Vec::new();
    for partition in wanted {
        let mut length = partition.size.max(1).next_multiple_of(alignment);
        if partition.is_growing && growing > 0 {
            length += spare;
            growing -= 1;
        }
        partitions.push(Extent {
            start: position,
            length,
        });
        position += length;
    }
    let needed = (position + back(geometry)).next_multiple_of(alignment);
    Ok(Layout {
        size: geometry.size.unwrap_or(needed),
        partitions,
    })
}

/// The first aligned byte behind the table.
fn front(geometry: Geometry) -> u64 {
    let table = match geometry.label {
        TableKind::Gpt => 2 * geometry.sector_size + GPT_ENTRIES * GPT_ENTRY_SIZE,
        TableKind::Dos => geometry.sector_size,
    };
    table.next_multiple_of(geometry.alignment)
}

/// The bytes at the end that hold the copy of a GPT.
fn back(geometry: Geometry) -> u64 {
    match geometry.label {
        TableKind::Gpt => geometry.sector_size + GPT_ENTRIES * GPT_ENTRY_SIZE,
        TableKind::Dos => 0,
    }
}

fn spare(geometry: Geometry, size: u64, wanted: &[Wanted]) -> Result<u64> {
    let Geometry {
        alignment,
        sector_size,
        ..
    } = geometry;
    ensure!(
        size.is_multiple_of(sector_size),
        "the disk's size {size} is no multiple of the sector size {sector_size}"
    );
    let lengths: u64 = wanted
        .iter()
        .map(|partition| partition.size.max(1).next_multiple_of(alignment))
        .sum();
    let needed = front(geometry) + lengths + back(geometry);
    if needed > size {
        bail!("the partitions need {needed} bytes, but the disk has {size}");
    }
    Ok((size - needed) / alignment * alignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn geometry(label: TableKind, size: Option<u64>) -> Geometry {
        Geometry {
            label,
            sector_size: 512,
            alignment: MIB,
            size,
        }
    }

    fn wanted(size: u64, is_growing: bool) -> Wanted {
        Wanted { size, is_growing }
    }

    fn extents(layout: &Layout) -> Vec<(u64, u64)> {
        layout
            .partitions
            .iter()
            .map(|extent| (extent.start / MIB, extent.length / MIB))
            .collect()
    }

    #[test]
    fn a_disk_without_a_size_is_as_large_as_its_partitions() {
        let layout = place(
            geometry(TableKind::Gpt, None),
            &[wanted(MIB, false), wanted(5 * MIB + 1, true)],
        )
        .unwrap();
        assert_eq!(
            (layout.size, extents(&layout)),
            (9 * MIB, vec![(1, 1), (2, 6)])
        );
        let layout = place(geometry(TableKind::Dos, None), &[wanted(MIB, false)]).unwrap();
        assert_eq!((layout.size, extents(&layout)), (2 * MIB, vec![(1, 1)]));
    }

    #[test]
    fn the_growing_partition_takes_the_rest_of_a_disk_with_a_size() {
        let parts = [
            wanted(MIB, false),
            wanted(2 * MIB, true),
            wanted(MIB, false),
        ];
        let layout = place(geometry(TableKind::Gpt, Some(100 * MIB)), &parts).unwrap();
        assert_eq!(
            (layout.size, extents(&layout)),
            (100 * MIB, vec![(1, 1), (2, 96), (98, 1)])
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let parts = [wanted(4 * MIB, false)];
        let error = place(geometry(TableKind::Gpt, Some(5 * MIB)), &parts).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the partitions need 5259776 bytes, but the disk has 5242880"
        );
        assert!(place(geometry(TableKind::Dos, Some(5 * MIB)), &parts).is_ok());
        let parts = [wanted(1, true), wanted(1, true)];
        let error = place(geometry(TableKind::Gpt, None), &parts).unwrap_err();
        assert_eq!(
            error.to_string(),
            "only one partition can grow to take the rest of the disk"
        );
    }

    #[test]
    fn sizes_that_no_disk_has_are_refused() {
        let message = "is too large: 17592186044416 are the most";
        for (size, parts) in [
            (None, vec![wanted(u64::MAX, false), wanted(1, false)]),
            (None, vec![wanted(1 << 63, false), wanted(1 << 63, false)]),
            (Some(u64::MAX / 512 * 512), vec![wanted(1, false)]),
        ] {
            let error = place(geometry(TableKind::Gpt, size), &parts).unwrap_err();
            assert!(error.to_string().ends_with(message), "{error}");
        }
    }
}
