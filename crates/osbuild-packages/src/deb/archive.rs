//! Reads `.deb` archives: `ar` members and the `tar` streams inside them.
//!
//! ```text
//! !<arch>
//! debian-binary       "2.0\n"
//! control.tar[.gz|.xz|.zst]   control, md5sums, conffiles, triggers, maintainer scripts …
//! data.tar[.gz|.xz|.zst|.bz2|.lzma]   the files
//! ```
//!
//! The control members are small and read at once; the data member is a stream, unpacked when it is asked for.

mod ar;
mod compression;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::ar::Members;
pub use self::compression::Compression;
use super::control::{Stanza, stanzas};

/// No package's control members are near this; beyond it, a few bytes could fill the memory.
const LARGEST_CONTROL: u64 = 64 << 20;
/// The only format there is; a higher minor number may add members, never change these.
const FORMAT_MAJOR: &str = "2.";

/// A file of the control member: a maintainer script, `md5sums`, `conffiles` and so on.
#[derive(Debug, Clone)]
pub struct ControlFile {
    /// Its content.
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// When it was last changed, in seconds since 1970.
    pub modified: i64,
}

/// An opened package: everything but its files, which [`Self::data`] streams.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    control: String,
    control_files: BTreeMap<String, ControlFile>,
    data: Section,
}

/// Where the data member lies in the archive.
#[derive(Debug, Clone, Copy)]
struct Section {
    offset: u64,
    length: u64,
    compression: Compression,
}

impl Archive {
    /// Opens a package and reads its control member.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).with_context(|| format!("reading the package {}", path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let length = file.metadata()?.len();
        let mut members = Members::new(BufReader::new(file), length)?;
        let format = members
            .next()?
            .filter(|member| member.name == "debian-binary");
        ensure!(
            format.is_some(),
            "not a Debian package: the first member is not `debian-binary`"
        );
        let version = members.content(LARGEST_CONTROL)?;
        ensure!(
            version.starts_with(FORMAT_MAJOR.as_bytes()),
            "format {:?} of Debian packages is not known",
            String::from_utf8_lossy(&version).trim_end()
        );
        let control = members.expect("control.tar")?;
        let control_bytes = members.content(LARGEST_CONTROL)?;
        let mut control_files = read_control(&control_bytes, control.compression)
            .context("reading the control member")?;
        let data = members.expect("data.tar")?;
        let text = control_files
            .remove("control")
            .context("the control member has no file `control`")?;
        let control = match String::from_utf8(text.content) {
            Ok(text) => text,
            // Old maintainers' names may be in Latin-1; they decide nothing.
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let archive = Self {
            path: path.to_owned(),
            control,
            control_files,
            data,
        };
        archive.check_control()?;
        Ok(archive)
    }

    fn check_control(&self) -> Result<()> {
        let mut all = stanzas(&self.control);
        let stanza = all.next().context("the file `control` is empty")?;
        ensure!(
            all.next().is_none(),
            "the file `control` has more than one stanza"
        );
        stanza.check().context("reading the file `control`")?;
        for name in ["Package", "Version", "Architecture"] {
            ensure!(
                stanza.get(name).is_some_and(is_plain),
                "the file `control` has no usable field `{name}`"
            );
        }
        Ok(())
    }

    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control stanza.
    pub fn stanza(&self) -> Stanza<'_> {
        stanzas(&self.control)
            .next()
            .expect("checked when it was opened")
    }

    /// The name of the package.
    pub fn package(&self) -> &str {
        self.required("Package")
    }

    /// The version of the package.
    pub fn version(&self) -> &str {
        self.required("Version")
    }

    /// The architecture of the package, which may be `all`.
    pub fn architecture(&self) -> &str {
        self.required("Architecture")
    }

    fn required(&self, name: &str) -> &str {
        self.stanza().get(name).expect("checked when it was opened")
    }

    /// A file of the control member, other than `control`.
    pub fn control_file(&self, name: &str) -> Option<&ControlFile> {
        self.control_files.get(name)
    }

    /// Every file of the control member other than `control`, by name.
    pub fn control_files(&self) -> impl Iterator<Item = (&str, &ControlFile)> {
        self.control_files
            .iter()
            .map(|(name, file)| (name.as_str(), file))
    }

    /// The text of `control`, as the package has it.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// How many bytes the compressed files take.
    pub fn data_length(&self) -> u64 {
        self.data.length
    }

    /// How many bytes the files take when they are unpacked, as the package says.
    pub fn installed_size(&self) -> u64 {
        let kibibytes = self
            .stanza()
            .get("Installed-Size")
            .and_then(|size| size.parse::<u64>().ok());
        kibibytes.map_or(self.data.length * 8, |size| size.saturating_mul(1024))
    }

    /// Streams the `tar` of the package's files; `threads` may decode it where its format allows.
    pub fn data(&self, threads: u32) -> Result<Box<dyn Read + Send>> {
        let open = || {
            let mut file = fs_err::File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.data.offset))?;
            let reader = BufReader::with_capacity(256 << 10, file.take(self.data.length));
            self.data.compression.reader(reader, threads)
        };
        open().with_context(|| format!("reading the package {}", self.path.display()))
    }
}

/// These become file names in the dpkg database and words in its files.
fn is_plain(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.~:_".contains(&byte);
    !value.is_empty() && !value.starts_with('.') && value.bytes().all(allowed)
}

fn read_control(bytes: &[u8], compression: Compression) -> Result<BTreeMap<String, ControlFile>> {
    let reader = compression.reader(std::io::Cursor::new(bytes.to_vec()), 1)?;
    let mut archive = tar::Archive::new(reader.take(LARGEST_CONTROL));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        let name = path.strip_prefix(b"./").unwrap_or(&path);
        let name = std::str::from_utf8(name).ok().filter(|name| is_plain(name));
        let Some(name) = name.map(str::to_owned) else {
            bail!("unexpected member {:?}", String::from_utf8_lossy(&path));
        };
        let mode = entry.header().mode()? & 0o7777;
        let modified = entry.header().mtime()? as i64;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(
            name,
            ControlFile {
                content,
                mode,
                modified,
            },
        );
    }
    Ok(files)
}
