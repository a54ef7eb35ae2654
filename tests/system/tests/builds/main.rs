//! Real builds with the real program: bad input, broken surroundings, interruption, and the results of
//! what goes well.
//!
//! `OSBUILD_BINARY` names the program; without it the debug build of this checkout is taken.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests are test code, too"
)]

use osbuild_system_tests::{manifests, workplace};

mod archived_tree;

mod accounts;
mod assemblers;
mod bad_documents;
mod bad_mirrors;
mod bad_packages;
mod cache;
mod cache_command;
mod checkpoints;
mod explanations;
mod exports;
mod failing_stages;
mod foreign_modules;
mod foreign_services;
mod full_disk;
mod interruption;
mod missing_means;
mod resume;
mod scripts;
mod sharing;
mod shells;
mod supplies;
