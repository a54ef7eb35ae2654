//! Manifest to plan to outcome. A crate of its own for direction: it knows no terminal, no network and no unsafe code.
//!
//! A build goes through these modules in order:
//!
//! | module | does |
//! |---|---|
//! | [`module_catalog`] | finds the modules that a manifest names, built in or in a library directory |
//! | [`plan`] | decides what to fetch, reuse and build, as data |
//! | [`execute`] | carries a plan out: sources, then pipelines side by side |
//! | `fetch_sources` | asks every source for its items |
//! | `run_pipeline` | one tree, stage after stage |
//! | `run_stage` | one stage: services on the host, sandbox, result |
//! | [`export`] | copies finished trees to the caller |
//!
//! What happens on the way is told by [`event::Event`]s; what came of it is an [`outcome::Outcome`].
//! A failed stage is data in the outcome, not an error.

mod build_root;
mod cache_key;
mod code_digest;
mod consumers;
pub mod event;
pub mod execute;
mod experimental;
pub mod explain;
pub mod export;
mod external;
mod fetch_sources;
mod forecast;
mod growing_tree;
pub mod host_runner;
mod host_services;
pub mod module_catalog;
mod module_library;
pub mod outcome;
pub mod plan;
mod program_digest;
mod run_pipeline;
mod run_stage;
mod schedule;
pub mod shells;
mod stage_arguments;
mod stage_log;
pub mod step_cache;
