//! Unit files of a tree: where they are, and what their `[Install]` sections say.
//!
//! Follows systemd.unit(5) as far as enabling units needs it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::TreeRoot;

/// Where an administrator's unit files and links are.
pub(crate) const CONFIG: &str = "/etc/systemd/system";
/// Where unit files are looked for, first match wins; those of a running system are left out.
const SEARCH_PATH: [&str; 4] = [
    CONFIG,
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    // The place of the one above on systems with a `/lib` of its own.
    "/lib/systemd/system",
];
const SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];
/// Links that lead to each other are given up after so many.
const LINKS_MAX: usize = 32;

/// The parts of a unit's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnitName {
    /// The whole.
    pub(crate) full: String,
    /// What is before `@`, or before the suffix.
    pub(crate) prefix: String,
    /// What is between `@` and the suffix; empty for a template.
    pub(crate) instance: Option<String>,
    /// What is after the last dot.
    pub(crate) suffix: String,
}

impl UnitName {
    /// Reads a name; `None` if it is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, suffix) = name.rsplit_once('.')?;
        let is_safe = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if stem.is_empty() || !SUFFIXES.contains(&suffix) || !stem.chars().all(is_safe) {
            return None;
        }
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance.to_owned())),
            None => (stem, None),
        };
        (!prefix.is_empty()).then(|| Self {
            full: name.to_owned(),
            prefix: prefix.to_owned(),
            instance,
            suffix: suffix.to_owned(),
        })
    }

    /// Tells whether it stands for all units of its kind.
    pub(crate) fn is_template(&self) -> bool {
        self.instance.as_deref() == Some("")
    }

    /// The template of an instance.
    pub(crate) fn template(&self) -> Option<String> {
        let instance = self.instance.as_deref()?;
        (!instance.is_empty()).then(|| format!("{}@.{}", self.prefix, self.suffix))
    }

    /// The same unit with another instance.
    pub(crate) fn with_instance(&self, instance: &str) -> Option<Self> {
        Self::parse(&format!("{}@{instance}.{}", self.prefix, self.suffix))
    }
}

/// What was found of a unit.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Its file, and the name it goes by: that of the file, for an alias.
    File {
        path: PathBuf,
        name: UnitName,
    },
    /// A file that switches it off.
    Masked(PathBuf),
    Missing,
}

/// Looks for a unit's file, an instance's own before its template's, and follows aliases.
pub(crate) fn find(tree: &TreeRoot, name: &UnitName) -> Result<Found> {
    let mut name = name.clone();
    for _ in 0..LINKS_MAX {
        let Some(path) = search(tree, &name)? else {
            return Ok(Found::Missing);
        };
        if is_link(tree, &path)? {
            let target = tree.read_link(&path)?;
            if target == Path::new("/dev/null") {
                return Ok(Found::Masked(path));
            }
            match alias_target(&name, &target) {
                Some(other) if other != name => {
                    name = other;
                    continue;
                }
                _ => {
                    return Ok(Found::File {
                        path: tree_path(&path, &target),
                        name,
                    });
                }
            }
        }
        if tree.stat(&path)?.st_size == 0 {
            return Ok(Found::Masked(path));
        }
        return Ok(Found::File { path, name });
    }
    Ok(Found::Missing)
}

