//! Names in FAT: a short one of 8 and 3 characters, and where that is not the name itself, a long one before it.

use std::collections::HashSet;
use std::ffi::OsStr;

use anyhow::{Result, bail, ensure};

/// Characters of a long name in one directory entry, and where they are.
const LONG_PLACES: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const LONG_MAX: usize = 255;
const LAST_PART: u8 = 0x40;
/// Tails are tried up to `~999999`, the longest that leaves a letter.
const TAIL_MAX: u32 = 999_999;
const SHORT_PUNCTUATION: &[u8] = b"!#$%&'()-@^_`{}~";
const FORBIDDEN: &str = "\"*/:<>?\\|";

/// The names of one directory.
#[derive(Debug, Default)]
pub(crate) struct Names {
    short: HashSet<[u8; 11]>,
    /// FAT does not tell upper case from lower.
    folded: HashSet<String>,
}

impl Names {
    /// Takes a name in: the short name, and the long one if it is needed.
    pub(crate) fn add(&mut self, name: &OsStr) -> Result<([u8; 11], Option<Vec<u16>>)> {
        let Some(text) = name.to_str() else {
            bail!("the name is not UTF-8")
        };
        let is_bad = |c: char| c < ' ' || FORBIDDEN.contains(c);
        ensure!(
            !text.contains(is_bad) && !text.ends_with(['.', ' ']),
            "the name has characters that FAT forbids"
        );
        ensure!(
            self.folded.insert(text.to_uppercase()),
            "another name differs only in case"
        );
        if let Some(short) = as_short(text).filter(|short| !self.short.contains(short)) {
            self.short.insert(short);
            return Ok((short, None));
        }
        let long: Vec<u16> = text.encode_utf16().collect();
        ensure!(
            long.len() <= LONG_MAX,
            "the name is longer than {LONG_MAX} characters"
        );
        let short = self.free_short(text)?;
        self.short.insert(short);
        Ok((short, Some(long)))
    }

    fn free_short(&self, text: &str) -> Result<[u8; 11]> {
        let (base, extension) = basis(text);
        for number in 1..=TAIL_MAX {
            let tail = format!("~{number}");
            let kept = &base[..base.len().min(8 - tail.len())];
            let short = join(&[kept, tail.as_bytes()].concat(), &extension);
            if !self.short.contains(&short) {
                return Ok(short);
            }
        }
        bail!("there are too many names like it")
    }
}

/// Tells whether a byte may be in a short name.
pub(crate) fn is_short_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || SHORT_PUNCTUATION.contains(&byte)
}

/// The name itself, if it is a valid short name.
fn as_short(text: &str) -> Option<[u8; 11]> {
    let (base, extension) = text.split_once('.').unwrap_or((text, ""));
    let is_short = |part: &str, length| part.len() <= length && part.bytes().all(is_short_byte);
    let has_dot_alone = text.contains('.') && extension.is_empty();
    let is_valid =
        !base.is_empty() && !has_dot_alone && is_short(base, 8) && is_short(extension, 3);
    is_valid.then(|| join(base.as_bytes(), extension.as_bytes()))
}

fn join(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

/// What short names of a long one are made of: upper case, without what is not allowed there.
fn basis(text: &str) -> (Vec<u8>, Vec<u8>) {
    let text = text.trim_start_matches('.');
    let (base, extension) = text.rsplit_once('.').unwrap_or((text, ""));
    let clean = |part: &str| -> Vec<u8> {
        let kept = part.chars().filter(|c| !matches!(c, ' ' | '.'));
        let byte = |c: char| {
            u8::try_from(c.to_ascii_uppercase())
                .ok()
                .filter(|byte| is_short_byte(*byte))
        };
        kept.map(|c| byte(c).unwrap_or(b'_')).collect()
    };
    let (base, mut extension) = (clean(base), clean(extension));
    extension.truncate(3);
    (base, extension)
}

/// Directory entries that a long name takes.
pub(crate) fn long_entries(long: &[u16]) -> usize {
    long.len().div_ceil(LONG_PLACES.len())
}

/// The directory entries of a long name, last part first, as they are stored; all but the attribute is set.
pub(crate) fn long_entry_parts(long: &[u16], short: &[u8; 11]) -> Vec<[u8; 32]> {
    let count = long_entries(long);
    let checksum = short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let part = |index: usize| {
        let mut entry = [0; 32];
        let is_last = index + 1 == count;
        entry[0] = (index as u8 + 1) | if is_last { LAST_PART } else { 0 };
        entry[13] = checksum;
        for (number, place) in LONG_PLACES.iter().enumerate() {
            let position = index * LONG_PLACES.len() + number;
            // A zero ends the name where there is room for it, and the rest is filled.
            let unit = match position.cmp(&long.len()) {
                std::cmp::Ordering::Less => long[position],
                std::cmp::Ordering::Equal => 0,
                std::cmp::Ordering::Greater => 0xffff,
            };
            entry[*place..place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        entry
    };
    (0..count).rev().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(names: &mut Names, name: &str) -> (String, bool) {
        let (short, long) = names.add(name.as_ref()).unwrap();
        (String::from_utf8(short.to_vec()).unwrap(), long.is_some())
    }

    #[test]
    fn short_names_are_unique_and_plain() {
        let mut names = Names::default();
        for (name, short, is_long) in [
            ("BOOTX64.EFI", "BOOTX64 EFI", false),
            ("grub.cfg", "GRUB~1  CFG", true),
            ("GRUB~1.CFG", "GRUB~1~1CFG", true),
            ("a long name.conf", "ALONGN~1CON", true),
            ("a long name.config", "ALONGN~2CON", true),
            ("größe", "GR__E~1    ", true),
            (".hidden", "HIDDEN~1   ", true),
            ("two.dots.txt", "TWODOT~1TXT", true),
            ("EFI", "EFI        ", false),
        ] {
            assert_eq!(add(&mut names, name), (short.to_owned(), is_long), "{name}");
        }
    }

    #[test]
    fn names_that_fat_can_not_tell_apart_are_refused() {
        let mut names = Names::default();
        add(&mut names, "Readme");
        assert_eq!(
            names.add("README".as_ref()).unwrap_err().to_string(),
            "another name differs only in case"
        );
        for bad in ["a:b", "dot.", "blank ", "a\tb"] {
            assert!(names.add(bad.as_ref()).is_err(), "{bad}");
        }
        assert!(names.add("x".repeat(256).as_ref()).is_err());
    }

    #[test]
    fn a_long_name_is_stored_backwards_ended_and_filled() {
        let long: Vec<u16> = "The quick brown.fox".encode_utf16().collect();
        let parts = long_entry_parts(&long, b"THEQUI~1FOX");
        assert_eq!(parts.len(), 2);
        // The example of Microsoft's paper.
        assert_eq!(
            (parts[0][0], parts[1][0], parts[0][13], parts[1][13]),
            (0x42, 0x01, parts[1][13], parts[0][13])
        );
        assert_eq!(&parts[0][1..11], b"w\0n\0.\0f\0o\0");
        assert_eq!(&parts[0][14..20], b"x\0\0\0\xff\xff");
        assert_eq!(&parts[1][1..11], b"T\0h\0e\0 \0q\0");
    }
}
