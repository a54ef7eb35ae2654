//! The format of rpm headers: an index of numbered tags, and the data they point into.
//!
//! ```text
//! 8e ad e8 01  00 00 00 00  entries  data length      16 bytes, numbers big-endian
//! tag  type  offset  count                            16 bytes for each entry
//! data
//! ```

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
const ENTRY_LENGTH: usize = 16;
/// What rpm takes at most.
const ENTRIES_MAX: u32 = 0xffff;
/// What rpm takes at most.
const DATA_MAX: u32 = 256 << 20;

const TYPE_INT16: u32 = 3;
const TYPE_INT32: u32 = 4;
const TYPE_INT64: u32 = 5;
const TYPE_STRING: u32 = 6;
const TYPE_BINARY: u32 = 7;
const TYPE_STRING_ARRAY: u32 = 8;
const TYPE_TRANSLATED: u32 = 9;

/// A header that has been read.
#[derive(Clone, Debug)]
pub struct Header {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    data_start: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

impl Header {
    /// Reads a header.
    pub fn read(reader: &mut impl Read) -> Result<Self> {
        let mut bytes = vec![0; ENTRY_LENGTH];
        reader.read_exact(&mut bytes)?;
        ensure!(
            bytes[..8] == MAGIC,
            "there is no header where one should be"
        );
        let (count, length) = (number(&bytes, 8), number(&bytes, 12));
        ensure!(
            count <= ENTRIES_MAX && length <= DATA_MAX,
            "a header of {count} entries and {length} bytes is too large"
        );
        let data_start = ENTRY_LENGTH * (1 + count as usize);
        // Not allocated at once: the length is only a claim.
        let rest = (data_start - ENTRY_LENGTH + length as usize) as u64;
        let read = reader.by_ref().take(rest).read_to_end(&mut bytes)?;
        ensure!(read as u64 == rest, "the header is cut off");
        let entries = bytes[ENTRY_LENGTH..data_start]
            .chunks_exact(ENTRY_LENGTH)
            .map(|entry| Entry {
                tag: number(entry, 0),
                kind: number(entry, 4),
                offset: number(entry, 8) as usize,
                count: number(entry, 12) as usize,
            })
            .collect();
        Ok(Self {
            bytes,
            entries,
            data_start,
        })
    }

    /// Returns the header as it was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Tells whether a tag is there.
    pub fn has(&self, tag: u32) -> bool {
        self.find(tag).is_some()
    }

    /// Returns the text of a tag.
    pub fn text(&self, tag: u32) -> Result<Option<&str>> {
        let Some(first) = self.texts(tag)?.into_iter().next() else {
            return Ok(None);
        };
        let text = std::str::from_utf8(first).with_context(|| format!("reading the tag {tag}"))?;
        Ok(Some(text))
    }