fn search(tree: &TreeRoot, name: &UnitName) -> Result<Option<PathBuf>> {
    for file in [Some(name.full.clone()), name.template()]
        .into_iter()
        .flatten()
    {
        for directory in SEARCH_PATH {
            let path = Path::new(directory).join(&file);
            if tree.has_entry(&path)? {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// The unit that a link of another name leads to, if it is one; an instance stays the instance.
fn alias_target(name: &UnitName, target: &Path) -> Option<UnitName> {
    let other = UnitName::parse(target.file_name()?.to_str()?)?;
    match name.instance.as_deref() {
        Some(instance) if other.is_template() => other.with_instance(instance),
        _ => Some(other),
    }
}

fn tree_path(link: &Path, target: &Path) -> PathBuf {
    link.parent().unwrap_or(Path::new("/")).join(target)
}

/// Tells whether the entry itself is a link.
pub(crate) fn is_link(tree: &TreeRoot, path: &Path) -> Result<bool> {
    let mode = tree.lstat(path)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode).is_symlink())
}

/// What an `[Install]` section asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Install {
    pub(crate) alias: Vec<String>,
    pub(crate) also: Vec<String>,
    pub(crate) wanted_by: Vec<String>,
    pub(crate) required_by: Vec<String>,
    pub(crate) upheld_by: Vec<String>,
    pub(crate) default_instance: Option<String>,
}

impl Install {
    /// Reads a unit's file and its drop-ins.
    pub(crate) fn read(tree: &TreeRoot, file: &Path, name: &UnitName) -> Result<Self> {
        let mut install = Self::default();
        install.add(&String::from_utf8_lossy(&tree.read(file)?));
        for drop_in in drop_ins(tree, name)? {
            install.add(&String::from_utf8_lossy(&tree.read(drop_in)?));
        }
        Ok(install)
    }

    fn add(&mut self, text: &str) {
        let mut is_install = false;
        // A backslash at the end of a line joins the next one to it.
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            if line.starts_with('[') {
                is_install = line == "[Install]";
            } else if let Some((key, value)) = line.split_once('=')
                && is_install
                && !line.starts_with(['#', ';'])
            {
                self.set(key.trim_end(), value.trim_start());
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let list = match key {
            "Alias" => &mut self.alias,
            "Also" => &mut self.also,
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "UpheldBy" => &mut self.upheld_by,
            "DefaultInstance" => {
                self.default_instance = (!value.is_empty()).then(|| value.to_owned());
                return;
            }
            _ => return,
        };
        if value.is_empty() {
            list.clear();
        }
        let words = value
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']));
        list.extend(words.map(str::to_owned));
    }
}

/// The drop-ins of a unit and of its template by file name; of two with one name the first found counts.
fn drop_ins(tree: &TreeRoot, name: &UnitName) -> Result<Vec<PathBuf>> {
    let mut found = std::collections::BTreeMap::new();
    for unit in [Some(name.full.clone()), name.template()]
        .into_iter()
        .flatten()
    {
        for directory in SEARCH_PATH {
            let directory = Path::new(directory).join(format!("{unit}.d"));
            if !tree.is_dir(&directory)? {
                continue;
            }
            for file in tree.read_dir(&directory)? {
                let path = directory.join(&file);
                if path.extension().is_some_and(|suffix| suffix == "conf") && tree.is_file(&path)? {
                    found.entry(file).or_insert(path);
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = UnitName::parse("getty@tty1.service").unwrap();
        assert_eq!(
            (
                name.prefix.as_str(),
                name.instance.as_deref(),
                name.suffix.as_str()
            ),
            ("getty", Some("tty1"), "service")
        );
        assert_eq!(name.template().unwrap(), "getty@.service");
        assert!(UnitName::parse("getty@.service").unwrap().is_template());
        for wrong in [
            "a",
            "a.foo",
            ".service",
            "@x.service",
            "a b.service",
            "a/b.service",
        ] {
            assert_eq!(UnitName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_install_section_is_read() {
        let mut install = Install::default();
        install.add(
            "[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=no.target\nWantedBy=a.target \\\n  b.target\n\
             WantedBy = \"c.target\"\nAlias=x.service\nAlias=\nAlso=y.socket\nDefaultInstance=tty1\n[X]\nAlso=no\n",
        );
        let expected = Install {
            wanted_by: ["a.target", "b.target", "c.target"]
                .map(str::to_owned)
                .into(),
            also: vec!["y.socket".to_owned()],
            default_instance: Some("tty1".to_owned()),
            ..Install::default()
        };
        assert_eq!(install, expected);
    }
}
