//! The sorted table of every module, and typed lookups by name.

use osbuild_manifest::module::ModuleKind;

use crate::{DeviceModule, InputModule, MountModule, SourceModule};
use crate::{devices, inputs, mounts, sources};

/// One module.
pub struct HostModule {
    /// What it is.
    pub kind: ModuleKind,
    /// Its name, such as `org.osbuild.curl`.
    pub name: &'static str,
    /// The text of its `meta.json`.
    pub meta: &'static str,
    code: Code,
}

#[derive(Clone, Copy)]
enum Code {
    Source(&'static dyn SourceModule),
    Input(&'static dyn InputModule),
    Device(&'static dyn DeviceModule),
    Mount(&'static dyn MountModule),
}

/// Every module, sorted by folder and name.
pub static HOST_MODULES: &[HostModule] = &[
    HostModule {
        kind: ModuleKind::Device,
        name: "org.osbuild.loopback",
        meta: include_str!("devices/loopback.meta.json"),
        code: Code::Device(&devices::Loopback),
    },
    HostModule {
        kind: ModuleKind::Input,
        name: "org.osbuild.files",
        meta: include_str!("inputs/files.meta.json"),
        code: Code::Input(&inputs::Files),
    },
    HostModule {
        kind: ModuleKind::Input,
        name: "org.osbuild.noop",
        meta: include_str!("inputs/noop.meta.json"),
        code: Code::Input(&inputs::Noop),
    },
    HostModule {
        kind: ModuleKind::Input,
        name: "org.osbuild.tree",
        meta: include_str!("inputs/tree.meta.json"),
        code: Code::Input(&inputs::Tree),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.bind",
        meta: include_str!("mounts/bind.meta.json"),
        code: Code::Mount(&mounts::Bind),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.btrfs",
        meta: include_str!("mounts/btrfs.meta.json"),
        code: Code::Mount(&mounts::Btrfs),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.erofs",
        meta: include_str!("mounts/erofs.meta.json"),
        code: Code::Mount(&mounts::Erofs),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.ext4",
        meta: include_str!("mounts/ext4.meta.json"),
        code: Code::Mount(&mounts::Ext4),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.fat",
        meta: include_str!("mounts/fat.meta.json"),
        code: Code::Mount(&mounts::Fat),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.noop",
        meta: include_str!("mounts/noop.meta.json"),
        code: Code::Mount(&mounts::Noop),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.squashfs",
        meta: include_str!("mounts/squashfs.meta.json"),
        code: Code::Mount(&mounts::Squashfs),
    },
    HostModule {
        kind: ModuleKind::Mount,
        name: "org.osbuild.xfs",
        meta: include_str!("mounts/xfs.meta.json"),
        code: Code::Mount(&mounts::Xfs),
    },
    HostModule {
        kind: ModuleKind::Source,
        name: "org.osbuild.curl",
        meta: include_str!("sources/curl.meta.json"),
        code: Code::Source(&sources::Curl),
    },
    HostModule {
        kind: ModuleKind::Source,
        name: "org.osbuild.inline",
        meta: include_str!("sources/inline.meta.json"),
        code: Code::Source(&sources::Inline),
    },
    HostModule {
        kind: ModuleKind::Source,
        name: "org.osbuild.librepo",
        meta: include_str!("sources/librepo.meta.json"),
        code: Code::Source(&sources::Librepo),
    },
];

/// Finds a module by what it is and its name.
pub fn lookup(kind: ModuleKind, name: &str) -> Option<&'static HostModule> {
    HOST_MODULES
        .iter()
        .find(|module| module.kind == kind && module.name == name)
}

/// Finds a source.
pub fn source(name: &str) -> Option<&'static dyn SourceModule> {
    match lookup(ModuleKind::Source, name)?.code {
        Code::Source(module) => Some(module),
        _ => None,
    }
}

/// Finds an input.
pub fn input(name: &str) -> Option<&'static dyn InputModule> {
    match lookup(ModuleKind::Input, name)?.code {
        Code::Input(module) => Some(module),
        _ => None,
    }
}

/// Finds a device.
pub fn device(name: &str) -> Option<&'static dyn DeviceModule> {
    match lookup(ModuleKind::Device, name)?.code {
        Code::Device(module) => Some(module),
        _ => None,
    }
}

/// Finds a mount.
pub fn mount(name: &str) -> Option<&'static dyn MountModule> {
    match lookup(ModuleKind::Mount, name)?.code {
        Code::Mount(module) => Some(module),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use osbuild_manifest::module::ModuleInfo;

    use super::*;

    #[test]
    fn every_module_is_described_and_found() {
        for module in HOST_MODULES {
            let info = ModuleInfo::from_meta_json(module.kind, module.name, module.meta)
                .unwrap_or_else(|error| panic!("{}: {error}", module.name));
            assert!(info.schema.is_some() || info.schema_2.is_some());
            let found = lookup(module.kind, module.name).unwrap();
            assert!(std::ptr::eq(found, module));
            let is_typed = match module.kind {
                ModuleKind::Source => source(module.name).is_some(),
                ModuleKind::Input => input(module.name).is_some(),
                ModuleKind::Device => device(module.name).is_some(),
                ModuleKind::Mount => mount(module.name).is_some(),
                other => panic!("{other:?} modules do not run on the host"),
            };
            assert!(is_typed, "{}", module.name);
        }
        assert!(source("org.osbuild.ext4").is_none());
    }

    #[test]
    fn the_table_is_sorted() {
        let rank = |kind: ModuleKind| match kind {
            ModuleKind::Device => 0,
            ModuleKind::Input => 1,
            ModuleKind::Mount => 2,
            _ => 3,
        };
        let keys = HOST_MODULES
            .iter()
            .map(|module| (rank(module.kind), module.name));
        assert!(keys.is_sorted());
    }
}
