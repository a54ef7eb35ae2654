//! The outer container: `ar`, as dpkg-deb writes it.

use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result, bail, ensure};

use super::compression::Compression;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_LENGTH: u64 = 60;
const HEADER_END: &[u8; 2] = b"`\n";

/// A member: its name and how long it is.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    length: u64,
}

/// Walks over the members of an archive.
pub(super) struct Members<R> {
    reader: R,
    total: u64,
    /// Where the content of the current member starts.
    start: u64,
    /// How long that content is, without the padding byte.
    length: u64,
    /// Where the next header is.
    next: u64,
}

impl<R: Read + Seek> Members<R> {
    /// Checks the magic number; `total` is the length of the file.
    pub(super) fn new(mut reader: R, total: u64) -> Result<Self> {
        let mut magic = [0; MAGIC.len()];
        let is_complete = reader.read_exact(&mut magic).is_ok();
        ensure!(
            is_complete && magic == *MAGIC,
            "not a Debian package: it is no `ar` archive"
        );
        let next = MAGIC.len() as u64;
        Ok(Self {
            reader,
            total,
            start: next,
            length: 0,
            next,
        })
    }

    /// Goes to the next member; names that start with an underscore are for later formats.
    pub(super) fn next(&mut self) -> Result<Option<Member>> {
        loop {
            let member = self.header()?;
            if member
                .as_ref()
                .is_none_or(|member| !member.name.starts_with('_'))
            {
                return Ok(member);
            }
        }
    }

    fn header(&mut self) -> Result<Option<Member>> {
        if self.next >= self.total {
            return Ok(None);
        }
        ensure!(
            self.next + HEADER_LENGTH <= self.total,
            "the archive is cut short"
        );
        let mut header = [0; HEADER_LENGTH as usize];
        self.reader.seek(SeekFrom::Start(self.next))?;
        self.reader.read_exact(&mut header)?;
        ensure!(
            header[58..] == *HEADER_END,
            "the archive has a damaged header"
        );
        let text = |range: std::ops::Range<usize>| {
            std::str::from_utf8(&header[range]).context("the archive has a damaged header")
        };
        let name = text(0..16)?.trim_end().trim_end_matches('/').to_owned();
        let length: u64 = text(48..58)?
            .trim_end()
            .parse()
            .context("the archive has a damaged header")?;
        self.start = self.next + HEADER_LENGTH;
        ensure!(
            self.start + length <= self.total,
            "the archive is cut short: `{name}` should have {length} bytes, {} are there",
            self.total - self.start
        );
        self.length = length;
        self.next = self.start + length + length % 2;
        Ok(Some(Member { name, length }))
    }

    /// Goes to the next member, which must be this tar archive with any compression.
    pub(super) fn expect(&mut self, stem: &str) -> Result<super::Section> {
        let Some(member) = self.next()? else {
            bail!("the archive has no member `{stem}`");
        };
        let extension = member.name.strip_prefix(stem);
        let Some(extension) = extension else {
            bail!("the archive has `{}` where `{stem}` belongs", member.name);
        };
        Ok(super::Section {
            offset: self.start,
            length: member.length,
            compression: Compression::from_extension(extension)
                .with_context(|| format!("the compression of `{}` is not known", member.name))?,
        })
    }

    /// Reads the content of the current member.
    pub(super) fn content(&mut self, limit: u64) -> Result<Vec<u8>> {
        let length = self.length;
        ensure!(
            length <= limit,
            "a control member of {length} bytes is too large"
        );
        let mut content = Vec::with_capacity(length as usize);
        self.reader.seek(SeekFrom::Start(self.start))?;
        self.reader
            .by_ref()
            .take(length)
            .read_to_end(&mut content)?;
        Ok(content)
    }
}
