//! Reads a tar archive, compressed or not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use tar::EntryType;

use crate::tree::{
    Entry, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, Tree, read_content,
};

/// The prefix of pax records that hold extended attributes, as GNU tar and bsdtar write them.
const PAX_ATTRIBUTE: &str = "SCHILY.xattr.";

/// Where the magic number of a tar header stands (POSIX `ustar`).
const TAR_MAGIC_OFFSET: u64 = 257;

/// Tells whether a file looks like a tar archive, or like something compressed, which then has to be one.
pub(crate) fn is_archive(file: &mut fs_err::File) -> Result<bool> {
    let mut start = [0; 6];
    file.seek(SeekFrom::Start(0))?;
    let length = read_up_to(file, &mut start)?;
    let mut magic = [0; 5];
    file.seek(SeekFrom::Start(TAR_MAGIC_OFFSET))?;
    let magic_length = read_up_to(file, &mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(compression(&start[..length]).is_some() || &magic[..magic_length] == b"ustar")
}

fn read_up_to(file: &mut fs_err::File, buffer: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        let count = file.read(&mut buffer[length..])?;
        if count == 0 {
            break;
        }
        length += count;
    }
    Ok(length)
}

#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

fn compression(start: &[u8]) -> Option<Compression> {
    match start {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Compression::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [b'B', b'Z', b'h', ..] => Some(Compression::Bzip2),
        _ => None,
    }
}

/// Reads every entry of the archive.
///
/// # Errors
/// It is damaged, or ends too soon.
pub(crate) fn read(file: fs_err::File) -> Result<Tree> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let compression = compression(reader.fill_buf()?);
    let content: Box<dyn Read> = match compression {
        None => Box::new(reader),
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Some(Compression::Xz) => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(reader)),
        Some(Compression::Zstd) => Box::new(zstd::Decoder::with_buffer(reader)?),
        Some(Compression::Bzip2) => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
    };
    read_entries(tar::Archive::new(content))
}

fn read_entries(mut archive: tar::Archive<Box<dyn Read>>) -> Result<Tree> {
    let mut tree = Tree::default();
    for member in archive.entries()? {
        let mut member = member.context("reading the next member")?;
        let path = normal(&member.path()?);
        read_member(&mut tree, &path, &mut member)
            .with_context(|| format!("reading member `{}`", path.display()))?;
    }
    Ok(tree)
}

fn read_member(
    tree: &mut Tree,
    path: &Path,
    member: &mut tar::Entry<'_, Box<dyn Read>>,
) -> Result<()> {
    let kind = member.header().entry_type();
    if kind == EntryType::Link {
        let first = member.link_name()?.context("a hard link to nothing")?;
        let first = normal(&first);
        let entry = tree.entries.get(&first).cloned();
        let entry = entry.with_context(|| {
            format!(
                "a hard link to `{}`, which did not come before",
                first.display()
            )
        })?;
        tree.entries.insert(path.to_owned(), entry);
        return Ok(());
    }
    let header = member.header();
    let mut entry = Entry {
        mode: header.mode()? & 0o7777,
        uid: u32::try_from(header.uid()?).context("the owner is too large")?,
        gid: u32::try_from(header.gid()?).context("the group is too large")?,
        ..Entry::default()
    };
    entry.mode |= match kind {
        EntryType::Directory => S_IFDIR,
        EntryType::Symlink => S_IFLNK,
        EntryType::Char => S_IFCHR,
        EntryType::Block => S_IFBLK,
        EntryType::Fifo => S_IFIFO,
        _ => S_IFREG,
    };
    if matches!(kind, EntryType::Char | EntryType::Block) {
        let major = header.device_major()?.unwrap_or_default();
        entry.device = Some((major, header.device_minor()?.unwrap_or_default()));
    }
    entry.attributes = attributes(member)?;
    entry.target = match kind {
        EntryType::Symlink => member.link_name()?.map(std::borrow::Cow::into_owned),
        _ => None,
    };
    if entry.is_file() {
        entry.size = member.size();
        let (digest, content) = read_content(path, entry.size, member)?;
        entry.digest = Some(digest);
        if let Some(content) = content {
            tree.contents.insert(path.to_owned(), content);
        }
    }
    tree.entries.insert(path.to_owned(), entry);
    Ok(())
}

fn attributes(member: &mut tar::Entry<'_, Box<dyn Read>>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let Some(records) = member.pax_extensions()? else {
        return Ok(BTreeMap::new());
    };
    let mut attributes = BTreeMap::new();
    for record in records {
        let record = record?;
        if let Some(name) = record
            .key()
            .ok()
            .and_then(|key| key.strip_prefix(PAX_ATTRIBUTE))
        {
            attributes.insert(name.as_bytes().to_vec(), record.value_bytes().to_vec());
        }
    }
    Ok(attributes)
}

/// Takes `./`, `/` and `..` out of a path: it only names an entry here, nothing is ever opened by it.
fn normal(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| matches!(component, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn archive(write: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        write(&mut builder);
        builder.into_inner().unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Tree> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read(fs_err::File::open(file.path()).unwrap())
    }

    fn hello(builder: &mut tar::Builder<Vec<u8>>) {
        let mut header = tar::Header::new_gnu();
        header.set_size(7);
        header.set_mode(0o640);
        header.set_uid(5);
        header.set_gid(0);
        builder
            .append_data(&mut header, "./etc/hostname", &b"debian\n"[..])
            .unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(EntryType::Link);
        link.set_size(0);
        builder
            .append_link(&mut link, "etc/again", "./etc/hostname")
            .unwrap();
    }

    #[test]
    fn compressed_or_not_the_entries_are_the_same() {
        let plain = archive(hello);
        let tree = read_bytes(&plain).unwrap();
        let entry = &tree.entries[Path::new("etc/hostname")];
        assert_eq!((entry.mode, entry.uid, entry.size), (0o100_640, 5, 7));
        assert_eq!(&tree.entries[Path::new("etc/again")], entry);
        assert_eq!(tree.text("etc/hostname").as_deref(), Some("debian\n"));
        let compressed = zstd::encode_all(&plain[..], 1).unwrap();
        assert_eq!(read_bytes(&compressed).unwrap(), tree);
    }

    #[test]
    fn an_archive_that_ends_too_soon_is_an_error() {
        let plain = archive(hello);
        assert!(read_bytes(&plain[..515]).is_err());
    }
}
