//! System calls that no safe library offers: the only `unsafe` of the workspace.
#![expect(unsafe_code, reason = "this module is the fence around it")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::process::Pid;

/// Turns the -1 of libc into an error.
fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

// ---------------------------------------------------------------- processes

/// A program to start in new namespaces, with everything allocated beforehand.
pub(crate) struct Spawn<'a> {
    /// `CLONE_NEW…` flags.
    pub(crate) namespaces: c_int,
    /// What becomes of it when the calling thread ends.
    pub(crate) parent_death: ParentDeath,
    /// The program's file.
    pub(crate) executable: &'a CStr,
    /// Its arguments, the name first.
    pub(crate) arguments: &'a [CString],
    /// Its whole environment, `NAME=value`.
    pub(crate) environment: &'a [CString],
    /// What becomes its descriptors 0, 1, 2…
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
}

/// What becomes of a program when the thread that started it ends, however that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentDeath {
    /// It is killed.
    Kill,
    /// It goes on.
    Survive,
}

/// What the child of [`spawn_in_namespaces`] needs: it shares the memory of its parent, which stands still.
struct ChildPlan {
    executable: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    /// All above the range that they are moved to, so no move overwrites one that is still to come.
    descriptors: *const RawFd,
    descriptor_count: usize,
    parent_death: ParentDeath,
    /// The signals that the program starts with blocked: none.
    mask: libc::sigset_t,
    /// Where the child says why it could not start the program.
    error: c_int,
}

/// The last of the real-time signals.
const HIGHEST_SIGNAL: c_int = 64;

/// Enough for the child: it makes a dozen system calls and no allocation.
const CHILD_STACK: usize = 64 * 1024;

/// Starts a program as process 1 of new namespaces, whatever threads this process has.
///
/// Like `posix_spawn`: the child borrows this process's memory (`CLONE_VM | CLONE_VFORK`, so nothing is
/// copied however big this process is) and does nothing but system calls until it has become the program.
pub(crate) fn spawn_in_namespaces(spawn: &Spawn<'_>) -> io::Result<(Pid, OwnedFd)> {
    let lifted = spawn
        .descriptors
        .iter()
        .map(|descriptor| lift(*descriptor, spawn.descriptors.len() as c_int))
        .collect::<io::Result<Vec<OwnedFd>>>()?;
    let raw: Vec<RawFd> = lifted.iter().map(AsRawFd::as_raw_fd).collect();
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    let mut plan = ChildPlan {
        executable: spawn.executable.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        descriptors: raw.as_ptr(),
        descriptor_count: raw.len(),
        parent_death: spawn.parent_death,
        mask: no_signals()?,
        error: 0,
    };
    let mut stack = vec![0_u128; CHILD_STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let flags =
        libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | spawn.namespaces;
    let mut pidfd: c_int = -1;
    // A signal handler of this program must not run in the child: it would change memory both share.
    let mask = block_all_signals()?;
    // SAFETY: `child` only makes system calls and touches `plan`, which outlives it because CLONE_VFORK
    // holds this thread until the child has become another program or ended. `top` is the 16-byte aligned
    // end of a stack that nobody else uses. With CLONE_PIDFD the kernel writes one int to the fifth argument.
    let pid = check(unsafe {
        libc::clone(
            child,
            top,
            flags,
            (&raw mut plan).cast::<c_void>(),
            &raw mut pidfd,
        )
    });
    restore_signals(&mask)?;
    let pid = Pid::from_raw(pid?).expect("clone gives a positive number to the parent");
    // SAFETY: the kernel has just opened this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if plan.error != 0 {
        rustix::process::waitid(
            rustix::process::WaitId::PidFd(pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        )?;
        return Err(io::Error::from_raw_os_error(plan.error));
    }
    Ok((pid, pidfd))
}

/// What runs between `clone` and `execve`: system calls only.
extern "C" fn child(plan: *mut c_void) -> c_int {
    let plan = plan.cast::<ChildPlan>();
    // SAFETY: the parent passes its own `ChildPlan` and waits; its pointers are to memory that the parent
    // holds. Every call here is async-signal-safe.
    unsafe {
        for number in 0..(*plan).descriptor_count {
            if libc::dup2(*(*plan).descriptors.add(number), number as c_int) == -1 {
                (*plan).error = *libc::__errno_location();
                libc::_exit(127);
            }
        }
        // Kept across `execve`, so there is no moment without it; a program that is set-user-id asks for itself.
        if matches!((*plan).parent_death, ParentDeath::Kill) {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        // An older kernel refuses; then the descriptors of this program stay closed on exec one by one.
        libc::syscall(
            libc::SYS_close_range,
            (*plan).descriptor_count,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        // Handlers first: none of them may run in here once signals are let through again.
        for signal in 1..=HIGHEST_SIGNAL {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const (*plan).mask, ptr::null_mut());
        libc::execve((*plan).executable, (*plan).arguments, (*plan).environment);
        (*plan).error = *libc::__errno_location();
        libc::_exit(127)
    }
}

/// Duplicates a descriptor to a number not below `minimum`, closed on exec.
fn lift(descriptor: BorrowedFd<'_>, minimum: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved, and the result is checked and owned by nobody else.
    unsafe {
        let lifted = check(libc::fcntl(
            descriptor.as_raw_fd(),
            libc::F_DUPFD_CLOEXEC,
            minimum,
        ))?;
        Ok(OwnedFd::from_raw_fd(lifted))
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}

fn block_all_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: both sets are plain memory that the calls fill in before it is read.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut previous: libc::sigset_t = std::mem::zeroed();
        check(libc::sigfillset(&raw mut all))?;
        set_mask(&all, &mut previous)?;
        Ok(previous)
    }
}

fn no_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: sigemptyset makes any memory a valid set.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&raw mut none))?;
        Ok(none)
    }
}

