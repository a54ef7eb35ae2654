//! Manifests that several tests build.

use serde_json::{Value, json};

/// What [`small`] makes.
pub const SMALL_TREE: &str = "etc/ 0755\netc/hostname 0644 \"small\\n\"\n";

/// Two stages, in some hundredths of a second.
pub fn small() -> String {
    one_pipeline(&json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
        {"type": "org.osbuild.hostname", "options": {"hostname": "small"}},
    ]))
}

/// One pipeline `tree` with these stages.
pub fn one_pipeline(stages: &Value) -> String {
    let manifest = json!({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]});
    format!("{manifest:#}\n")
}

/// Ends, if left alone, only after minutes: `xz` reads a file of 256 GiB without content.
pub fn long() -> String {
    let manifest = json!({
        "version": "2",
        "pipelines": [
            {"name": "image", "stages": [
                {"type": "org.osbuild.truncate", "options": {"filename": "disk.img", "size": "256G"}},
            ]},
            {"name": "archive", "stages": [
                {
                    "type": "org.osbuild.xz",
                    "inputs": {"file": {
                        "type": "org.osbuild.files",
                        "origin": "org.osbuild.pipeline",
                        "references": {"name:image": {"file": "disk.img"}},
                    }},
                    "options": {"filename": "disk.img.xz"},
                },
            ]},
        ],
    });
    format!("{manifest:#}\n")
}

/// A tree, a disk with a file system that is mounted, and an archive: some of everything that a build
/// holds on to while it runs. The archive is the same each time.
pub fn varied() -> String {
    let disk = json!({"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}});
    let tree = json!({
        "type": "org.osbuild.tree",
        "origin": "org.osbuild.pipeline",
        "references": ["name:tree"],
    });
    let manifest = json!({
        "version": "2",
        "pipelines": [
            {"name": "tree", "source-epoch": 1_767_225_600, "stages": [
                {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}, {"path": "/srv"}]}},
                {"type": "org.osbuild.hostname", "options": {"hostname": "varied"}},
                {"type": "org.osbuild.truncate", "options": {"filename": "srv/zeros", "size": "32M"}},
            ]},
            {"name": "disk", "stages": [
                {"type": "org.osbuild.truncate", "options": {"filename": "disk.img", "size": "64M"}},
                {
                    "type": "org.osbuild.mkfs.ext4",
                    "devices": {"device": disk},
                    "options": {"uuid": "1a3c5e70-0000-4000-8000-000000000001"},
                },
                {
                    "type": "org.osbuild.copy",
                    "inputs": {"tree": tree},
                    "devices": {"device": disk},
                    "mounts": [{
                        "name": "root",
                        "type": "org.osbuild.ext4",
                        "source": "device",
                        "target": "/",
                    }],
                    "options": {"paths": [{"from": "input://tree/", "to": "mount://root/"}]},
                },
            ]},
            {"name": "archive", "source-epoch": 1_767_225_600, "stages": [{
                "type": "org.osbuild.tar",
                "inputs": {"tree": tree},
                "options": {"filename": "tree.tar", "root-node": "omit"},
            }]},
        ],
    });
    format!("{manifest:#}\n")
}
