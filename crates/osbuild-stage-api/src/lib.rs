//! All that a stage may use: its context, its tree, its commands.
//!
//! A crate of its own because of what it keeps out: a stage runs inside the sandbox, in a foreign build root, and
//! must not reach for the engine, the store or the network.
//!
//! * [`stage`]: what a stage is, and how one is run inside the sandbox
//! * [`context`]: what the engine gives it: options, inputs, devices, mounts
//! * [`location`]: `tree:///x`, `mount://name/x`, `input://name/x`
//! * [`tree_root`]: files below a root that hostile links can not leave
//! * [`command`], [`chroot`]: programs of the build root, and of the tree
//! * [`error`]: the last line of a failing stage
//! * [`option_shape`]: which options a stage reads, to hold against its schema
//! * [`accounts`]: users and groups, read without the C library

pub mod accounts;
mod arguments_document;
pub mod chroot;
pub mod command;
pub mod context;
pub mod error;
pub mod location;
pub mod option_shape;
pub mod output;
pub mod program_package;
pub mod stage;
pub mod tree_root;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use chroot::Chroot;
pub use command::{Command, CommandFailed};
pub use context::StageContext;
pub use error::{ExitWith, StageError};
pub use location::Location;
pub use output::Output;
pub use stage::{NoOptions, StageModule, run_stage};
pub use tree_root::TreeRoot;
