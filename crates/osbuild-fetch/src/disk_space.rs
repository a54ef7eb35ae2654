//! Room on the cache's file system, and errors that say which one it is.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;

use crate::FetchError;
use crate::sink::WriteFailure;

/// Fails if the file system of `path` has no room for that many bytes, before it is filled up.
pub(crate) fn check(path: &Path, url: &str, more: u64) -> Result<(), FetchError> {
    match free_bytes(path) {
        Some(available) if available < more => Err(disk_full(path, url, Some(more))),
        _ => Ok(()),
    }
}

/// Says what a failed write means.
pub(crate) fn write_error(failure: WriteFailure, url: &str, more: Option<u64>) -> FetchError {
    cache_error(&failure.path, failure.source, url, more)
}

/// Says what a failed operation in the cache means.
pub(crate) fn cache_error(
    path: &Path,
    source: io::Error,
    url: &str,
    more: Option<u64>,
) -> FetchError {
    if matches!(
        source.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::NOSPC | Errno::DQUOT)
    ) || source.kind() == io::ErrorKind::StorageFull
    {
        return disk_full(path, url, more);
    }
    FetchError::Cache {
        path: path.to_owned(),
        source,
    }
}

fn disk_full(path: &Path, url: &str, needed: Option<u64>) -> FetchError {
    FetchError::DiskFull {
        url: url.to_owned(),
        file_system: describe(path),
        needed,
        available: free_bytes(path).unwrap_or(0),
    }
}

/// What we may still write: the superuser may use the reserve, too.
fn free_bytes(path: &Path) -> Option<u64> {
    let directory = path.parent()?;
    let statistics = rustix::fs::statvfs(directory).ok()?;
    let blocks = if rustix::process::geteuid().is_root() {
        statistics.f_bfree
    } else {
        statistics.f_bavail
    };
    Some(blocks.saturating_mul(statistics.f_frsize))
}

/// The file system that holds `path`, in words: its type, mount point and device.
fn describe(path: &Path) -> String {
    let directory = path.parent().unwrap_or(path);
    let found = fs_err::metadata(directory).ok().and_then(|metadata| {
        let table = fs_err::read_to_string("/proc/self/mountinfo").ok()?;
        find_mount(&table, metadata.dev(), directory)
    });
    found.unwrap_or_else(|| format!("the file system of `{}`", directory.display()))
}

/// Finds the mount of a device that is nearest above the directory.
fn find_mount(table: &str, device: u64, directory: &Path) -> Option<String> {
    let number = format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    let directory = fs_err::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    table
        .lines()
        .filter_map(|line| {
            let (front, back) = line.split_once(" - ")?;
            let mut front = front.split(' ').skip(2);
            let device = front.next()?;
            let mount_point = unescape(front.nth(1)?);
            let mut back = back.split(' ');
            let kind = back.next()?;
            let source = unescape(back.next()?);
            (device == number && directory.starts_with(&mount_point)).then_some((
                mount_point,
                kind,
                source,
            ))
        })
        .max_by_key(|(mount_point, ..)| mount_point.len())
        .map(|(mount_point, kind, source)| format!("`{mount_point}` ({kind} on {source})"))
}

/// Mount tables write white space and backslashes as octal escapes.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 8:1 / / rw - ext4 /dev/sda1 rw
40 22 7:3 / /mnt/my\\040disk rw,relatime shared:1 - xfs /dev/loop3 rw
";

    #[test]
    fn the_nearest_mount_of_the_device_is_named() {
        let device = rustix::fs::makedev(7, 3);
        assert_eq!(
            find_mount(TABLE, device, Path::new("/mnt/my disk/cache")),
            Some("`/mnt/my disk` (xfs on /dev/loop3)".to_owned())
        );
        assert_eq!(find_mount(TABLE, device, Path::new("/srv")), None);
    }

    #[test]
    fn room_is_asked_for_before_the_disk_fills() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert!(check(&path, "http://x/", 1).is_ok());
        let error = check(&path, "http://x/", u64::MAX).unwrap_err();
        let FetchError::DiskFull { needed, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(needed, Some(u64::MAX));
    }
}
