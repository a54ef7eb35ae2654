//! Capabilities by the names that modules use for them.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result};

/// Names in the order of `linux/capability.h`: the place in this table is the kernel's number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What every stage may do, whatever its module asks for (contracts of the build root).
const STAGE_DEFAULT: [&str; 19] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
];

/// One capability that this kernel interface knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(u8);

impl Capability {
    /// `CAP_SYS_ADMIN`, without which nothing can be mounted.
    pub const SYS_ADMIN: Self = Self(21);
    /// `CAP_MKNOD`, without which no device nodes can be made.
    pub const MKNOD: Self = Self(27);

    /// Gives the kernel's name, `CAP_SYS_ADMIN`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Gives the kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for Capability {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        NAMES
            .iter()
            .position(|known| *known == name)
            .map(|number| Self(number as u8))
            .with_context(|| format!("`{name}` is not a capability"))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// Gives the set with nothing in it.
    pub fn empty() -> Self {
        Self(0)
    }

    /// Gives what every stage may do, whatever its module asks for.
    pub fn stage_default() -> Self {
        STAGE_DEFAULT
            .iter()
            .map(|name| name.parse().expect("the table holds known names"))
            .collect()
    }

    /// Gives what this process may do and may hand on: effective, permitted and within its bounding set.
    pub fn held() -> Result<Self> {
        let sets = rustix::thread::capabilities(None).context("reading own capabilities")?;
        let held = Self(sets.effective.bits() & sets.permitted.bits());
        let bounded = held.iter().filter(|capability| {
            rustix::thread::capability_is_in_bounding_set(
                rustix::thread::CapabilitySet::from_bits_retain(1 << capability.number()),
            )
            .unwrap_or(false)
        });
        Ok(bounded.collect())
    }

    /// Makes a set of the bits as the kernel numbers them; bits without a name are left out.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << NAMES.len()) - 1))
    }

    /// Gives the bits as the kernel numbers them.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Tells whether `capability` is in the set.
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    /// Gives what is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Gives what is in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Goes through the members, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..NAMES.len() as u8)
            .map(Capability)
            .filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(
            capabilities
                .into_iter()
                .fold(0, |bits, capability| bits | 1 << capability.0),
        )
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Capability::name).collect();
        write!(formatter, "CapabilitySet({})", names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_the_kernel_header() {
        let number = |name: &str| name.parse::<Capability>().unwrap().number();
        assert_eq!(number("CAP_CHOWN"), 0);
        assert_eq!(number("CAP_SYS_ADMIN"), 21);
        assert_eq!(number("CAP_MKNOD"), 27);
        assert_eq!(number("CAP_SETFCAP"), 31);
        assert_eq!(number("CAP_MAC_ADMIN"), 33);
        assert_eq!(number("CAP_CHECKPOINT_RESTORE"), 40);
        assert_eq!(Capability::SYS_ADMIN.name(), "CAP_SYS_ADMIN");
        assert_eq!(Capability::MKNOD.name(), "CAP_MKNOD");
    }

    #[test]
    fn an_unknown_name_is_named_in_the_error() {
        let error = "CAP_FLY".parse::<Capability>().unwrap_err();
        assert_eq!(error.to_string(), "`CAP_FLY` is not a capability");
    }

    #[test]
    fn sets_combine() {
        let admin: CapabilitySet = [Capability::SYS_ADMIN].into_iter().collect();
        let both = admin.union([Capability::MKNOD].into_iter().collect());
        assert_eq!(
            both.iter().map(Capability::name).collect::<Vec<_>>(),
            ["CAP_SYS_ADMIN", "CAP_MKNOD"]
        );
        assert_eq!(both.intersection(admin), admin);
        assert_eq!(CapabilitySet::stage_default().iter().count(), 19);
    }
}
