//! A package file: what its headers say of it and of its files.
//!
//! ```text
//! lead               96 bytes that begin with ed ab ee db
//! signature header   digests and signatures of what follows; padded to 8 bytes
//! header             everything about the package and its files
//! payload            a compressed cpio archive
//! ```

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::header::Header;
use super::tag::{header as tag, signature};

const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const LEAD_LENGTH: u64 = 96;
const SIGNATURE_ALIGNMENT: u64 = 8;

/// `RPMFILE_GHOST`: a file that the package owns and does not bring.
const FLAG_GHOST: u64 = 1 << 6;

/// A package whose headers have been read.
#[derive(Clone, Debug)]
pub struct Package {
    path: PathBuf,
    pub(super) signature: Header,
    pub(super) header: Header,
    payload_start: u64,
    name: String,
}

/// A file of a package, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path, beginning with a slash.
    pub path: Vec<u8>,
    /// Type and permissions.
    pub mode: u32,
    /// How many bytes it has.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// The digest of its content in hexadecimal digits; empty for what has no content.
    pub digest: Vec<u8>,
    /// Where a symbolic link points to.
    pub link_target: Vec<u8>,
    /// The owner by name.
    pub user: Vec<u8>,
    /// The group by name.
    pub group: Vec<u8>,
    /// Files with the same number are one file with several names.
    pub inode: u64,
    /// Capabilities as text, as `cap_from_text(3)` reads it.
    pub capabilities: Vec<u8>,
    /// Whether the package owns it but does not bring it.
    pub is_ghost: bool,
}

impl Package {
    /// Reads the headers of a package.
    pub fn open(path: &Path) -> Result<Self> {
        let doing = || format!("reading the package {}", path.display());
        let mut reader = BufReader::new(fs_err::File::open(path)?);
        let mut lead = [0; LEAD_LENGTH as usize];
        let read = reader.read_exact(&mut lead);
        let is_package = read.is_ok() && lead[..4] == LEAD_MAGIC;
        ensure!(is_package, "{}: it is no RPM package", doing());
        let signature = Header::read(&mut reader).with_context(doing)?;
        let length = signature.bytes().len() as u64;
        let padding = length.next_multiple_of(SIGNATURE_ALIGNMENT) - length;
        reader.seek_relative(padding as i64).with_context(doing)?;
        let header = Header::read(&mut reader).with_context(doing)?;
        let payload_start = LEAD_LENGTH + length + padding + header.bytes().len() as u64;
        let name = header.text(tag::NAME).with_context(doing)?;
        let name = name.with_context(doing)?.to_owned();
        Ok(Self {
            path: path.to_owned(),
            signature,
            header,
            payload_start,
            name,
        })
    }

    /// Returns where the package file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name of the package.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns name, version, release and architecture, as rpm shows a package.
    pub fn full_name(&self) -> Result<String> {
        let part = |tag| Ok::<_, anyhow::Error>(self.header.text(tag)?.unwrap_or("(none)"));
        Ok(format!(
            "{}-{}-{}.{}",
            self.name,
            part(tag::VERSION)?,
            part(tag::RELEASE)?,
            part(tag::ARCH)?
        ))
    }

    /// Tells whether the package claims to be signed; whether the signature is good is another question.
    pub fn has_signature(&self) -> bool {
        use signature::{DSA, GPG, OPENPGP, PGP, RSA};
        [DSA, RSA, PGP, GPG, OPENPGP]
            .into_iter()
            .any(|tag| self.signature.has(tag))
    }

    /// Tells whether rpm runs anything of the package when it is installed.
    pub fn has_scripts(&self) -> bool {
        tag::SCRIPTS.into_iter().any(|tag| self.header.has(tag))
    }

    /// Tells whether it is a source package.
    pub fn is_source(&self) -> bool {
        self.header.has(tag::SOURCE_PACKAGE)
    }

    /// Tells whether it is in the format of rpm 6, of which only rpm knows all.
    pub fn is_format_6(&self) -> bool {
        self.header.has(tag::RPM_FORMAT)
    }

    /// Returns what it provides, by name only.
    pub fn provides(&self) -> Result<Vec<&[u8]>> {
        self.header.texts(tag::PROVIDE_NAMES)
    }