fn restore_signals(mask: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: as above; what is written to the second set is not used.
    set_mask(mask, &mut unsafe { std::mem::zeroed() })
}

fn set_mask(mask: &libc::sigset_t, previous: &mut libc::sigset_t) -> io::Result<()> {
    // SAFETY: both references are valid for the call.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, previous) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Ignores a signal, in this process and in the programs it starts.
pub(crate) fn ignore_signal(signal: c_int) -> io::Result<()> {
    // SAFETY: SIG_IGN is a valid disposition and runs no code of this program.
    match unsafe { libc::signal(signal, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Lets SIGPIPE end a program again: Rust's runtime ignores it, and ignoring is inherited.
pub(crate) fn reset_broken_pipe_signal() -> io::Result<()> {
    // SAFETY: SIG_DFL is no function of ours.
    match unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Forks this process, which must have one thread only; gives the child to the parent and none to the child.
pub(crate) fn fork_single_threaded() -> io::Result<Option<Pid>> {
    // SAFETY: with one thread no lock can be held by someone who is missing in the child; the only caller
    // is the sandbox's process 1, before it has started any thread.
    let pid = check(unsafe { libc::fork() })?;
    Ok(Pid::from_raw(pid))
}

/// Becomes another program; comes back only on error.
pub(crate) fn execute(
    executable: &CStr,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: both arrays end with a null pointer and live until the call is over.
    unsafe {
        libc::execve(
            executable.as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
        );
    }
    io::Error::last_os_error()
}

/// Leaves at once: no buffers are flushed, nothing registered for the exit is run.
pub(crate) fn exit_now(status: c_int) -> ! {
    // SAFETY: it does not return and runs no code of ours.
    unsafe { libc::_exit(status) }
}

/// Takes a descriptor that the parent process promised to have opened at this number.
pub(crate) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD touches no memory; ownership is ours alone, as the only caller is the sandbox's
    // process 1 at its very start, which takes each number once.
    unsafe {
        check(libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Duplicates whatever this process has open at a number, closed on exec.
pub(crate) fn duplicate_number(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl answers EBADF to a number that is not open, and the duplicate is owned by nobody else.
    unsafe {
        let duplicate = check(libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3))?;
        Ok(OwnedFd::from_raw_fd(duplicate))
    }
}

/// Keeps whatever is open at a number from programs that this process starts.
pub(crate) fn close_on_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD touches no memory.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// Moves the calling thread, which must be the only one, into its own copy of the mount namespace.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: unsharing the file-system attributes surprises only other threads, and CLONE_FILES is not given.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    Ok(())
}

// ------------------------------------------------------------------- mounts

/// Attributes to set on a mount, `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct MountAttributes {
    /// `MOUNT_ATTR_…` to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_…` to clear.
    pub(crate) clear: u64,
    /// `MS_PRIVATE` and its kin, or 0 for no change.
    pub(crate) propagation: u64,
    /// For id-mapped mounts; not used.
    pub(crate) user_namespace: u64,
}

/// Changes attributes of the mount that `mount` is open on, and of all below it.
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: MountAttributes,
) -> io::Result<()> {
    // SAFETY: the structure is laid out as the kernel's and its size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    check(result as c_int).map(drop)
}

// -------------------------------------------------------------------- locks

/// The kinds of lock on a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    Shared,
    Exclusive,
    None,
}

/// Whether to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockWait {
    Block,
    Fail,
}

/// Sets an open-file-description lock on the whole of a file; `false` if someone else holds it.
pub(crate) fn lock_file(file: BorrowedFd<'_>, kind: LockKind, wait: LockWait) -> io::Result<bool> {
    let kind = match kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
        LockKind::None => libc::F_UNLCK,
    };
    let command = match wait {
        LockWait::Block => libc::F_OFD_SETLKW,
        LockWait::Fail => libc::F_OFD_SETLK,
    };
    // SAFETY: all-zero is a valid `flock`: the whole file, from its start, and no owner, as these locks demand.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    loop {
        // SAFETY: `lock` is valid for the call.
        match check(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const lock) }) {
            Ok(_) => return Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::EACCES) => return Ok(false),
                _ => return Err(error),
            },
        }
    }
}

