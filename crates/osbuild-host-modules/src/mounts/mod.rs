//! Mounts: they make the file systems on devices reachable.

mod bind;
mod filesystem;
mod mount_point;
mod noop;
mod options;

use anyhow::Result;

use crate::{MountModule, MountRequest, Mounted};

pub use bind::Bind;
pub use noop::Noop;

macro_rules! filesystem_module {
    ($(#[$doc:meta])* $name:ident, $kernel_name:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl MountModule for $name {
            fn mount(&self, request: &MountRequest<'_>) -> Result<Mounted> {
                filesystem::mount($kernel_name, request)
            }
        }
    };
}

filesystem_module!(
    /// `org.osbuild.btrfs`.
    Btrfs, "btrfs"
);
filesystem_module!(
    /// `org.osbuild.erofs`.
    Erofs, "erofs"
);
filesystem_module!(
    /// `org.osbuild.ext4`.
    Ext4, "ext4"
);
filesystem_module!(
    /// `org.osbuild.fat`.
    Fat, "vfat"
);
filesystem_module!(
    /// `org.osbuild.squashfs`.
    Squashfs, "squashfs"
);
filesystem_module!(
    /// `org.osbuild.xfs`.
    Xfs, "xfs"
);
