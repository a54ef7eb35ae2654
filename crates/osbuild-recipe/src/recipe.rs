//! What a recipe says, checked and with every default filled in.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::distribution::{Architecture, PackageKind, Release};
use crate::problem::Place;
use crate::size::Size;

/// A recipe: the system a person wants and the files to make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The recipe's file; relative paths in it start from its folder.
    pub path: PathBuf,
    /// Names the recipe in derived identifiers and file names.
    pub name: String,
    /// Distribution and release of the system.
    pub release: Release,
    /// Architecture of the system.
    pub architecture: Architecture,
    /// Where packages come from; empty means the host's own apt configuration, and is never so for RPM packages.
    pub repositories: Vec<Repository>,
    /// What to install.
    pub packages: Packages,
    /// Groups to create.
    pub groups: Vec<Group>,
    /// Users to create or change.
    pub users: Vec<User>,
    /// Name of the system.
    pub hostname: Option<String>,
    /// Language, such as `en_GB.UTF-8`.
    pub locale: Option<String>,
    /// Time zone, such as `Europe/Berlin`.
    pub timezone: Option<String>,
    /// Keyboard layout and variant.
    pub keymap: Option<Keymap>,
    /// Units to enable, disable and mask.
    pub services: Services,
    /// Files to put into the system.
    pub files: Vec<FileEntry>,
    /// The kernel, in recipes that make a disk or name one.
    pub kernel: Option<Kernel>,
    /// The disk, in recipes that make one.
    pub disk: Option<Disk>,
    /// What to make of the system.
    pub outputs: Vec<Output>,
    /// Where the tools that make file systems and images come from.
    pub build: BuildRoot,
}

impl Recipe {
    /// The folder that relative paths in the recipe start from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The kind of its packages.
    pub fn package_kind(&self) -> PackageKind {
        self.release.packages()
    }

    /// The word that its packages have for its architecture.
    pub fn architecture_word(&self) -> &'static str {
        self.architecture.word_for(self.package_kind())
    }

    /// What is doubtful about the recipe but no error.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let starts = self
            .disk
            .as_ref()
            .is_some_and(|disk| disk.firmware.is_some());
        if starts && !self.users.iter().any(User::can_log_in) {
            warnings.push("nobody can log in: no user has a `password` or `ssh-keys`".to_owned());
        }
        if self.architecture != Architecture::host() {
            warnings.push(format!(
                "packages for {} run their scripts here only where the kernel can run its programs",
                self.architecture_word()
            ));
        }
        warnings
    }
}

impl User {
    fn can_log_in(&self) -> bool {
        let has_password = self
            .password
            .as_ref()
            .is_some_and(|hash| !hash.starts_with(['*', '!']));
        has_password || !self.ssh_keys.is_empty()
    }
}

/// One place packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Base addresses with the same content, the preferred one first.
    pub mirrors: Vec<String>,
    /// Suites to read, such as `bookworm` and `bookworm-updates`; none in RPM repositories.
    pub suites: Vec<String>,
    /// Components of each suite; none in RPM repositories.
    pub components: Vec<String>,
    /// File with the keys that may sign the suites, or each RPM package; absolute, or relative to the recipe.
    pub keyring: PathBuf,
    /// Where the recipe names it.
    pub place: Place,
}

/// What to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// What is installed before anything is asked for; none where packages have no priorities.
    pub base: Option<Base>,
    /// Names to install, each perhaps with `=` and an exact version.
    pub include: Vec<String>,
    /// Names that must not be installed.
    pub exclude: Vec<String>,
}

/// The packages a system begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Only packages marked essential.
    Essential,
    /// Essential packages and apt.
    Apt,
    /// Also every package of priority `required`.
    Required,
    /// Also every package of priority `important`.
    Important,
    /// Also every package of priority `standard`.
    Standard,
}

/// A group to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number, when it matters.
    pub gid: Option<u32>,
    /// Where the recipe names it.
    pub place: Place,
}

/// A user to create or change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User number, when it matters.
    pub uid: Option<u32>,
    /// Number of the primary group, when it matters.
    pub gid: Option<u32>,
    /// Full name or remark.
    pub description: Option<String>,
    /// Home directory.
    pub home: Option<String>,
    /// Login shell.
    pub shell: Option<String>,
    /// Password as crypt(3) returns it.
    pub password: Option<String>,
    /// Public keys that may log in.
    pub ssh_keys: Vec<String>,
    /// Further groups.
    pub groups: Vec<String>,
    /// What the user may do through sudo.
    pub sudo: Sudo,
    /// Where the recipe names it.
    pub place: Place,
}

/// What a user may do through sudo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sudo {
    /// Nothing beyond what the groups give.
    No,
    /// Every command, after the user's password.
    WithPassword,
    /// Every command, without a password.
    WithoutPassword,
}

/// Keyboard layout of console and desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    /// XKB layout, such as `de`.
    pub layout: String,
    /// XKB variant, such as `nodeadkeys`.
    pub variant: Option<String>,
}

/// Units of systemd and what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Units that start with the system.
    pub enable: Vec<String>,
    /// Units that do not start with the system.
    pub disable: Vec<String>,
    /// Units that cannot be started at all.
    pub mask: Vec<String>,
    /// The target the system boots into.
    pub target: Option<String>,
}

/// A file or directory to put into the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Absolute path in the system.
    pub path: String,
    /// What is put there.
    pub content: Content,
    /// Permission bits; 0644 for files and 0755 for directories unless told.
    pub mode: u32,
    /// Owner, root unless told.
    pub owner: Option<Account>,
    /// Group, root unless told.
    pub group: Option<Account>,
    /// Where the recipe names it.
    pub place: Place,
}

