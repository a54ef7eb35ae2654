//! Runs programs of the tree that nobody vouches for without the rights by which root leaves a sandbox.

use anyhow::{Context, Result, anyhow};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities,
};

/// What a program needs to reach the build machine: mounting again what is read-only, opening files by the numbers of
/// their inodes, and device nodes of disks.
const WAYS_OUT: [CapabilitySet; 3] = [
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::DAC_READ_SEARCH,
    CapabilitySet::MKNOD,
];

/// Runs something on a thread of its own, whose programs never get these rights.
pub(crate) fn shut_in<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            drop_ways_out().context("giving up capabilities")?;
            work()
        });
        worker
            .join()
            .map_err(|_| anyhow!("running a program of the tree panicked"))?
    })
}

/// Both sets matter: root's programs get what is in either, see capabilities(7).
fn drop_ways_out() -> Result<()> {
    let held = capabilities(None)?;
    let inheritable = held.inheritable & !WAYS_OUT.into_iter().collect::<CapabilitySet>();
    set_capabilities(
        None,
        CapabilitySets {
            inheritable,
            ..held
        },
    )?;
    for capability in WAYS_OUT {
        remove_capability_from_bounding_set(capability)?;
    }
    Ok(())
}
