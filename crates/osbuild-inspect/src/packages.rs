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
    if let Some(database) = rpm_database(tree) {
        add_rpm(database, &mut packages)?;
    }
    Ok(packages)
}

/// The database of RPM, if the tree has one in the format that is in use since RPM 4.16.
pub(crate) fn rpm_database(tree: &Tree) -> Option<&[u8]> {
    let databases = ["usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"];
    let mut found = databases.iter();
    let database =
        found.find_map(|place| tree.contents.get(&Path::new(place).join("rpmdb.sqlite")));
    database.map(Vec::as_slice)
}

/// Names of RPM packages with version, release and architecture, sorted as text.
pub(crate) fn rpm_names(database: &[u8]) -> Result<Vec<String>> {
    let listed = query_rpm(database, &["-qa"])?;
    let mut names: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
    names.sort_unstable();
    Ok(names)
}

/// Documentation that belongs to RPM packages and was left out when they were installed.
pub(crate) fn rpm_absent_documentation(database: &[u8]) -> Result<Vec<String>> {
    let listed = query_rpm(database, &["-qad", "--state"])?;
    let mut absent: Vec<String> = listed
        .lines()
        .filter(|line| line.starts_with("not installed"))
        .filter_map(|line| Some(line.split_whitespace().next_back()?.to_owned()))
        .collect();
    absent.sort_unstable();
    Ok(absent)
}

/// Debian packages, named as their files are: `name_version_architecture`.
pub(crate) fn deb_names(tree: &Tree) -> Vec<String> {
    let status = tree.text("var/lib/dpkg/status").unwrap_or_default();
    let mut names: Vec<String> = stanzas(&status)
        .filter(|stanza| {
            let status = stanza.get("Status");
            status.is_some_and(|status| status.ends_with(" installed"))
        })
        .filter_map(|stanza| {
            let field = |name| stanza.get(name);
            let (name, version) = (field("Package")?, field("Version")?);
            Some(format!("{name}_{version}_{}", field("Architecture")?))
        })
        .collect();
    names.sort_unstable();
    names
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

fn add_rpm(database: &[u8], packages: &mut BTreeMap<String, String>) -> Result<()> {
    let listed = query_rpm(database, &["-qa", "--qf", "%{NAME}\t%{EVR}.%{ARCH}\n"])?;
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

/// Asks the host's `rpm`; the database is `SQLite` with headers of RPM's own format.
fn query_rpm(database: &[u8], arguments: &[&str]) -> Result<String> {
    let place = tempfile::tempdir()?;
    fs_err::write(place.path().join("rpmdb.sqlite"), database)?;
    let result = Command::new("rpm")
        .arg("--dbpath")
        .arg(place.path())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("starting rpm, which reads the package database (package rpm)")?;
    if !result.status.success() {
        bail!(
            "rpm {}: {}",
            arguments[0],
            String::from_utf8_lossy(&result.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
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
