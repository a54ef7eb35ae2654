//! The runner that fits the machine osbuild runs on.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

/// Where the description of the operating system is, the first that exists (`os-release(5)`).
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Gives the name of the runner for the system at `root`: `org.osbuild.` with its `ID` and `VERSION_ID`,
/// dots left out; `org.osbuild.linux` when it does not say.
pub fn host_runner(root: &Path) -> Result<String> {
    let Some(path) = OS_RELEASE
        .iter()
        .map(|path| root.join(path))
        .find(|path| path.exists())
    else {
        return Ok("org.osbuild.linux".to_owned());
    };
    let text = fs::read_to_string(path)?;
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']))
            .next_back()
    };
    let id = field("ID").unwrap_or("linux");
    let version = field("VERSION_ID").unwrap_or_default().replace('.', "");
    Ok(format!("org.osbuild.{id}{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner_for(os_release: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), os_release).unwrap();
        host_runner(root.path()).unwrap()
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
}
