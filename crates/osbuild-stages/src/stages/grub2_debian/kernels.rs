//! The kernels of a tree.

use std::cmp::Ordering;

use anyhow::{Result, ensure};
use osbuild_stage_api::TreeRoot;

const KERNEL_PREFIX: &str = "vmlinuz-";
/// A kernel that dpkg keeps while it replaces it, and what editors leave.
const LEFTOVERS: [&str; 5] = [".dpkg-new", ".dpkg-tmp", ".dpkg-old", ".bak", "~"];

/// A kernel in `/boot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) version: String,
    pub(super) has_initrd: bool,
}

/// Finds them, the newest first; there must be one.
pub(super) fn find(tree: &TreeRoot) -> Result<Vec<Kernel>> {
    let mut kernels = Vec::new();
    let names = if tree.is_dir("/boot")? {
        tree.read_dir("/boot")?
    } else {
        Vec::new()
    };
    for name in names {
        let version = name
            .to_str()
            .and_then(|name| name.strip_prefix(KERNEL_PREFIX));
        let Some(version) = version.filter(|version| !is_leftover(version)) else {
            continue;
        };
        let has_initrd = tree.is_file(format!("/boot/initrd.img-{version}"))?;
        kernels.push(Kernel {
            version: version.to_owned(),
            has_initrd,
        });
    }
    ensure!(
        !kernels.is_empty(),
        "the tree has no kernel: there is no /boot/vmlinuz-*; package `linux-image-cloud-amd64` or \
         `linux-image-amd64` brings one"
    );
    kernels.sort_by(|one, other| compare(&other.version, &one.version));
    Ok(kernels)
}

fn is_leftover(version: &str) -> bool {
    LEFTOVERS.iter().any(|suffix| version.ends_with(suffix))
}

/// Orders kernel versions: numbers by value, all else byte by byte, as `sort -V` does.
fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    while !one.is_empty() && !other.is_empty() {
        let (one_text, one_number, one_rest) = split(one);
        let (other_text, other_number, other_rest) = split(other);
        let order = one_text
            .cmp(other_text)
            .then_with(|| compare_numbers(one_number, other_number));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (one_rest, other_rest);
    }
    one.len().cmp(&other.len())
}

/// Splits off what comes before the first digit, and the number there.
fn split(version: &str) -> (&str, &str, &str) {
    let start = version
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(version.len());
    let (text, rest) = version.split_at(start);
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    (text, number, rest)
}

fn compare_numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_kernels_come_after_older_ones() {
        let mut versions = vec![
            "6.1.0-9-amd64",
            "6.10.1-amd64",
            "6.1.0-10-amd64",
            "5.19.0",
            "6.1.0-10-cloud-amd64",
            "6.1.0-10",
        ];
        versions.sort_by(|one, other| compare(one, other));
        let expected = [
            "5.19.0",
            "6.1.0-9-amd64",
            "6.1.0-10",
            "6.1.0-10-amd64",
            "6.1.0-10-cloud-amd64",
            "6.10.1-amd64",
        ];
        assert_eq!(versions, expected);
    }
}
