//! Identifiers of disks, partitions and file systems: derived, so that the same recipe gives the same image.

use uuid::Uuid;

use crate::recipe::{Partition, Recipe};

/// Namespace of every identifier derived here; a constant drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d0f_4b1e_7a52_4a7e_9c55_2f0f_6d1c_8be3);

/// Derives the identifiers of one recipe.
pub(super) struct Identifiers {
    namespace: Uuid,
}

impl Identifiers {
    pub(super) fn of(recipe: &Recipe) -> Self {
        let identity = format!("{}/{}", recipe.name, recipe.architecture.word());
        Self {
            namespace: Uuid::new_v5(&NAMESPACE, identity.as_bytes()),
        }
    }

    /// The disk's GUID.
    pub(super) fn disk(&self) -> Uuid {
        self.derive("disk", "")
    }

    /// The identifier of a disk with an MBR, eight hexadecimal digits.
    pub(super) fn mbr_disk(&self) -> String {
        first_digits(self.disk())
    }

    /// A partition's GUID.
    pub(super) fn partition(&self, partition: &Partition) -> Uuid {
        self.derive("partition", &partition.name)
    }

    /// The UUID of a file system, by its mount point.
    pub(super) fn file_system(&self, mountpoint: &str) -> Uuid {
        self.derive("file system", mountpoint)
    }

    /// The UUID of swap space.
    pub(super) fn swap(&self, partition: &Partition) -> Uuid {
        self.derive("swap", &partition.name)
    }

    /// The serial number of a FAT, eight hexadecimal digits.
    pub(super) fn fat_serial(&self, mountpoint: &str) -> String {
        first_digits(self.file_system(mountpoint)).to_uppercase()
    }

    fn derive(&self, kind: &str, name: &str) -> Uuid {
        Uuid::new_v5(&self.namespace, format!("{kind}:{name}").as_bytes())
    }
}

fn first_digits(uuid: Uuid) -> String {
    let mut text = uuid.simple().to_string();
    text.truncate(8);
    text
}
