//! Writes packages for tests, good ones and bad ones.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The time that files of test packages have.
pub const MODIFIED: u64 = 1_000_000_000;

/// A package to be written.
pub struct PackageBuilder {
    name: String,
    fields: Vec<(String, String)>,
    control: tar::Builder<Vec<u8>>,
    data: tar::Builder<Vec<u8>>,
    extension: &'static str,
}

impl PackageBuilder {
    /// Starts a package of version 1 for amd64.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut package = Self {
            name: name.to_owned(),
            fields: Vec::new(),
            control: tar::Builder::new(Vec::new()),
            data: tar::Builder::new(Vec::new()),
            extension: ".gz",
        };
        package = package.directory("./", 0o755);
        for (name, value) in [("Version", "1"), ("Architecture", "amd64")] {
            package = package.field(name, value);
        }
        package
            .field("Maintainer", "Nobody <nobody@example.org>")
            .field("Description", "made for a test")
    }

    /// Sets a control field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file to the control member.
    #[must_use]
    pub fn control_file(mut self, name: &str, content: &str) -> Self {
        let mode = if content.starts_with("#!") {
            0o755
        } else {
            0o644
        };
        append(
            &mut self.control,
            &format!("./{name}"),
            &header(tar::EntryType::Regular, mode, content.len()),
            content.as_bytes(),
        );
        self
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.member(path, tar::EntryType::Directory, mode, "", b"")
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: &str) -> Self {
        self.member(path, tar::EntryType::Regular, mode, "", content.as_bytes())
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Symlink, 0o777, target, b"")
    }

    /// Adds a hard link.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Link, 0o644, target, b"")
    }

    /// Adds an extended attribute for the next member.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &[u8]) -> Self {
        let key = format!("SCHILY.xattr.{name}");
        self.data
            .append_pax_extensions([(key.as_str(), value)])
            .expect("writing to memory");
        self
    }

    /// Adds any member; its names are written as they are, be they hostile.
    #[must_use]
    pub fn member(
        mut self,
        path: &str,
        kind: tar::EntryType,
        mode: u32,
        target: &str,
        content: &[u8],
    ) -> Self {
        let mut header = header(kind, mode, content.len());
        let link = &mut header.as_old_mut().linkname;
        link[..target.len()].copy_from_slice(target.as_bytes());
        append(&mut self.data, path, &header, content);
        self
    }

    /// Chooses how both members are compressed, by the end of their names.
    #[must_use]
    pub fn compression(mut self, extension: &'static str) -> Self {
        self.extension = extension;
        self
    }

    /// Writes the package into a directory.
    pub fn write(mut self, directory: &Path) -> PathBuf {
        let mut control = format!("Package: {}\n", self.name);
        for (name, value) in &self.fields {
            control.push_str(&format!("{name}: {value}\n"));
        }
        self = self.control_file("control", &control);
        let control = self.control.into_inner().expect("writing to memory");
        let data = self.data.into_inner().expect("writing to memory");
        let path = directory.join(format!("{}.deb", self.name));
        let members = [
            ("debian-binary".to_owned(), b"2.0\n".to_vec()),
            (
                format!("control.tar{}", self.extension),
                compress(&control, self.extension),
            ),
            (
                format!("data.tar{}", self.extension),
                compress(&data, self.extension),
            ),
        ];
        fs_err::write(&path, archive(&members)).expect("the directory is the test's");
        path
    }
}

/// Packs members into an `ar` archive.
pub fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(
            bytes,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            100_644,
            content.len()
        )
        .expect("writing to memory");
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(MODIFIED);
    header.set_size(size as u64);
    if kind == tar::EntryType::Char {
        // That of /dev/null.
        let numbers = header
            .set_device_major(1)
            .and_then(|()| header.set_device_minor(3));
        numbers.expect("this format has them");
    }
    header
}

fn append(builder: &mut tar::Builder<Vec<u8>>, path: &str, header: &tar::Header, content: &[u8]) {
    let mut header = header.clone();
    // Not by `set_path`, which refuses what a test is about.
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    builder.append(&header, content).expect("writing to memory");
}

fn compress(bytes: &[u8], extension: &str) -> Vec<u8> {
    let written = match extension {
        "" => Ok(bytes.to_vec()),
        ".gz" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        ".zst" => zstd::encode_all(bytes, 1),
        ".bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        other => panic!("no test writes `{other}`"),
    };
    written.expect("writing to memory")
}
