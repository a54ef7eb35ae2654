//! Where modules in Python find the package `osbuild` that they import.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the package's directory, for machines where it is in neither of the usual places.
const VARIABLE: &str = "OSBUILD_PYTHON_PACKAGE";

/// Asked where the package is when the library directory has an empty place for it.
const PYTHON: &str = "/usr/bin/python3";

/// Prints the directory of the package, or nothing. Importing it is not needed, and would be slow.
const QUESTION: &str = "import importlib.util, os, sys\n\
    spec = importlib.util.find_spec('osbuild')\n\
    sys.stdout.write(os.path.dirname(spec.origin) if spec and spec.origin else '')";

/// Where the package is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PythonPackage {
    /// In the library directory, which is all that its modules need.
    InLibrary,
    /// In this directory; the library directory has an empty one to show it in.
    Elsewhere(PathBuf),
    /// Nowhere. Modules that do not need it run all the same.
    Missing,
}

impl PythonPackage {
    /// Looks for the package of the modules in a library directory.
    pub(crate) fn find(library: &Path) -> Self {
        let own = library.join("osbuild");
        if leads_out(&own, library) {
            tracing::warn!(
                "{} is a link that leads out of the library, where stages can not follow it: modules that import \
                 `osbuild` will fail; put the directory itself there, or an empty one if the package is installed",
                own.display()
            );
            return Self::Missing;
        }
        match fs_err::read_dir(&own).map(|mut entries| entries.next().is_some()) {
            Ok(true) => Self::InLibrary,
            Ok(false) => installed().map_or(Self::Missing, Self::Elsewhere),
            // There is no place to show another one in.
            Err(error) => {
                tracing::debug!("{error}");
                Self::Missing
            }
        }
    }

    /// Gives the directory to put on the Python path of a program on the host: the one that holds the package.
    pub(crate) fn search_path<'a>(&'a self, library: &'a Path) -> Option<&'a Path> {
        match self {
            Self::InLibrary => Some(library),
            Self::Elsewhere(package) => package.parent(),
            Self::Missing => None,
        }
    }

    /// Gives the directory of the package itself.
    pub(crate) fn directory(&self, library: &Path) -> Option<PathBuf> {
        match self {
            Self::InLibrary => Some(library.join("osbuild")),
            Self::Elsewhere(package) => Some(package.clone()),
            Self::Missing => None,
        }
    }

    /// Gives the directory to show in a sandbox at the library's empty one.
    pub(crate) fn to_show(&self) -> Option<&Path> {
        match self {
            Self::Elsewhere(package) => Some(package),
            Self::InLibrary | Self::Missing => None,
        }
    }
}

/// Tells whether a path is a link to somewhere that is not in the library, which is all that a sandbox shows of it.
fn leads_out(path: &Path, library: &Path) -> bool {
    let is_link = fs_err::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let stays = || {
        let target = fs_err::read_link(path).ok()?;
        let end = fs_err::canonicalize(path).ok()?;
        let library = fs_err::canonicalize(library).ok()?;
        // An absolute one begins at the root of the sandbox.
        Some(target.is_relative() && end.starts_with(library))
    };
    is_link && !stays().unwrap_or(false)
}

fn installed() -> Option<PathBuf> {
    if let Some(configured) = std::env::var_os(VARIABLE) {
        return Some(PathBuf::from(configured));
    }
    let asked = Command::new(PYTHON)
        .args(["-c", QUESTION])
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match asked {
        Ok(answer) if answer.status.success() && !answer.stdout.is_empty() => {
            Some(PathBuf::from(OsStr::from_bytes(&answer.stdout)))
        }
        Ok(answer) => {
            tracing::debug!("{PYTHON} knows no package `osbuild` ({})", answer.status);
            None
        }
        Err(error) => {
            tracing::debug!("asking {PYTHON} for the package `osbuild`: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_brings_the_package_needs_no_other() {
        let library = tempfile::tempdir().unwrap();
        fs_err::create_dir(library.path().join("osbuild")).unwrap();
        fs_err::write(library.path().join("osbuild/__init__.py"), "").unwrap();
        let package = PythonPackage::find(library.path());
        assert_eq!(package, PythonPackage::InLibrary);
        assert_eq!(package.search_path(library.path()), Some(library.path()));
        assert_eq!(package.to_show(), None);
    }

    #[test]
    fn a_link_out_of_the_library_is_no_package() {
        let library = tempfile::tempdir().unwrap();
        let package = library.path().join("package");
        fs_err::create_dir(&package).unwrap();
        fs_err::write(package.join("__init__.py"), "").unwrap();
        let find = |target: &Path| {
            let link = library.path().join("osbuild");
            let _ = fs_err::remove_file(&link);
            fs_err::os::unix::fs::symlink(target, &link).unwrap();
            PythonPackage::find(library.path())
        };
        assert_eq!(find(Path::new("package")), PythonPackage::InLibrary);
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(outside.path().join("__init__.py"), "").unwrap();
        for target in [outside.path(), &package, Path::new("/no/such")] {
            assert_eq!(find(target), PythonPackage::Missing);
        }
    }

    #[test]
    fn a_library_without_a_place_for_the_package_is_tolerated() {
        let library = tempfile::tempdir().unwrap();
        let package = PythonPackage::find(library.path());
        assert_eq!(package, PythonPackage::Missing);
        assert_eq!(package.search_path(library.path()), None);
    }

    #[test]
    fn a_package_elsewhere_is_shown_and_searched() {
        let package = PythonPackage::Elsewhere("/usr/lib/python3/osbuild".into());
        let library = Path::new("/usr/lib/osbuild");
        assert_eq!(
            package.search_path(library),
            Some(Path::new("/usr/lib/python3"))
        );
        assert_eq!(
            package.to_show(),
            Some(Path::new("/usr/lib/python3/osbuild"))
        );
    }
}
