//! Which packages a tree has, by the databases in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use osbuild_packages::deb::control::stanzas;

use crate::tree::Tree;

/// Versions by package name; several of one name (kernels, architectures) are joined by commas.
pub(crate) fn installed(tree: &Tree) -> Result<BTreeMap<String, String>> {
    let mut packages = BTreeMap::new();
    if let Some(status) = tree.text("var/lib/dpkg/status") {
        add_dpkg(&status, &mut packages);
    }
    let databases = ["usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"];
    let database = databases
        .iter()
        .find_map(|place| tree.contents.get(&Path::new(place).join("rpmdb.sqlite")));
    if let Some(database) = database {
        add_rpm(database, &mut packages)?;
    }
    Ok(packages)
}

fn add(packages: &mut BTreeMap<String, String>, name: &str, version: &str) {
    packages
        .entry(name.to_owned())
        .and_modify(|versions| {
            versions.push_str(", ");
            versions.push_str(version);
        })
        .or_insert_with(|| version.to_owned());
}

fn add_dpkg(status: &str, packages: &mut BTreeMap<String, String>) {
    for stanza in stanzas(status) {
        let is_installed = stanza
            .get("Status")
            .is_some_and(|status| status.ends_with(" installed"));
        if let (true, Some(name), Some(version)) =
            (is_installed, stanza.get("Package"), stanza.get("Version"))
        {
            add(packages, name, version);
        }
    }
}

/// Asks the host's `rpm`; the database is `SQLite` with headers of RPM's own format.
fn add_rpm(database: &[u8], packages: &mut BTreeMap<String, String>) -> Result<()> {
    let place = tempfile::tempdir()?;
    fs_err::write(place.path().join("rpmdb.sqlite"), database)?;
    let result = Command::new("rpm")
        .arg("--dbpath")
        .arg(place.path())
        .args(["-qa", "--qf", "%{NAME}\t%{EVR}.%{ARCH}\n"])
        .stdin(Stdio::null())
        .output()
        .context("starting rpm, which reads the package database (package rpm)")?;
    if !result.status.success() {
        bail!(
            "rpm -qa: {}",
            String::from_utf8_lossy(&result.stderr).trim()
        );
    }
    let listed = String::from_utf8_lossy(&result.stdout);
    let mut lines: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    lines.sort_unstable();
    for (name, version) in lines {
        add(packages, name, version);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_packages_do_not_count() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 1\n\n\
                      Package: b\nStatus: deinstall ok config-files\nVersion: 2\n\n\
                      Package: a\nStatus: install ok installed\nVersion: 3\n";
        let mut packages = BTreeMap::new();
        add_dpkg(status, &mut packages);
        assert_eq!(
            packages,
            BTreeMap::from([("a".to_owned(), "1, 3".to_owned())])
        );
    }
}
