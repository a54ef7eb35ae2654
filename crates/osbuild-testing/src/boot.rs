//! Boots disk images in QEMU and talks to them over the serial console.

mod accelerator;
mod console;
mod machine;
mod patience;

pub use console::Console;
pub use machine::{BootedImage, CommandResult, Firmware};