    /// Returns what it obsoletes, by name only.
    pub fn obsoletes(&self) -> Result<Vec<&[u8]>> {
        self.header.texts(tag::OBSOLETE_NAMES)
    }

    /// Returns how the payload is archived and compressed, as rpm names both.
    pub fn payload_kind(&self) -> Result<(&str, &str)> {
        let format = self.header.text(tag::PAYLOAD_FORMAT)?.unwrap_or("cpio");
        let compressor = self.header.text(tag::PAYLOAD_COMPRESSOR)?;
        Ok((format, compressor.unwrap_or("gzip")))
    }

    /// Opens the payload, as it is in the file.
    pub fn payload(&self) -> Result<std::fs::File> {
        let mut file = fs_err::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.payload_start))?;
        Ok(file.into_parts().0)
    }

    /// Returns how long the payload is in the file.
    pub fn payload_length(&self) -> Result<u64> {
        let length = fs_err::metadata(&self.path)?.len();
        Ok(length.saturating_sub(self.payload_start))
    }

    /// Returns the number of the algorithm of the files' digests, as `OpenPGP` numbers them.
    pub fn digest_algorithm(&self) -> Result<u64> {
        /// What old packages have without saying so.
        const MD5: u64 = 1;
        let numbers = self.header.numbers(tag::FILE_DIGEST_ALGORITHM)?;
        Ok(numbers.first().copied().unwrap_or(MD5))
    }

    /// Returns the files in the order of the header.
    pub fn files(&self) -> Result<Vec<File>> {
        self.read_files()
            .with_context(|| format!("reading the files of the package {}", self.path.display()))
    }

    fn read_files(&self) -> Result<Vec<File>> {
        let header = &self.header;
        let names = header.texts(tag::BASE_NAMES)?;
        let count = names.len();
        let directories = header.texts(tag::DIR_NAMES)?;
        let indexes = numbers(header, tag::DIR_INDEXES, count)?;
        let modes = numbers(header, tag::FILE_MODES, count)?;
        let sizes = if header.has(tag::LONG_FILE_SIZES) {
            numbers(header, tag::LONG_FILE_SIZES, count)?
        } else {
            numbers(header, tag::FILE_SIZES, count)?
        };
        let mtimes = numbers(header, tag::FILE_MTIMES, count)?;
        let flags = numbers(header, tag::FILE_FLAGS, count)?;
        let inodes = numbers(header, tag::FILE_INODES, count)?;
        let digests = texts(header, tag::FILE_DIGESTS, count)?;
        let targets = texts(header, tag::FILE_LINK_TARGETS, count)?;
        let users = texts(header, tag::FILE_USERS, count)?;
        let groups = texts(header, tag::FILE_GROUPS, count)?;
        let capabilities = if header.has(tag::FILE_CAPABILITIES) {
            texts(header, tag::FILE_CAPABILITIES, count)?
        } else {
            vec![&[][..]; count]
        };
        let mut files = Vec::with_capacity(count);
        for (at, name) in names.into_iter().enumerate() {
            let directory = directories
                .get(indexes[at] as usize)
                .context("a file is in no directory")?;
            files.push(File {
                path: [directory, name].concat(),
                mode: modes[at] as u32,
                size: sizes[at],
                mtime: mtimes[at],
                digest: digests[at].to_vec(),
                link_target: targets[at].to_vec(),
                user: users[at].to_vec(),
                group: groups[at].to_vec(),
                inode: inodes[at],
                capabilities: capabilities[at].to_vec(),
                is_ghost: flags[at] & FLAG_GHOST != 0,
            });
        }
        Ok(files)
    }
}

fn numbers(header: &Header, tag: u32, count: usize) -> Result<Vec<u64>> {
    let numbers = header.numbers(tag)?;
    ensure!(
        numbers.len() == count,
        "the tag {tag} is about {} files, not {count}",
        numbers.len()
    );
    Ok(numbers)
}

fn texts(header: &Header, tag: u32, count: usize) -> Result<Vec<&[u8]>> {
    let texts = header.texts(tag)?;
    ensure!(
        texts.len() == count,
        "the tag {tag} is about {} files, not {count}",
        texts.len()
    );
    Ok(texts)
}