    /// Returns the texts of a tag, without their final zeros; none if it is not there.
    pub fn texts(&self, tag: u32) -> Result<Vec<&[u8]>> {
        let Some(entry) = self.find(tag) else {
            return Ok(Vec::new());
        };
        let count = match entry.kind {
            TYPE_STRING => 1,
            TYPE_STRING_ARRAY | TYPE_TRANSLATED => entry.count,
            kind => bail!("the tag {tag} has the type {kind}, but should be text"),
        };
        let mut rest = self.data(entry, 0)?;
        let mut texts = Vec::new();
        for _ in 0..count {
            let end = rest.iter().position(|byte| *byte == 0);
            let end = end.with_context(|| format!("the text of the tag {tag} has no end"))?;
            texts.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        Ok(texts)
    }

    /// Returns the numbers of a tag, whatever their size; none if it is not there.
    pub fn numbers(&self, tag: u32) -> Result<Vec<u64>> {
        let Some(entry) = self.find(tag) else {
            return Ok(Vec::new());
        };
        let size = match entry.kind {
            TYPE_INT16 => 2,
            TYPE_INT32 => 4,
            TYPE_INT64 => 8,
            kind => bail!("the tag {tag} has the type {kind}, but should be a number"),
        };
        let length = entry.count.saturating_mul(size);
        let numbers = self.data(entry, length)?[..length].chunks_exact(size);
        Ok(numbers
            .map(|bytes| {
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
            })
            .collect())
    }

    /// Returns the bytes of a tag.
    pub fn binary(&self, tag: u32) -> Result<Option<&[u8]>> {
        let Some(entry) = self.find(tag) else {
            return Ok(None);
        };
        ensure!(
            entry.kind == TYPE_BINARY,
            "the tag {tag} has the type {}, but should be bytes",
            entry.kind
        );
        Ok(Some(&self.data(entry, entry.count)?[..entry.count]))
    }

    fn find(&self, tag: u32) -> Option<Entry> {
        self.entries.iter().copied().find(|entry| entry.tag == tag)
    }

    /// The data from where an entry points to, at least so many bytes.
    fn data(&self, entry: Entry, length: usize) -> Result<&[u8]> {
        let data = &self.bytes[self.data_start..];
        data.get(entry.offset..)
            .filter(|rest| rest.len() >= length)
            .with_context(|| format!("the tag {} points outside the header", entry.tag))
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(entries: &[(u32, u32, u32, u32)], data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((entries.len() as u32).to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        for (tag, kind, offset, count) in entries {
            for part in [tag, kind, offset, count] {
                bytes.extend(part.to_be_bytes());
            }
        }
        bytes.extend(data);
        bytes
    }

    #[test]
    fn each_type_is_read() {
        let data = b"one\0two\0\0\x01\x02\x00\x00\x00\x03";
        let entries = [
            (1, TYPE_STRING, 0, 1),
            (2, TYPE_STRING_ARRAY, 0, 2),
            (3, TYPE_INT16, 8, 2),
            (4, TYPE_INT32, 11, 1),
            (5, TYPE_BINARY, 1, 2),
        ];
        let header = Header::read(&mut header(&entries, data).as_slice()).unwrap();
        assert_eq!(header.text(1).unwrap(), Some("one"));
        assert_eq!(header.texts(2).unwrap(), [b"one", b"two"]);
        assert_eq!(header.numbers(3).unwrap(), [1, 0x200]);
        assert_eq!(header.numbers(4).unwrap(), [3]);
        assert_eq!(header.binary(5).unwrap(), Some(&b"ne"[..]));
        assert_eq!(header.text(9).unwrap(), None);
        assert!(header.has(1) && !header.has(9));
    }

    #[test]
    fn what_points_nowhere_is_refused() {
        for (entry, expected) in [
            (
                (1, TYPE_STRING, 9, 1),
                "the tag 1 points outside the header",
            ),
            ((1, TYPE_STRING, 4, 1), "the text of the tag 1 has no end"),
            (
                (1, TYPE_BINARY, 0, 1),
                "the tag 1 has the type 7, but should be text",
            ),
        ] {
            let header = Header::read(&mut header(&[entry], b"one\0two").as_slice()).unwrap();
            assert_eq!(header.texts(1).unwrap_err().to_string(), expected);
        }
        let header = Header::read(&mut header(&[(1, TYPE_INT32, 0, u32::MAX)], b"1234").as_slice());
        let error = header.unwrap().numbers(1).unwrap_err();
        assert_eq!(error.to_string(), "the tag 1 points outside the header");
    }

    #[test]
    fn claims_of_size_are_not_believed() {
        let mut bytes = header(&[], b"");
        bytes[12..16].copy_from_slice(&DATA_MAX.to_be_bytes());
        let error = Header::read(&mut bytes.as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "the header is cut off");
        bytes[8] = 1;
        let error = Header::read(&mut bytes.as_slice()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a header of 16777216 entries and 268435456 bytes is too large"
        );
        let error = Header::read(&mut [0; 16].as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "there is no header where one should be");
    }
}
