//! Tells in words what this process lacks to run builds.

use anyhow::{Context as _, Result, bail};

use crate::capability::{Capability, CapabilitySet};

/// The content of `uid_map` outside of any user namespace: every id is itself.
const WHOLE_RANGE: [u64; 3] = [0, 0, 4_294_967_295];

/// What kind of root this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The machine's.
    Root,
    /// That of a user namespace: it can mount, but not everything, and has no loop devices.
    UserNamespace,
}

/// Finds out whether this process can make build roots.
///
/// # Errors
/// It can not; the text says what to do.
pub fn check() -> Result<Privilege> {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        bail!(
            "builds mount file systems and keep file owners, which needs root, and this is user {}: run it with sudo",
            user.as_raw()
        );
    }
    let missing: Vec<_> = [Capability::SYS_ADMIN, Capability::MKNOD]
        .into_iter()
        .filter(|needed| CapabilitySet::held().is_ok_and(|held| !held.contains(*needed)))
        .map(Capability::name)
        .collect();
    if missing.contains(&Capability::SYS_ADMIN.name()) {
        bail!(
            "builds mount file systems, and this root lacks {}: in a container, run it with `--privileged`",
            missing.join(" and ")
        );
    }
    let map = fs_err::read_to_string("/proc/self/uid_map")
        .context("finding out whether this is a user namespace")?;
    Ok(if fits_whole_range(&map) {
        Privilege::Root
    } else {
        Privilege::UserNamespace
    })
}

/// Tells whether a `uid_map` is that of the machine itself.
fn fits_whole_range(map: &str) -> bool {
    let numbers: Vec<u64> = map
        .split_ascii_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    numbers == WHOLE_RANGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_namespace_is_told_by_its_map() {
        assert!(fits_whole_range("         0          0 4294967295\n"));
        assert!(!fits_whole_range("         0       1000          1\n"));
        assert!(!fits_whole_range(
            "         0       1000          1\n         1     100000      65536\n"
        ));
        assert!(!fits_whole_range(""));
    }
}
