//! Real builds in a real sandbox, and what they built booted.
//!
//! A crate of its own because it runs elsewhere: its tests build whole images as root and need minutes, so
//! `make unit` leaves it out and `make system` runs it. This library is what its test programs share.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod leftovers;
pub mod manifests;
pub mod workplace;
