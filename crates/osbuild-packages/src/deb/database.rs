//! Writes the dpkg database of a tree, as dpkg itself leaves it after unpacking.
//!
//! ```text
//! /var/lib/dpkg/
//!   status                 a stanza per package: its control fields, its state, its configuration files
//!   arch                   native and foreign architectures, if there is a foreign one
//!   diversions, statoverride
//!   info/format            "1"
//!   info/NAME[:ARCH].list  the package's paths; `:ARCH` for `Multi-Arch: same`
//!   info/NAME[:ARCH].…     md5sums, conffiles, triggers, maintainer scripts: the control member's files
//!   triggers/File          "PATH PACKAGE[/noawait]": who wants to hear of files below a path
//!   triggers/TRIGGER       "PACKAGE[/noawait]": who wants to hear of a trigger by name
//!   triggers/Unincorp      activated triggers that dpkg is to note when it starts
//! ```
//!
//! What comes after, from `unpacked` to `installed`, is for the tree's own dpkg: it rewrites what it reads here.

pub mod diversions;
pub mod package_set;
#[cfg(test)]
mod tests;
mod triggers;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

pub use self::triggers::Triggers;
use super::archive::Archive;
use super::unpack::root::Root;
use super::unpack::{TopLevel, Unpacked};

/// Where the database is, in the tree.
pub const DIRECTORY: &str = "var/lib/dpkg";
/// What a configuration file has for a digest until dpkg has put it in its place.
const NEW_CONFFILE: &str = "newconffile";
/// The directories that dpkg can not do without, should its package not bring them.
const DIRECTORIES: [&str; 4] = ["alternatives", "info", "triggers", "updates"];

/// The database of one tree.
#[derive(Debug)]
pub struct Database {
    root: Root,
    native: String,
    triggers: Triggers,
}

/// Tells whether a tree has packages installed.
pub fn has_packages(tree: &Path) -> Result<bool> {
    let root = Root::open(tree, TopLevel::AsShipped)?;
    let status = root.read_if_exists(format!("{DIRECTORY}/status").as_bytes())?;
    Ok(status.is_some_and(|status| !status.trim_ascii().is_empty()))
}

impl Database {
    /// Makes an empty database, ready to install the given architectures.
    pub fn create(tree: &Path, native: &str, architectures: &BTreeSet<&str>) -> Result<Self> {
        let root = Root::open(tree, TopLevel::AsShipped)?;
        let database = Self {
            root,
            native: native.to_owned(),
            triggers: Triggers::default(),
        };
        for name in DIRECTORIES {
            database.make_directory(name)?;
        }
        for name in ["status", "diversions", "statoverride"] {
            let path = format!("{DIRECTORY}/{name}");
            if database.root.read_if_exists(path.as_bytes())?.is_none() {
                database.write(name, b"", 0o644)?;
            }
        }
        database.write("info/format", b"1\n", 0o644)?;
        let foreign = architectures
            .iter()
            .filter(|&&name| name != native && name != "all");
        let foreign: Vec<&str> = foreign.copied().collect();
        if !foreign.is_empty() {
            database.write(
                "arch",
                format!("{native}\n{}\n", foreign.join("\n")).as_bytes(),
                0o644,
            )?;
        }
        Ok(database)
    }

    fn make_directory(&self, name: &str) -> Result<()> {
        let made = self
            .root
            .make_directories(format!("{DIRECTORY}/{name}").as_bytes());
        made.map_err(|error| {
            anyhow::Error::from(std::io::Error::from(error))
                .context(format!("making /{DIRECTORY}/{name}"))
        })?;
        Ok(())
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        self.root
            .write(format!("{DIRECTORY}/{name}").as_bytes(), content, mode)
    }

