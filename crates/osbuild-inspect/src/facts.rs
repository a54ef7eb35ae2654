//! What a system says of itself, line by line, so that two can be compared.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tree::{Tree, is_boot_entry};

/// Facts by name: `release`, `host name`, `user alice`, `mount /boot`, …
pub(crate) fn facts(tree: &Tree) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let release = tree
        .text("etc/os-release")
        .or_else(|| tree.text("usr/lib/os-release"));
    if let Some(name) = release
        .as_deref()
        .and_then(|text| shell_value(text, "PRETTY_NAME"))
    {
        facts.insert("release".to_owned(), name);
    }
    if let Some(name) = tree.text("etc/hostname") {
        facts.insert("host name".to_owned(), name.trim().to_owned());
    }
    for (file, what) in [("etc/passwd", "user"), ("etc/group", "group")] {
        let text = tree.text(file).unwrap_or_default();
        for (name, rest) in text.lines().filter_map(|line| line.split_once(':')) {
            // The second field is the password's place, never a password where shadow files are used.
            let rest = rest.split_once(':').map_or("", |(_, rest)| rest);
            facts.insert(format!("{what} {name}"), rest.to_owned());
        }
    }
    let fstab = tree.text("etc/fstab").unwrap_or_default();
    for line in fstab
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [source, target, rest @ ..] = fields.as_slice() {
            facts.insert(
                format!("mount {target}"),
                format!("{source} {}", rest.join(" ")),
            );
        }
    }
    for kernel in kernels(tree) {
        facts.insert(format!("kernel {kernel}"), "installed".to_owned());
    }
    facts
}

fn kernels(tree: &Tree) -> Vec<String> {
    let modules = Path::new("usr/lib/modules");
    let below = tree
        .entries
        .range(modules.to_owned()..)
        .take_while(|(path, _)| path.starts_with(modules));
    below
        .filter(|(path, entry)| entry.is_directory() && path.parent() == Some(modules))
        .filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

fn shell_value(text: &str, key: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// Boot entries by title, each with its kernel and options: Boot Loader Specification files, and GRUB's menu.
pub(crate) fn boot_entries(tree: &Tree) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    for (path, content) in &tree.contents {
        let text = String::from_utf8_lossy(content);
        if is_boot_entry(path) {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let field = |key: &str| {
                let value = lines.iter().find_map(|line| line.strip_prefix(key));
                value
                    .filter(|value| value.starts_with([' ', '\t']))
                    .map(str::trim)
                    .unwrap_or_default()
            };
            let title = field("title");
            let title = if title.is_empty() {
                &path.to_string_lossy()
            } else {
                title
            };
            entries.insert(
                title.to_owned(),
                format!("{} {}", field("linux"), field("options")),
            );
        } else if path.ends_with("grub.cfg") {
            add_grub(&text, &mut entries);
        }
    }
    entries
}

fn add_grub(menu: &str, entries: &mut BTreeMap<String, String>) {
    let mut title = None;
    for line in menu.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("menuentry ") {
            let quote = rest
                .chars()
                .next()
                .filter(|first| matches!(first, '"' | '\''));
            title = quote
                .and_then(|quote| rest[1..].split(quote).next())
                .map(str::to_owned);
        } else if let Some(title) = &title {
            let command = line.split_whitespace().next();
            if matches!(command, Some("linux" | "linuxefi" | "linux16")) {
                let kernel = line
                    .split_whitespace()
                    .skip(1)
                    .collect::<Vec<_>>()
                    .join(" ");
                entries.insert(title.clone(), kernel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.contents
                .insert(PathBuf::from(path), text.as_bytes().to_vec());
        }
        tree
    }

    #[test]
    fn a_system_is_told_by_its_files() {
        let tree = tree(&[
            ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 12\"\n"),
            ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
            ("etc/fstab", "# none\nUUID=1 / ext4 rw 0 1\n"),
        ]);
        let expected = [
            ("mount /", "UUID=1 ext4 rw 0 1"),
            ("release", "Debian 12"),
            ("user root", "0:0:root:/root:/bin/bash"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(facts(&tree), BTreeMap::from(expected));
    }

    #[test]
    fn boot_entries_are_found_in_both_kinds_of_file() {
        let tree = tree(&[
            (
                "boot/loader/entries/a.conf",
                "title Fedora\nlinux /vmlinuz-6\noptions root=x quiet\n",
            ),
            (
                "boot/grub/grub.cfg",
                "menuentry 'Debian' --class debian {\n\tlinux /vmlinuz root=y ro\n}\n",
            ),
        ]);
        let expected = [
            ("Debian", "/vmlinuz root=y ro"),
            ("Fedora", "/vmlinuz-6 root=x quiet"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(boot_entries(&tree), BTreeMap::from(expected));
    }
}
