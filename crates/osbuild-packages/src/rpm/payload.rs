//! What is in a payload: decompression, and the entries of its cpio archive.
//!
//! An entry begins with `070701` and a name, as cpio(5) has it, or with `07070X` and the number of a file of the
//! header, which rpm writes where a file is too large for the former. Either way all else is taken from the header.

use std::io::{self, BufReader, Read};

use anyhow::{Context, Result, bail, ensure};

const MAGIC_LENGTH: usize = 6;
/// Numbers of the usual form, after the magic.
const FIELDS: usize = 13;
const FIELD_LENGTH: usize = 8;
const SIZE_FIELD: usize = 6;
const NAME_SIZE_FIELD: usize = 11;
const ALIGNMENT: u64 = 4;
/// `PATH_MAX`.
const NAME_MAX: u64 = 4096;
const TRAILER: &[u8] = b"TRAILER!!!";
const BUFFER: usize = 128 * 1024;

/// Tells whether payloads compressed like this can be read.
pub fn is_known_compressor(name: &str) -> bool {
    matches!(name, "gzip" | "xz" | "zstd" | "bzip2")
}

/// Decompresses.
pub fn decompress<'a>(
    compressor: &str,
    reader: impl Read + Send + 'a,
) -> Result<Box<dyn Read + Send + 'a>> {
    let reader = BufReader::with_capacity(BUFFER, reader);
    Ok(match compressor {
        "gzip" => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        "xz" => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(reader)),
        "zstd" => {
            Box::new(zstd::stream::read::Decoder::with_buffer(reader).context("starting zstd")?)
        }
        "bzip2" => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
        other => bail!("unknown compression `{other}`"),
    })
}

/// What an entry says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A name, beginning with a slash, and how many bytes follow.
    Named(Vec<u8>, u64),
    /// The number of a file of the header; its bytes follow, as many as the header says.
    Numbered(usize),
}

/// Reads the entries of an archive one after the other.
#[derive(Debug)]
pub struct Entries<R> {
    reader: R,
    position: u64,
}

impl<R: Read> Entries<R> {
    /// Begins at the start of an archive.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
        }
    }

    /// Returns the next entry; none at the end. All the content of the one before must have been taken.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.align()?;
        let mut magic = [0; MAGIC_LENGTH];
        self.fill(&mut magic)?;
        match &magic {
            b"07070X" => {
                let number = self.number()?;
                self.align()?;
                Ok(Some(Entry::Numbered(number as usize)))
            }
            b"070701" | b"070702" => self.named(),
            _ => bail!("the archive is damaged: there is no entry where one should be"),
        }
    }

    /// Gives the content of the entry, a piece at a time; it has to say how long it is.
    pub fn content(
        &mut self,
        length: u64,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut piece = vec![0; BUFFER.min(length as usize)];
        let mut left = length;
        while left > 0 {
            let wanted = (piece.len() as u64).min(left) as usize;
            self.fill(&mut piece[..wanted])?;
            take(&piece[..wanted])?;
            left -= wanted as u64;
        }
        Ok(())
    }

    /// Reads what comes after the last entry, and gives the reader back.
    pub fn finish(mut self) -> Result<R> {
        io::copy(&mut self.reader, &mut io::sink()).context("the archive is damaged")?;
        Ok(self.reader)
    }

    fn named(&mut self) -> Result<Option<Entry>> {
        let mut fields = [0; FIELDS];
        for field in &mut fields {
            *field = self.number()?;
        }
        let length = fields[NAME_SIZE_FIELD];
        ensure!(
            (1..=NAME_MAX).contains(&length),
            "the archive is damaged: a name of {length} bytes"
        );
        let mut name = vec![0; length as usize];
        self.fill(&mut name)?;
        name.pop();
        self.align()?;
        if name == TRAILER {
            return Ok(None);
        }
        // `./usr/bin` and `usr/bin` both are found in the wild.
        let relative = name
            .strip_prefix(b".")
            .filter(|rest| rest.first() == Some(&b'/'));
        let relative = relative.unwrap_or(&name);
        let relative = relative.strip_prefix(b"/").unwrap_or(relative);
        let path = [b"/", relative].concat();
        Ok(Some(Entry::Named(path, fields[SIZE_FIELD])))
    }

    fn number(&mut self) -> Result<u64> {
        let mut digits = [0; FIELD_LENGTH];
        self.fill(&mut digits)?;
        let text = std::str::from_utf8(&digits).ok();
        text.and_then(|text| u64::from_str_radix(text, 16).ok())
            .context("the archive is damaged: a number that is none")
    }

    fn align(&mut self) -> Result<()> {
        let padding = self.position.next_multiple_of(ALIGNMENT) - self.position;
        let mut bytes = [0; ALIGNMENT as usize];
        self.fill(&mut bytes[..padding as usize])
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader
            .read_exact(bytes)
            .context("the archive is damaged")?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive as `cpio -H newc` writes it.
    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, content) in entries.iter().chain(&[("TRAILER!!!", &b""[..])]) {
            let mut fields = [0; FIELDS];
            fields[SIZE_FIELD] = content.len();
            fields[NAME_SIZE_FIELD] = name.len() + 1;
            bytes.extend(b"070701");
            for field in fields {
                bytes.extend(format!("{field:08x}").bytes());
            }
            bytes.extend(name.bytes().chain([0]));
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn names_and_contents_come_in_order() {
        let bytes = archive(&[("./usr/a", b"one"), ("b", b""), ("/c", b"12345")]);
        let mut entries = Entries::new(bytes.as_slice());
        let mut found = Vec::new();
        while let Some(Entry::Named(name, size)) = entries.next_entry().unwrap() {
            let mut content = Vec::new();
            let take = |piece: &[u8]| {
                content.extend(piece);
                Ok(())
            };
            entries.content(size, take).unwrap();
            found.push((String::from_utf8(name).unwrap(), content));
        }
        let expected = [("/usr/a", &b"one"[..]), ("/b", b""), ("/c", b"12345")];
        let expected = expected.map(|(name, content)| (name.to_owned(), content.to_vec()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_numbered_entry_says_which_file_of_the_header_it_is() {
        let mut bytes = b"07070X0000001f\0\0abcd".to_vec();
        bytes.extend(archive(&[]));
        let mut entries = Entries::new(bytes.as_slice());
        assert_eq!(entries.next_entry().unwrap(), Some(Entry::Numbered(31)));
        let mut content: Vec<u8> = Vec::new();
        let take = |piece: &[u8]| {
            content.extend(piece);
            Ok(())
        };
        entries.content(4, take).unwrap();
        assert_eq!(content, b"abcd");
        assert_eq!(entries.next_entry().unwrap(), None);
    }

    #[test]
    fn damage_is_told() {
        let whole = archive(&[("a", b"one")]);
        for (bytes, expected) in [
            (whole[..50].to_vec(), "the archive is damaged"),
            (
                [b"999999", &whole[6..]].concat(),
                "the archive is damaged: there is no entry where one should be",
            ),
            (
                [b"070701zzzzzzzz", &whole[14..]].concat(),
                "the archive is damaged: a number that is none",
            ),
        ] {
            let error = Entries::new(bytes.as_slice()).next_entry().unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