    /// Adds packages that were unpacked: their state is `unpacked`, and what they activate is left for dpkg.
    ///
    /// `is_configured` says which packages of the tree dpkg has configured, so that they hear of triggers.
    pub fn add(
        &mut self,
        packages: &[(&Archive, &Unpacked)],
        is_configured: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let mut status = String::new();
        for (archive, unpacked) in packages {
            self.write_info(archive, unpacked)?;
            self.triggers
                .add_interests(archive, &self.qualified_name(archive))?;
            status.push_str(&status_stanza(archive, unpacked));
        }
        for (name, content) in self.triggers.files() {
            self.write(&format!("triggers/{name}"), content.as_bytes(), 0o644)?;
        }
        let mut activated = String::new();
        for (archive, unpacked) in packages {
            let name = self.qualified_name(archive);
            self.triggers.activations(
                archive,
                &name,
                &unpacked.list,
                is_configured,
                &mut activated,
            )?;
        }
        if !activated.is_empty() {
            self.root.append(
                format!("{DIRECTORY}/triggers/Unincorp").as_bytes(),
                activated.as_bytes(),
            )?;
        }
        self.root
            .append(format!("{DIRECTORY}/status").as_bytes(), status.as_bytes())
    }

    fn write_info(&self, archive: &Archive, unpacked: &Unpacked) -> Result<()> {
        let stem = format!("info/{}", info_name(archive));
        for (name, file) in archive.control_files() {
            let path = format!("{DIRECTORY}/{stem}.{name}");
            self.root
                .write(path.as_bytes(), &file.content, file.mode & 0o777)?;
            self.root.set_time(path.as_bytes(), file.modified)?;
        }
        if let Some(md5sums) = &unpacked.md5sums {
            self.write(&format!("{stem}.md5sums"), md5sums.as_bytes(), 0o644)?;
        }
        let mut list = Vec::new();
        for path in &unpacked.list {
            list.extend_from_slice(path);
            list.push(b'\n');
        }
        self.write(&format!("{stem}.list"), &list, 0o644)
    }

    /// Lays a package's control member out as dpkg does while it runs the `preinst`: `tmp.ci` below the database.
    pub fn stage_control(&self, archive: &Archive) -> Result<()> {
        self.write("tmp.ci/control", archive.control().as_bytes(), 0o644)?;
        for (name, file) in archive.control_files() {
            self.write(&format!("tmp.ci/{name}"), &file.content, file.mode & 0o777)?;
        }
        Ok(())
    }

    /// Takes away what [`Self::stage_control`] laid out.
    pub fn unstage_control(&self, archive: &Archive) -> Result<()> {
        let directory = format!("{DIRECTORY}/tmp.ci");
        let names = archive
            .control_files()
            .map(|(name, _)| name)
            .chain(["control"]);
        for name in names {
            self.root
                .remove(format!("{directory}/{name}").as_bytes(), false)?;
        }
        self.root.remove(directory.as_bytes(), true)
    }

    /// The name by which the database knows a package: with its architecture where that is needed.
    pub fn qualified_name(&self, archive: &Archive) -> String {
        let architecture = archive.architecture();
        let is_foreign = architecture != "all" && architecture != self.native;
        let is_same = archive.stanza().get("Multi-Arch") == Some("same");
        if is_same || is_foreign {
            format!("{}:{architecture}", archive.package())
        } else {
            archive.package().to_owned()
        }
    }
}

/// The stem of a package's files in `info`.
pub fn info_name(archive: &Archive) -> String {
    if archive.stanza().get("Multi-Arch") == Some("same") {
        format!("{}:{}", archive.package(), archive.architecture())
    } else {
        archive.package().to_owned()
    }
}

/// The configuration files a package names, with their leading slash.
pub(super) fn conffile_paths(archive: &Archive) -> BTreeSet<Vec<u8>> {
    let text = archive
        .control_file("conffiles")
        .map_or(&[][..], |file| &file.content);
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        // `remove-on-upgrade PATH` names a file that the package no longer has.
        .filter(|line| line.starts_with(b"/"))
        .map(<[u8]>::to_vec)
        .collect()
}

fn status_stanza(archive: &Archive, unpacked: &Unpacked) -> String {
    let mut text = format!(
        "Package: {}\nStatus: install ok unpacked\n",
        archive.package()
    );
    for (name, value) in archive.stanza().fields() {
        let is_ours = ["Package", "Status", "Conffiles"]
            .iter()
            .any(|ours| name.eq_ignore_ascii_case(ours));
        if !is_ours {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    if !unpacked.conffiles.is_empty() {
        text.push_str("Conffiles:\n");
        for (path, digest) in &unpacked.conffiles {
            let digest = digest.as_deref().unwrap_or(NEW_CONFFILE);
            text.push_str(&format!(" {} {digest}\n", String::from_utf8_lossy(path)));
        }
    }
    text.push('\n');
    text
}
