//! Runs a program shut in a build root, and mounts what it needs: a crate of its own as the fence around all unsafe code.
//!
//! | module | does |
//! |---|---|
//! | [`build_root`] | decides, as data, what a stage sees: [`build_root::build_root_spec`] |
//! | [`spec`] | that data: [`SandboxSpec`] |
//! | [`executor`] | carries a spec out, by [`bubblewrap`] or by own [`namespaces`] |
//! | [`init`] | the other half of [`namespaces`]: process 1 of the sandbox, this program run again |
//! | `supervise` | reads output, watches time and [`CancelToken`] until the sandbox is gone |
//! | [`device_directory`], [`mount`], [`overlay`], [`loop_device`] | guards that undo themselves when dropped |
//! | [`privilege`] | tells in words what is missing when mounts are not allowed |
//! | [`terminal_shell`] | lets the user look around in a sandbox |
//! | [`descriptor`] | takes descriptors that the caller of this program left open |
//! | [`interruption`] | leaves signals to whoever started this program |
//! | [`file_lock`] | open-file-description locks |
//! | [`packet_socket`], [`host_process`] | how foreign modules are talked to, and how those on the host are run |
//! | `syscalls` | the only `unsafe` of the workspace |
//!
//! A program that wants the fast executor calls [`init::main_if_requested`] before anything else in its `main`.

pub mod bubblewrap;
pub mod build_root;
pub mod cancel;
pub mod capability;
pub mod descriptor;
pub mod device_directory;
pub mod executor;
pub mod file_lock;
pub mod host_process;
pub mod init;
pub mod interruption;
pub mod loop_device;
pub mod mount;
pub mod namespaces;
pub mod overlay;
pub mod packet_socket;
pub mod privilege;
pub mod spec;
mod supervise;
mod syscalls;
pub mod terminal_shell;
mod wire;

pub use build_root::{BuildRootRequest, build_root_spec};
pub use cancel::CancelToken;
pub use capability::{Capability, CapabilitySet};
pub use device_directory::DeviceDirectory;
pub use executor::{Executor, Finished, Limits, Reason, run};
pub use host_process::{HostProcess, HostProgram};
pub use loop_device::{LoopDevice, LoopOptions};
pub use mount::enter_private_mount_namespace;
pub use packet_socket::{Packet, PacketListener, PacketSocket};
pub use spec::{Access, Entry, Network, Presence, SandboxSpec};
