//! The runner that fits the machine osbuild runs on.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

/// Where the description of the operating system is, the first that exists (`os-release(5)`).
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// What a system goes by that does not say what it is.
const UNKNOWN: &str = "linux";

/// Gives the name of the runner for the system at `root`: `org.osbuild.` with its `ID` and `VERSION_ID`,
/// dots left out; `org.osbuild.linux` when it does not say.
///
/// # Errors
/// The description is there and can not be read.
pub fn host_runner(root: &Path) -> Result<String> {
    let text = os_release(root)?;
    let id = field(&text, "ID").unwrap_or(UNKNOWN);
    Ok(runner_of(id, &text))
}

/// Gives the names of runners for the systems that the one at `root` says it is like, the nearest first: each word of
/// its `ID_LIKE`, with its own version.
///
/// # Errors
/// The description is there and can not be read.
pub fn similar_runners(root: &Path) -> Result<Vec<String>> {
    let text = os_release(root)?;
    let similar = field(&text, "ID_LIKE").unwrap_or_default();
    let similar = similar.split_whitespace();
    Ok(similar.map(|id| runner_of(id, &text)).collect())
}

/// Reads the description of a system; empty if it has none.
fn os_release(root: &Path) -> Result<String> {
    let mut paths = OS_RELEASE.iter().map(|path| root.join(path));
    match paths.find(|path| path.exists()) {
        Some(path) => Ok(fs::read_to_string(path)?),
        None => Ok(String::new()),
    }
}

fn field<'a>(os_release: &'a str, name: &str) -> Option<&'a str> {
    os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']))
        .next_back()
}

fn runner_of(id: &str, os_release: &str) -> String {
    let version = field(os_release, "VERSION_ID").unwrap_or_default();
    format!("org.osbuild.{id}{}", version.replace('.', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(os_release: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), os_release).unwrap();
        root
    }

    fn runner_for(os_release: &str) -> String {
        host_runner(system(os_release).path()).unwrap()
    }

    #[test]
    fn the_runner_is_named_after_distribution_and_version() {
        assert_eq!(
            runner_for("ID=ubuntu\nVERSION_ID=\"22.04\"\n"),
            "org.osbuild.ubuntu2204"
        );
        assert_eq!(runner_for("# sid\nID=debian\n"), "org.osbuild.debian");
    }

    #[test]
    fn a_system_that_does_not_say_gets_the_general_runner() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(host_runner(root.path()).unwrap(), "org.osbuild.linux");
    }

    #[test]
    fn similar_systems_are_named_with_the_own_version() {
        let root = system("ID=rocky\nVERSION_ID=\"9.3\"\nID_LIKE=\"rhel centos fedora\"\n");
        assert_eq!(
            similar_runners(root.path()).unwrap(),
            [
                "org.osbuild.rhel93",
                "org.osbuild.centos93",
                "org.osbuild.fedora93"
            ]
        );
        for alone in ["ID=debian\n", "ID=x\nID_LIKE=\n"] {
            let none: [String; 0] = [];
            assert_eq!(similar_runners(system(alone).path()).unwrap(), none);
        }
    }
}