/// A user or group, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// By name.
    Name(String),
    /// By number.
    Number(u32),
}

/// What is put at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(String),
    /// The content of a file of the host; absolute, or relative to the recipe.
    Source(PathBuf),
    /// A symbolic link to this target.
    Link(String),
    /// A directory.
    Directory,
}

/// The kernel and its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The package that brings it; `None` installs no kernel.
    pub package: Option<String>,
    /// Arguments beyond `root=`.
    pub command_line: Vec<String>,
}

/// A disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Kind of partition table.
    pub table: PartitionTable,
    /// Whole size, when it is fixed.
    pub size: Option<Size>,
    /// How it starts.
    pub firmware: Option<Firmware>,
    /// Seconds the boot menu waits.
    pub menu_timeout: u32,
    /// Partitions in the order of their place on the disk.
    pub partitions: Vec<Partition>,
}

impl Disk {
    /// Every partition with a file system, in the order of the disk.
    pub fn file_systems(&self) -> impl Iterator<Item = (&Partition, &FileSystem)> {
        self.partitions
            .iter()
            .filter_map(|partition| Some((partition, partition.role.file_system()?)))
    }

    /// Whether it starts under BIOS.
    pub fn has_bios(&self) -> bool {
        self.firmware.is_some_and(Firmware::has_bios)
    }

    /// Whether it starts under UEFI.
    pub fn has_uefi(&self) -> bool {
        self.firmware.is_some_and(Firmware::has_uefi)
    }
}

impl PartitionRole {
    /// The file system it holds, if any.
    pub fn file_system(&self) -> Option<&FileSystem> {
        match self {
            Self::Esp(system) | Self::FileSystem(system) => Some(system),
            Self::BiosBoot | Self::Swap => None,
        }
    }
}

/// Kind of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionTable {
    /// GUID partition table.
    Gpt,
    /// The DOS table in the master boot record.
    Mbr,
}

/// The firmware a disk starts under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
    /// Either.
    Both,
}

impl Firmware {
    /// Whether a disk for it starts under BIOS.
    pub fn has_bios(self) -> bool {
        matches!(self, Self::Bios | Self::Both)
    }

    /// Whether a disk for it starts under UEFI.
    pub fn has_uefi(self) -> bool {
        matches!(self, Self::Uefi | Self::Both)
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Unique within the disk; the GPT label.
    pub name: String,
    /// What it is for.
    pub role: PartitionRole,
    /// How large it is.
    pub size: PartitionSize,
    /// Where the recipe names it; the recipe's disk when it was added for the boot loader.
    pub place: Place,
}

/// What a partition is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionRole {
    /// Space for GRUB's image under BIOS with GPT.
    BiosBoot,
    /// The EFI system partition.
    Esp(FileSystem),
    /// A file system.
    FileSystem(FileSystem),
    /// Swap space.
    Swap,
}

/// A file system and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind.
    pub kind: FileSystemKind,
    /// Absolute mount point.
    pub mountpoint: String,
    /// Its label.
    pub label: Option<String>,
    /// Mount options.
    pub options: Option<String>,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystemKind {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// FAT, as firmware reads it.
    Fat,
}

impl FileSystemKind {
    /// The word for it in recipes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Fat => "fat",
        }
    }
}

/// How large a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionSize {
    /// Exactly this.
    Fixed(Size),
    /// What its content needs and this much free space; the rest of the disk when that has a size.
    Fit {
        /// Space left free.
        free: Size,
    },
}

/// A file or directory to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its format.
    pub format: OutputFormat,
    /// Its name in the output folder.
    pub file_name: String,
    /// Whether a qcow2 image is compressed; it is smaller then, and takes longer to make.
    pub compress: bool,
    /// Where the recipe names it.
    pub place: Place,
}

/// A format of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputFormat {
    /// QEMU's copy-on-write image.
    Qcow2,
    /// `VMware`'s disk image.
    Vmdk,
    /// `VirtualBox`'s disk image.
    Vdi,
    /// `Hyper-V`'s disk image.
    Vhdx,
    /// The disk byte for byte.
    Raw,
    /// The same, compressed by xz.
    RawXz,
    /// The same, compressed by zstd.
    RawZst,
    /// A tar archive of the root file system.
    Tar,
    /// The same, compressed by gzip.
    TarGz,
    /// The same, compressed by xz.
    TarXz,
    /// The same, compressed by zstd.
    TarZst,
    /// The root file system as a directory.
    Directory,
}

impl OutputFormat {
    /// Every format and the word for it in recipes, which is also the usual ending of a file name.
    pub const ALL: [(&'static str, Self); 12] = [
        ("qcow2", Self::Qcow2),
        ("vmdk", Self::Vmdk),
        ("vdi", Self::Vdi),
        ("vhdx", Self::Vhdx),
        ("raw", Self::Raw),
        ("raw.xz", Self::RawXz),
        ("raw.zst", Self::RawZst),
        ("tar", Self::Tar),
        ("tar.gz", Self::TarGz),
        ("tar.xz", Self::TarXz),
        ("tar.zst", Self::TarZst),
        ("directory", Self::Directory),
    ];

    /// The word for it in recipes.
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, format)| *format == self)
            .map(|(word, _)| *word)
            .expect("every format is in the table")
    }

    /// Whether it is made of a disk rather than of the root file system.
    pub fn needs_disk(self) -> bool {
        self < Self::Tar
    }
}

/// Where the tools that make file systems and images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildRoot {
    /// A pipeline of the target distribution.
    Own,
    /// The host's `/usr`.
    Host,
}
