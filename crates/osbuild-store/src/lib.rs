//! Objects, snapshots and downloads on disk: a crate of its own so that nothing else writes below the store.
//!
//! ```text
//! STORE/                    one file system; any number of builds at a time
//!   CACHEDIR.TAG            tells backup programs to leave it out
//!   cache.info              {"version": 1, "maximum-size"?: bytes or "unlimited"}
//!   cache.lock              shared lock while a store is open
//!   cache.size              bytes that all objects take, in decimal
//!   objects/ID/             a finished tree; the name is the id of the stage that finished it
//!     object.info           {"creation-boot-id", "size", "durable"}: there means complete
//!     object.lock           shared lock while it is read; its access time is that of the last use
//!     data/tree/            the tree
//!     data/meta/            info.json, and STAGEID.json for each stage that left metadata
//!   steps/KEY/              a finished tree that nobody asked to keep, or what differs from that of another step
//!   stage/uuid-…/           a tree in the making; exclusive lock on its object.lock
//!   builds/ID.json, ID.lock a build that came to no good end, to go on with; lock held while it runs
//!   sources/TYPE/CHECKSUM   downloads
//!   logs/                   output of stages
//!   tmp/NAME/, tmp/NAME.lock   scratch space of a running build; lock held as long as it is in use
//! ```
//!
//! `docs/store-format.md` explains locks, the order of writes and what survives a power cut.

mod access;
mod accounting;
mod cache_info;
mod clamp;
mod commit;
mod copy;
mod digests;
mod entry_lock;
mod export;
mod hard_links;
mod inventory;
mod layers;
mod object;
mod parallel;
mod recognize;
mod remove_tree;
mod size;
mod snapshot;
mod staging;
mod steps;
mod store;
mod survey;
mod temporary;
mod tree_builder;
mod unfinished;
mod view;
mod walk;

pub use access::{AccessError, ReadAccess, WriteAccess};
pub use accounting::replace_file;
pub use digests::Verified;
pub use export::{Ownership, Top, export, export_by_moving};
pub use inventory::{CacheEntry, EntryKind, PastStep, Prune};
pub use object::Object;
pub use remove_tree::remove_tree;
pub use size::{DEFAULT_MAXIMUM_SIZE, MaximumSize};
pub use snapshot::{ParseSnapshotterError, Snapshotter};
pub use steps::StepRecord;
pub use store::{Mounts, Store, StoreOptions};
pub use temporary::TemporaryDirectory;
pub use tree_builder::TreeBuilder;
pub use unfinished::{RememberedBuild, UnfinishedBuild};
