//! What a sandbox looks like, as plain data.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::capability::CapabilitySet;

/// Everything that decides what a program in a sandbox can see and do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The file system, put together in this order: a later entry may cover an earlier one.
    pub entries: Vec<Entry>,
    /// The whole environment, in order; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// The capabilities of the program; all others are gone for good.
    pub capabilities: CapabilitySet,
    /// What network there is.
    pub network: Network,
    /// The program, as it is called inside, and its arguments.
    pub command: Vec<OsString>,
}

/// One step in putting together the file system of a sandbox. Every `target` is an absolute path inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Shows a file or directory of the host, with all that is mounted below it.
    Bind {
        /// Where it is on the host.
        source: PathBuf,
        /// Where it is shown.
        target: PathBuf,
        /// What may be done with it.
        access: Access,
        /// Whether it must exist.
        presence: Presence,
    },
    /// Makes a symbolic link.
    Symlink {
        /// What the link says.
        content: PathBuf,
        /// Where the link is.
        target: PathBuf,
    },
    /// Makes a directory, mode 0755, unless there is one.
    Directory {
        /// Where.
        target: PathBuf,
    },
    /// Mounts an empty file system in memory, mode 0755.
    Tmpfs {
        /// Where.
        target: PathBuf,
    },
    /// Mounts the process file system, with its system-wide switches read-only.
    Proc {
        /// Where.
        target: PathBuf,
    },
}

/// What may be done with a bind mount; set-user-id programs and, but for [`Access::Device`], device nodes never work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
    /// Reading, writing, and opening device nodes.
    Device,
}

/// Whether the source of a bind mount must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is an error when the source is missing.
    Required,
    /// The entry is skipped when the source is missing.
    Optional,
}

/// What network a sandbox has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Its own, with nothing but a loopback interface that is up.
    Isolated,
    /// That of the caller.
    Host,
}
