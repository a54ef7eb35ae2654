//! Writes one member of a package after the other.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use tar::{Entry, EntryType};

use super::claims::{Claim, Looks, permissions, split, timestamps};
use super::{Accounts, Conffiles, Diversions, Job, Root, Unpacked, Unpacker};

/// What dpkg calls a configuration file until its package is configured.
const ASIDE: &[u8] = b".dpkg-new";
/// Extended attributes in PAX headers, file capabilities among them.
const PAX_ATTRIBUTE: &str = "SCHILY.xattr.";
const BUFFER: usize = 256 << 10;
/// A package that overtakes this one may take a path twice; more often nobody is meant to.
const ATTEMPTS: u32 = 16;

type Member<'r> = Entry<'r, Box<dyn Read + Send>>;

/// Unpacks one package.
pub(super) struct Writer<'a> {
    unpacker: &'a Unpacker<'a>,
    accounts: &'a Accounts,
    diversions: &'a Diversions,
    package: String,
    rank: usize,
    placement: Conffiles,
    conffiles: BTreeSet<Vec<u8>>,
    md5sums: Option<String>,
    unpacked: Unpacked,
    /// The directory of the last member: members of one directory come together.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Directories left out, made after all if something in them is not.
    omitted: HashMap<Vec<u8>, Status>,
    buffer: Vec<u8>,
}

