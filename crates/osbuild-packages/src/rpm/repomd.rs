//! The file `repomd.xml`, which says what metadata a repository has.

use anyhow::{Context as _, Result, bail, ensure};

use super::xml::{Element, Visitor, walk};
use crate::deb::release::Listed;

/// What a repository has.
#[derive(Debug, Default)]
pub(super) struct Repomd {
    /// What the repository's maker calls this state of it.
    pub(super) revision: String,
    /// When the newest metadata was made, in seconds since 1970.
    pub(super) date: i64,
    files: Vec<File>,
}

/// One file of metadata.
#[derive(Debug, Default)]
struct File {
    kind: String,
    checksum_type: String,
    checksum: String,
    size: Option<u64>,
    path: String,
}

impl Repomd {
    /// Reads the file.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut repomd = Self::default();
        walk(
            text,
            &mut Reader {
                repomd: &mut repomd,
                checksum_type: String::new(),
            },
        )?;
        ensure!(!repomd.files.is_empty(), "it lists no metadata");
        Ok(repomd)
    }

    /// Whether there is such metadata.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.files.iter().any(|file| file.kind == kind)
    }

    /// Where a kind of metadata is below the repository's address, and what it must be.
    pub(super) fn file(&self, kind: &str) -> Result<(&str, Listed)> {
        let mut files = self.files.iter();
        let file = files
            .find(|file| file.kind == kind)
            .with_context(|| format!("it lists no `{kind}`"))?;
        ensure!(
            file.checksum_type == "sha256",
            "its `{kind}` has a checksum of type `{}`, only sha256 is read",
            file.checksum_type
        );
        check_path(&file.path)?;
        let listed = Listed {
            sha256: file.checksum.clone(),
            size: file
                .size
                .with_context(|| format!("its `{kind}` has no size"))?,
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        ensure!(
            listed.sha256.len() == 64 && listed.sha256.bytes().all(is_digit),
            "its `{kind}` has a checksum that is none"
        );
        Ok((&file.path, listed))
    }
}

/// Paths of a repository stay in it: what a mirror may say must not lead elsewhere.
pub(super) fn check_path(path: &str) -> Result<()> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.contains([':', '\\', '?', '#']) || !path.split('/').all(is_plain) {
        bail!("`{path}` is no path of a file in a repository");
    }
    Ok(())
}

struct Reader<'a> {
    repomd: &'a mut Repomd,
    checksum_type: String,
}

impl Visitor for Reader<'_> {
    fn begin(&mut self, element: &Element) -> Result<()> {
        match (element.name.as_str(), self.repomd.files.last_mut()) {
            ("data", _) => self.repomd.files.push(File {
                kind: element.require("type")?.to_owned(),
                ..File::default()
            }),
            ("location", Some(file)) => element.require("href")?.clone_into(&mut file.path),
            ("checksum", _) => element.require("type")?.clone_into(&mut self.checksum_type),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str, text: &str) -> Result<()> {
        match (name, self.repomd.files.last_mut()) {
            ("revision", _) => text.clone_into(&mut self.repomd.revision),
            ("checksum", Some(file)) => {
                file.checksum_type = std::mem::take(&mut self.checksum_type);
                text.clone_into(&mut file.checksum);
            }
            ("size", Some(file)) => file.size = Some(text.parse().context("reading a size")?),
            ("timestamp", Some(_)) => {
                // Some have fractions.
                let seconds = text.split('.').next().unwrap_or_default();
                let seconds = seconds.parse().context("reading a time stamp")?;
                self.repomd.date = self.repomd.date.max(seconds);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repomd(data: &str) -> String {
        format!(
            "<repomd xmlns:rpm=\"x\"><revision>7</revision><data type=\"primary\">{data}</data></repomd>"
        )
    }

    #[test]
    fn what_is_listed_is_found() {
        let checksum = "ab".repeat(32);
        let text = repomd(&format!(
            "<checksum type=\"sha256\">{checksum}</checksum><open-checksum type=\"sha256\">x</open-checksum>\
             <location href=\"repodata/p.xml.gz\"/><timestamp>12.5</timestamp><size>9</size>"
        ));
        let read = Repomd::read(&text).unwrap();
        let (path, listed) = read.file("primary").unwrap();
        assert_eq!(
            (path, listed.size, listed.sha256),
            ("repodata/p.xml.gz", 9, checksum)
        );
        assert_eq!((read.revision.as_str(), read.date), ("7", 12));
        assert_eq!(
            read.file("filelists").unwrap_err().to_string(),
            "it lists no `filelists`"
        );
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        let good = format!(
            "<checksum type=\"sha256\">{}</checksum><location href=\"a/b\"/><size>9</size>",
            "ab".repeat(32)
        );
        assert!(
            Repomd::read(&repomd(&good))
                .unwrap()
                .file("primary")
                .is_ok()
        );
        for (from, to) in [
            ("sha256", "md5"),
            ("abab", "ABAB"),
            ("a/b", "../b"),
            ("a/b", "/b"),
            ("a/b", "http://x/b"),
            ("<size>9</size>", ""),
        ] {
            let read = Repomd::read(&repomd(&good.replace(from, to))).unwrap();
            assert!(read.file("primary").is_err(), "{to}");
        }
        for text in [
            "",
            "<repomd/>",
            "<repomd><data type=\"primary\">",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><repomd><data type=\"x\"/><revision>&a;</revision></repomd>",
        ] {
            assert!(Repomd::read(text).is_err(), "{text}");
        }
    }
}
