//! What stages that write to a device are run with: the tree is none of their business.

use serde_json::{Value, json};

use super::samples::{Sample, sample};

pub(super) fn device_samples() -> Vec<Sample> {
    let uuid = "61f8a6bb-4d07-4f51-9d3b-6b8bb2c4d1f0";
    let table =
        json!({"label": "gpt", "uuid": uuid, "partitions": [{"start": 2048, "size": 2048}]});
    let key = json!({"passphrase": "x"});
    let luks =
        json!({"passphrase": "x", "uuid": uuid, "pbkdf": {"method": "pbkdf2", "iterations": 1000}});
    let stages: [(&'static str, Value); 13] = [
        (
            "org.osbuild.clevis.luks-bind",
            json!({"passphrase": "x", "pin": "null", "policy": "{}"}),
        ),
        ("org.osbuild.luks2.format", luks),
        ("org.osbuild.luks2.remove-key", key),
        (
            "org.osbuild.lvm2.create",
            json!({"volumes": [{"name": "x", "size": "1M"}]}),
        ),
        ("org.osbuild.mkfs.btrfs", json!({"uuid": uuid})),
        ("org.osbuild.mkfs.ext4", json!({"uuid": uuid})),
        ("org.osbuild.mkfs.fat", json!({"volid": "2e24ec82"})),
        ("org.osbuild.mkfs.xfs", json!({"uuid": uuid})),
        ("org.osbuild.mkswap", json!({"uuid": uuid})),
        (
            "org.osbuild.parted",
            json!({"label": "gpt", "partitions": [{"start": 2048, "size": 2048}]}),
        ),
        ("org.osbuild.sfdisk", table.clone()),
        ("org.osbuild.sgdisk", table),
        (
            "org.osbuild.write-device",
            json!({"from": "input://file/one"}),
        ),
    ];
    let stages = stages.into_iter();
    stages
        .map(|(name, options)| sample(name, options, &["a"]))
        .collect()
}
