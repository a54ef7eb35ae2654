//! Turns requests to flush to disk into nothing, for this thread and the programs it starts.
//!
//! dpkg and rpm flush their databases after every step, and scripts call `sync`; on a disk that takes longer than all
//! else. The store flushes a finished tree itself. A seccomp filter does what `eatmydata` does without a library in
//! the tree, and for static programs too; systemd-nspawn's `--suppress-sync` is the same.

use anyhow::{Context, Result, anyhow};
use seccompiler::sock_filter;

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Offsets in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO` with the error 0: the call is skipped and succeeds.
const SUCCEED: u32 = 0x0005_0000;

/// Per architecture (`AUDIT_ARCH_*`): sync, fsync, fdatasync, `sync_file_range`, syncfs.
const CALLS: [(u32, [u32; 5]); 5] = [
    (0xc000_003e, [162, 74, 75, 277, 306]),
    (0x4000_0003, [36, 118, 148, 314, 344]),
    (0xc000_00b7, [81, 82, 83, 84, 267]),
    (0x4000_0028, [36, 118, 148, 341, 373]),
    (0xc000_00f3, [81, 82, 83, 84, 267]),
];

/// Runs something on a thread of its own that nothing flushes from.
pub(crate) fn without_sync<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // The sandbox has set `no_new_privs` already, which this needs.
            seccompiler::apply_filter(&filter()).context("turning off flushing to disk")?;
            work()
        });
        worker
            .join()
            .map_err(|_| anyhow!("installing the packages panicked"))?
    })
}

fn filter() -> Vec<sock_filter> {
    let mut filter = vec![statement(LOAD, ARCHITECTURE_OFFSET)];
    for (architecture, calls) in CALLS {
        let count = calls.len() as u8;
        filter.push(jump(architecture, 0, count + 3));
        filter.push(statement(LOAD, NUMBER_OFFSET));
        for (index, call) in calls.into_iter().enumerate() {
            filter.push(jump(call, count - index as u8, 0));
        }
        filter.push(statement(RETURN, ALLOW));
        filter.push(statement(RETURN, SUCCEED));
    }
    filter.push(statement(RETURN, ALLOW));
    filter
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: JUMP_IF_EQUAL,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn verdict(filter: &[sock_filter], architecture: u32, number: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = &filter[at];
            at += 1;
            match instruction.code {
                LOAD if instruction.k == NUMBER_OFFSET => accumulator = number,
                LOAD => accumulator = architecture,
                JUMP_IF_EQUAL if accumulator == instruction.k => at += usize::from(instruction.jt),
                JUMP_IF_EQUAL => at += usize::from(instruction.jf),
                _ => return instruction.k,
            }
        }
    }

    #[test]
    fn only_flushing_is_skipped_on_every_architecture() {
        let filter = filter();
        for (architecture, calls) in CALLS {
            for number in 0..500 {
                let expected = if calls.contains(&number) {
                    SUCCEED
                } else {
                    ALLOW
                };
                assert_eq!(
                    verdict(&filter, architecture, number),
                    expected,
                    "{architecture:#x} {number}"
                );
            }
        }
        assert_eq!(verdict(&filter, 0x1234, 74), ALLOW);
    }

    #[test]
    fn what_is_run_without_flushing_goes_on_working() {
        let file = tempfile::tempfile().unwrap();
        let result = without_sync(|| {
            rustix::fs::fsync(&file)?;
            let status = std::process::Command::new("sync").status()?;
            Ok(status.success())
        });
        assert!(result.unwrap());
    }
}