/// What a member's header says.
#[derive(Debug, Clone, Copy)]
struct Status {
    mode: u32,
    user: u32,
    group: u32,
    modified: i64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        unpacker: &'a Unpacker<'a>,
        job: &Job<'_>,
        placement: Conffiles,
        accounts: &'a Accounts,
        diversions: &'a Diversions,
    ) -> Self {
        let conffiles = crate::deb::database::conffile_paths(job.archive);
        let has_md5sums = job.archive.control_file("md5sums").is_some();
        let unpacked = Unpacked {
            // What the package names and does not bring is listed all the same, as dpkg does.
            conffiles: conffiles.iter().map(|path| (path.clone(), None)).collect(),
            ..Unpacked::default()
        };
        Self {
            unpacker,
            accounts,
            diversions,
            package: job.archive.package().to_owned(),
            rank: job.rank,
            placement,
            conffiles,
            md5sums: (!has_md5sums).then(String::new),
            unpacked,
            parent: None,
            omitted: HashMap::new(),
            buffer: vec![0; BUFFER],
        }
    }

    pub(super) fn finish(self) -> Unpacked {
        Unpacked {
            md5sums: self.md5sums,
            ..self.unpacked
        }
    }

    /// Writes a member and notes its path.
    pub(super) fn write(&mut self, entry: &mut Member<'_>) -> Result<()> {
        let name = clean(&entry.path_bytes())?;
        let show = || format!("`/{}`", String::from_utf8_lossy(&name));
        self.write_named(entry, &name).with_context(show)
    }

    fn write_named(&mut self, entry: &mut Member<'_>, name: &[u8]) -> Result<()> {
        let listed = if name.is_empty() {
            b"/.".to_vec()
        } else {
            [b"/", name].concat()
        };
        self.unpacked.list.push(listed.clone());
        let status = self.status(entry)?;
        let kind = entry.header().entry_type();
        if self.unpacker.filter.excludes(&listed) {
            if kind.is_dir() {
                self.omitted.insert(name.to_vec(), status);
            }
            return Ok(());
        }
        if name.is_empty() {
            // The root itself is the caller's.
            return Ok(());
        }
        let placed = self.diversions.target(&listed, &self.package);
        let placed = placed.map_or(name, |target| target.strip_prefix(b"/").unwrap_or(target));
        let is_top_level_link = kind.is_symlink() && !placed.contains(&b'/');
        let path = if is_top_level_link {
            // `/bin` itself, not what it leads to.
            placed.to_vec()
        } else {
            self.unpacker.root.canonical(placed)?
        };
        if kind.is_dir() {
            return self.directory(&path, status);
        }
        self.make_parents(split(name).0)?;
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                self.regular(entry, &path, &listed, status)
            }
            EntryType::Link => self.hard_link(entry, &path, &listed),
            EntryType::Symlink => self.symbolic_link(entry, &path, &listed, status),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.special(entry, &path, &listed, status)
            }
            other => bail!("members of the type {other:?} are not part of a package"),
        }
    }

    fn status(&self, entry: &Member<'_>) -> Result<Status> {
        let header = entry.header();
        let (user, group) = (header.username_bytes(), header.groupname_bytes());
        Ok(Status {
            mode: header.mode()?,
            user: self.accounts.user(user, header.uid()?),
            group: self.accounts.group(group, header.gid()?),
            modified: header.mtime()? as i64,
        })
    }

    fn directory(&mut self, path: &[u8], status: Status) -> Result<()> {
        let (unpacker, rank) = (self.unpacker, self.rank);
        let looks = match self.placement {
            Conffiles::InPlace => Looks::Last,
            Conffiles::Aside => Looks::First,
        };
        let root = &unpacker.root;
        let (parent, name) = split(path);
        if name.is_empty() {
            return Ok(());
        }
        let parent = self.open_parent(parent)?;
        let mut make = || match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => Ok(true),
            // An existing directory, or a link to one, stays as it is.
            Err(Errno::EXIST) if root.is_directory(path) => Ok(false),
            Err(Errno::EXIST) => bail!("something else than a directory is there"),
            Err(error) => Err(io::Error::from(error)).context("making the directory"),
        };
        let mut apply = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(parent, name, flags, Mode::empty())
                .map_err(io::Error::from)
                .context("opening the directory")?;
            set_looks(&directory, status)
        };
        unpacker
            .claims
            .directory(path, rank, status.modified, looks, &mut make, &mut apply)
    }

    /// Makes the directories that were left out and are needed after all.
    fn make_parents(&mut self, name: &[u8]) -> Result<()> {
        if self.omitted.is_empty() || name.is_empty() {
            return Ok(());
        }
        self.make_parents(split(name).0)?;
        let Some(status) = self.omitted.remove(name) else {
            return Ok(());
        };
        let path = self.unpacker.root.canonical(name)?;
        self.directory(&path, status)
    }

    fn open_parent(&mut self, path: &[u8]) -> Result<&OwnedFd> {
        let is_open = self.parent.as_ref().is_some_and(|(open, _)| open == path);
        if !is_open {
            let parent = self.unpacker.root.directory(path).map_err(io::Error::from);
            let parent = parent.with_context(|| {
                format!("opening the directory /{}", String::from_utf8_lossy(path))
            })?;
            self.parent = Some((path.to_vec(), parent));
        }
        let (_, parent) = self.parent.as_ref().expect("it was just set");
        Ok(parent)
    }

    /// Claims `path` and makes something at `place`, which is the same but for configuration files; `None` if it belongs to another package.
    fn create<T>(
        &mut self,
        path: &[u8],
        place: &[u8],
        listed: &[u8],
        make: &mut dyn FnMut(&OwnedFd, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<Option<T>> {
        match self.unpacker.claims.file(path, listed, self.rank)? {
            Claim::Lost | Claim::Shared => return Ok(None),
            Claim::New | Claim::Replaces => {}
        }
        let (claims, rank) = (&self.unpacker.claims, self.rank);
        let (parent, name) = split(place);
        let parent = self.open_parent(parent)?;
        for _ in 0..ATTEMPTS {
            match make(parent, name) {
                Ok(made) => return Ok(Some(made)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if !claims.is_owner(path, rank) {
                return Ok(None);
            }
            match Root::entry_type(parent, name)? {
                Some(FileType::Directory) => bail!("trying to overwrite a directory"),
                Some(_) => match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(io::Error::from(error)).context("replacing the file"),
                },
                None => {}
            }
        }
        bail!("the path changes again and again")
    }

    fn regular(
        &mut self,
        entry: &mut Member<'_>,
        path: &[u8],
        listed: &[u8],
        status: Status,
    ) -> Result<()> {
        let is_conffile = self.conffiles.contains(listed);
        let place = if is_conffile {
            self.conffile_place(path)?
        } else {
            path.to_vec()
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let created = self.create(path, &place, listed, &mut |parent, name| {
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
        })?;
        let Some(file) = created else {
            return Ok(());
        };
        let file = std::fs::File::from(file);
        let wants_digest = is_conffile || self.md5sums.is_some();
        let digest = self.copy(entry, &file, wants_digest)?;
        set_looks(&file, status)?;
        set_attributes(&file, entry)?;
        rustix::fs::futimens(&file, &timestamps(status.modified)).map_err(io::Error::from)?;
        if let (Some(text), Some(digest)) = (&mut self.md5sums, &digest)
            && !is_conffile
        {
            let name = String::from_utf8_lossy(&listed[1..]);
            text.push_str(&format!("{digest}  {name}\n"));
        }
        if is_conffile && place == path {
            self.unpacked.conffiles.insert(listed.to_vec(), digest);
        }
        Ok(())
    }

    /// A configuration file that is there already is left for dpkg to decide on.
    fn conffile_place(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        let (parent, name) = split(path);
        let parent = self.open_parent(parent)?;
        let is_free = Root::entry_type(parent, name)?.is_none();
        Ok(match self.placement {
            Conffiles::InPlace if is_free => path.to_vec(),
            _ => [path, ASIDE].concat(),
        })
    }

    fn copy(
        &mut self,
        entry: &mut Member<'_>,
        mut file: &std::fs::File,
        wants_digest: bool,
    ) -> Result<Option<String>> {
        let mut digest = wants_digest.then(Md5::new);
        let mut written = 0;
        loop {
            let length = entry
                .read(&mut self.buffer)
                .context("the archive is damaged")?;
            if length == 0 {
                break;
            }
            file.write_all(&self.buffer[..length])
                .context("writing the file")?;
            if let Some(digest) = &mut digest {
                digest.update(&self.buffer[..length]);
            }
            written += length as u64;
        }
        ensure!(written == entry.size(), "the archive is cut short");
        self.unpacked.bytes += written;
        Ok(digest.map(|digest| hexadecimal(&digest.finalize())))
    }

    fn hard_link(&mut self, entry: &Member<'_>, path: &[u8], listed: &[u8]) -> Result<()> {
        let target = entry
            .link_name_bytes()
            .context("a hard link has no target")?;
        let target = clean(&target)?;
        let listed_target = [b"/", target.as_slice()].concat();
        if self.unpacker.filter.excludes(&listed_target) {
            bail!(
                "it is a link to `/{}`, which is excluded",
                String::from_utf8_lossy(&target)
            );
        }
        let placed = self.diversions.target(&listed_target, &self.package);
        let placed = placed.map_or(target.as_slice(), |path| {
            path.strip_prefix(b"/").unwrap_or(path)
        });
        let mut target = self.unpacker.root.canonical(placed)?;
        let is_conffile = self.conffiles.contains(&listed_target);
        if is_conffile && !self.is_there(&target)? {
            target.extend_from_slice(ASIDE);
        }
        let (target_parent, target_name) = split(&target);
        let target_parent = self
            .unpacker
            .root
            .directory(target_parent)
            .map_err(io::Error::from)?;
        self.create(path, path, listed, &mut |parent, name| {
            rustix::fs::linkat(&target_parent, target_name, parent, name, AtFlags::empty())
        })
        .context("making a hard link")?;
        Ok(())
    }

    fn is_there(&mut self, path: &[u8]) -> Result<bool> {
        let (parent, name) = split(path);
        let parent = self.open_parent(parent)?;
        Ok(Root::entry_type(parent, name)?.is_some())
    }

    fn symbolic_link(
        &mut self,
        entry: &Member<'_>,
        path: &[u8],
        listed: &[u8],
        status: Status,
    ) -> Result<()> {
        let target = entry
            .link_name_bytes()
            .context("a link has no target")?
            .into_owned();
        let (parent, name) = split(path);
        let parent = self.open_parent(parent)?;
        // An existing directory stays, as with dpkg.
        if Root::entry_type(parent, name)? == Some(FileType::Directory) {
            return Ok(());
        }
        let made = self.create(path, path, listed, &mut |parent, name| {
            rustix::fs::symlinkat(target.as_slice(), parent, name)
        })?;
        if made.is_some() {
            self.set_looks_by_name(path, status)?;
        }
        if split(path).0.is_empty() {
            self.unpacker.root.find_aliases()?;
        }
        Ok(())
    }

    fn special(
        &mut self,
        entry: &Member<'_>,
        path: &[u8],
        listed: &[u8],
        status: Status,
    ) -> Result<()> {
        let header = entry.header();
        let kind = match header.entry_type() {
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = if kind == FileType::Fifo {
            0
        } else {
            let (major, minor) = (header.device_major()?, header.device_minor()?);
            rustix::fs::makedev(major.unwrap_or(0), minor.unwrap_or(0))
        };
        let made = self
            .create(path, path, listed, &mut |parent, name| {
                rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)
            })
            .context("making a special file")?;
        if made.is_some() {
            self.set_looks_by_name(path, status)?;
            let (parent, name) = split(path);
            let parent = self.open_parent(parent)?;
            rustix::fs::chmodat(parent, name, permissions(status.mode), AtFlags::empty())
                .map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// Owner and time of what can not be opened.
    fn set_looks_by_name(&mut self, path: &[u8], status: Status) -> Result<()> {
        let (parent, name) = split(path);
        let parent = self.open_parent(parent)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let (user, group) = (Uid::from_raw(status.user), Gid::from_raw(status.group));
        rustix::fs::chownat(parent, name, Some(user), Some(group), flags)
            .and_then(|()| rustix::fs::utimensat(parent, name, &timestamps(status.modified), flags))
            .map_err(io::Error::from)
            .context("setting owner and time")
    }
}

/// Owner before mode: a new owner takes the setuid bit away.
fn set_looks(file: impl AsFd, status: Status) -> Result<()> {
    let (user, group) = (Uid::from_raw(status.user), Gid::from_raw(status.group));
    rustix::fs::fchown(&file, Some(user), Some(group))
        .and_then(|()| rustix::fs::fchmod(&file, permissions(status.mode)))
        .map_err(io::Error::from)
        .context("setting owner and mode")
}

fn set_attributes(file: &std::fs::File, entry: &mut Member<'_>) -> Result<()> {
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(());
    };
    for extension in extensions {
        let extension = extension?;
        let Some(name) = extension.key()?.strip_prefix(PAX_ATTRIBUTE) else {
            continue;
        };
        rustix::fs::fsetxattr(file, name, extension.value_bytes(), XattrFlags::empty())
            .map_err(io::Error::from)
            .with_context(|| format!("setting the attribute `{name}`"))?;
    }
    Ok(())
}

/// The path of a member without `./` before and `/` after it; one that would leave the tree is an error.
fn clean(path: &[u8]) -> Result<Vec<u8>> {
    let mut cleaned = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => bail!(
                "the member `{}` leads out of the tree",
                String::from_utf8_lossy(path)
            ),
            name => {
                ensure!(
                    !name.contains(&b'\n'),
                    "the member {:?} has a line break in its name",
                    String::from_utf8_lossy(path)
                );
                if !cleaned.is_empty() {
                    cleaned.push(b'/');
                }
                cleaned.extend_from_slice(name);
            }
        }
    }
    Ok(cleaned)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text += &format!("{byte:02x}");
        text
    })
}
