//! What a test needs of the machine: met, it runs; unmet, it says so, and fails where `CI` is set.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Something a test needs of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The test must run as uid 0.
    Root,
    /// A program that must be on `PATH`.
    Tool(&'static str),
    /// A file system that the running kernel must know.
    KernelFilesystem(&'static str),
}

/// Needs uid 0.
pub const fn root() -> Need {
    Need::Root
}

/// Needs a program on `PATH`.
pub const fn tool(name: &'static str) -> Need {
    Need::Tool(name)
}

/// Needs a file system that the running kernel has registered.
pub const fn kernel_filesystem(name: &'static str) -> Need {
    Need::KernelFilesystem(name)
}

impl Need {
    /// Tells whether the machine has it.
    pub fn is_met(&self) -> bool {
        match self {
            Self::Root => rustix::process::geteuid().is_root(),
            Self::Tool(name) => find_program(name).is_some(),
            Self::KernelFilesystem(name) => fs_err::read_to_string("/proc/filesystems")
                .is_ok_and(|list| has_filesystem(&list, name)),
        }
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => formatter.write_str("root"),
            Self::Tool(name) => write!(formatter, "the program `{name}`"),
            Self::KernelFilesystem(name) => write!(formatter, "a kernel with `{name}`"),
        }
    }
}

/// Finds a program the way a shell would: along `PATH`, executable files only.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(file)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Lines of `/proc/filesystems` are `nodev<TAB>name` or `<TAB>name`.
fn has_filesystem(list: &str, name: &str) -> bool {
    list.lines()
        .any(|line| line.rsplit('\t').next() == Some(name))
}

/// Returns the needs the machine does not meet; panics on any when `ci` says that nothing may be skipped.
pub fn unmet<'a>(needs: &'a [Need], ci: Option<&OsStr>) -> Vec<&'a Need> {
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_met()).collect();
    let is_ci = ci.is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
    let text = missing
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    assert!(
        !is_ci || missing.is_empty(),
        "this test may not be skipped under CI, but needs {text}"
    );
    missing
}

/// Returns early from a test, saying why, unless every need is met; under `CI` an unmet need is a failure.
///
/// ```
/// fn formats_a_disk() {
///     osbuild_testing::needs![root, tool("mkfs.ext4")];
/// }
/// ```
#[macro_export]
macro_rules! needs {
    ($($need:ident $(($argument:expr))?),+ $(,)?) => {
        let needs = [$($crate::needs::$need($($argument)?)),+];
        let missing = $crate::needs::unmet(&needs, ::std::env::var_os("CI").as_deref());
        if !missing.is_empty() {
            let text = missing.iter().map(::std::string::ToString::to_string).collect::<Vec<_>>().join(", ");
            eprintln!("skipped: needs {text}");
            return;
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_met_need_is_not_reported() {
        assert_eq!(
            unmet(&[tool("sh")], Some("true".as_ref())),
            Vec::<&Need>::new()
        );
    }

    #[test]
    fn an_unmet_need_is_reported_outside_ci() {
        let need = tool("no-such-program-anywhere");
        assert_eq!(unmet(std::slice::from_ref(&need), None), [&need]);
        assert_eq!(
            unmet(std::slice::from_ref(&need), Some("".as_ref())),
            [&need]
        );
    }

    #[test]
    #[should_panic(
        expected = "may not be skipped under CI, but needs the program `no-such-program-anywhere`"
    )]
    fn an_unmet_need_fails_under_ci() {
        unmet(&[tool("no-such-program-anywhere")], Some("true".as_ref()));
    }

    #[test]
    fn filesystems_are_matched_by_their_whole_name() {
        let list = "nodev\tsysfs\n\text4\n\tvfat\n";
        assert!(has_filesystem(list, "ext4"));
        assert!(has_filesystem(list, "sysfs"));
        assert!(!has_filesystem(list, "ext"));
    }
}
