//! Block devices on top of files.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fs_err::File;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::syscalls::{LoopInfo, loop_clear, loop_configure, loop_get_free, loop_status};

const CONTROL: &str = "/dev/loop-control";

/// The flags of `linux/loop.h`.
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;
const PARTITION_SCAN: u32 = 8;

/// How often to try again when someone else takes the device that was free a moment ago.
const ATTEMPTS: u32 = 64;
/// How long the kernel may take to let go of a device; udev holds new ones for a moment.
const DETACH_TIMEOUT: Duration = Duration::from_secs(30);
const DETACH_POLL: Duration = Duration::from_millis(1);

/// What part of a file becomes a device, and how.
#[derive(Clone, Debug, Default)]
pub struct LoopOptions {
    /// Where the device starts in the file, in bytes.
    pub offset: u64,
    /// How long it is, in bytes; none for the rest of the file.
    pub size: Option<u64>,
    /// Bytes of a sector; none for 512.
    pub sector_size: Option<u32>,
    /// Whether writing is refused.
    pub is_read_only: bool,
    /// Whether the kernel looks for partitions.
    pub scans_partitions: bool,
    /// Whether to hold an exclusive `flock`, by which udev leaves it alone.
    pub is_locked: bool,
}

/// An attached loop device, detached when this is dropped, or by the kernel when this process dies.
#[derive(Debug)]
pub struct LoopDevice {
    device: File,
    number: u32,
    is_attached: bool,
}

impl LoopDevice {
    /// Attaches `backing` to a free device. `backing` must be open for writing unless the device is read-only.
    pub fn attach(backing: impl AsFd, options: &LoopOptions) -> Result<Self> {
        let control = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open(CONTROL)
            .context("loop devices are needed; `modprobe loop` brings them")?;
        for attempt in 0..ATTEMPTS {
            let number = loop_get_free(control.as_fd()).context("asking for a free loop device")?;
            if let Some(device) = Self::try_attach(number, backing.as_fd(), options)? {
                return Ok(device);
            }
            // Those who compete for a device must not stay in step.
            let jitter = u64::from(std::process::id() % 7 + attempt) * 300;
            std::thread::sleep(Duration::from_micros(jitter));
        }
        bail!("no loop device could be had in {ATTEMPTS} attempts: others take them as fast")
    }

    /// Attaches to one device; none if someone was faster.
    fn try_attach(
        number: u32,
        backing: BorrowedFd<'_>,
        options: &LoopOptions,
    ) -> Result<Option<Self>> {
        let path = device_path(number);
        let device = match fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
        {
            Ok(device) => device,
            // The node of a new device may still be on its way.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error).context("opening a loop device"),
        };
        if options.is_locked
            && rustix::fs::flock(&device, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return Ok(None);
        }
        let block_size = options.sector_size.unwrap_or(0);
        match loop_configure(device.as_fd(), backing, block_size, info(options)) {
            Ok(()) => Ok(Some(Self {
                device,
                number,
                is_attached: true,
            })),
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::BUSY | Errno::AGAIN)
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("attaching {}", path.display())),
        }
    }

    /// Gives the device's path on the host.
    pub fn path(&self) -> PathBuf {
        device_path(self.number)
    }

    /// Gives the number in its name.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Gives the major and minor number of its node.
    pub fn device_number(&self) -> Result<(u32, u32)> {
        let metadata = self.device.metadata()?;
        if !metadata.file_type().is_block_device() {
            bail!("{} is not a block device", self.path().display());
        }
        let device = metadata.rdev();
        Ok((rustix::fs::major(device), rustix::fs::minor(device)))
    }

    /// Gives the open device.
    pub fn file(&self) -> &File {
        &self.device
    }

    /// Writes out what is not on the file yet, detaches, and waits until the kernel has let go of the file.
    pub fn detach(mut self) -> Result<()> {
        self.is_attached = false;
        let (path, number, started) = (self.path(), self.number, Instant::now());
        let mine = loop_status(self.device.as_fd()).ok().map(|info| info.inode);
        self.flush_and_clear()?;
        // Autoclear acts on the last close.
        drop(self);
        while still_attached(number, mine) {
            if started.elapsed() > DETACH_TIMEOUT {
                bail!("{} is still in use", path.display());
            }
            std::thread::sleep(DETACH_POLL);
        }
        Ok(())
    }

    fn flush_and_clear(&self) -> Result<()> {
        self.device.sync_all()?;
        loop_clear(self.device.as_fd())
            .with_context(|| format!("detaching {}", self.path().display()))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if self.is_attached
            && let Err(error) = self.flush_and_clear()
        {
            tracing::warn!(device = self.number, %error, "detaching a loop device failed");
        }
    }
}

/// Tells whether a device is attached to the file with this inode number.
fn still_attached(number: u32, inode: Option<u64>) -> bool {
    let Some(inode) = inode else { return false };
    File::open(device_path(number))
        .ok()
        .and_then(|device| loop_status(device.as_fd()).ok())
        .is_some_and(|info| info.inode == inode)
}

fn device_path(number: u32) -> PathBuf {
    Path::new("/dev").join(format!("loop{number}"))
}

fn info(options: &LoopOptions) -> LoopInfo {
    let mut info = LoopInfo::empty();
    info.offset = options.offset;
    info.size_limit = options.size.unwrap_or(0);
    // Autoclear frees the device when this process dies, however it dies.
    info.flags = AUTOCLEAR;
    if options.is_read_only {
        info.flags |= READ_ONLY;
    }
    if options.scans_partitions {
        info.flags |= PARTITION_SCAN;
    }
    info
}
