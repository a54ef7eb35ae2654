//! Boots disk images in QEMU and talks to them over the serial console.
//!
//! A crate of its own because it runs elsewhere: its tests build whole images as root and need minutes, so
//! `make unit` leaves it out and `make system` runs it.

mod accelerator;
mod console;
mod machine;
mod patience;

pub use console::Console;
pub use machine::{BootedImage, CommandResult, Firmware};