// ------------------------------------------------------------- loop devices

const LOOP_CLR_FD: libc::Ioctl = 0x4c01;
const LOOP_GET_STATUS64: libc::Ioctl = 0x4c05;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LoopInfo {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) rdevice: u64,
    pub(crate) offset: u64,
    pub(crate) size_limit: u64,
    pub(crate) number: u32,
    pub(crate) encrypt_type: u32,
    pub(crate) encrypt_key_size: u32,
    pub(crate) flags: u32,
    pub(crate) file_name: [u8; 64],
    pub(crate) crypt_name: [u8; 64],
    pub(crate) encrypt_key: [u8; 32],
    pub(crate) init: [u64; 2],
}

impl LoopInfo {
    /// Gives one with nothing in it.
    pub(crate) fn empty() -> Self {
        // SAFETY: integers only; all-zero is what the kernel calls unset.
        unsafe { std::mem::zeroed() }
    }
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Gives the number of a loop device that nobody used a moment ago.
pub(crate) fn loop_get_free(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: this request takes no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    Ok(number as u32)
}

/// Attaches `backing` to a loop device, all at once; `EBUSY` if someone was faster.
pub(crate) fn loop_configure(
    device: BorrowedFd<'_>,
    backing: BorrowedFd<'_>,
    block_size: u32,
    info: LoopInfo,
) -> io::Result<()> {
    let config = LoopConfig {
        fd: backing.as_raw_fd() as u32,
        block_size,
        info,
        reserved: [0; 8],
    };
    // SAFETY: the request reads one `loop_config`, which is laid out as the kernel's.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) }).map(drop)
}

/// Detaches a loop device, at once or when its last user closes it.
pub(crate) fn loop_clear(device: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: this request takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD) }).map(drop)
}

/// Gives the state of an attached loop device; `ENXIO` if it is free.
pub(crate) fn loop_status(device: BorrowedFd<'_>) -> io::Result<LoopInfo> {
    let mut info = LoopInfo::empty();
    // SAFETY: the request fills in one `loop_info64`, which is laid out as the kernel's.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64, &raw mut info) })?;
    Ok(info)
}

// ------------------------------------------------------------------ network

/// Brings a network interface up.
pub(crate) fn bring_up(socket: BorrowedFd<'_>, interface: &CStr) -> io::Result<()> {
    // SAFETY: all-zero is a valid `ifreq`; its name is filled below its size, and both requests use the
    // flags member of the union, which the first one has set.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        let name = interface.to_bytes();
        assert!(
            name.len() < request.ifr_name.len(),
            "interface names are short"
        );
        for (place, byte) in request.ifr_name.iter_mut().zip(name) {
            *place = *byte as c_char;
        }
        let socket = socket.as_raw_fd();
        check(libc::ioctl(socket, libc::SIOCGIFFLAGS, &raw mut request))?;
        request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        check(libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request)).map(drop)
    }
}
