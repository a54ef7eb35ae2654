//! Recipe to manifest and lock; knows distributions, calls the package solver.
//!
//! A crate of its own for direction: manifests know nothing of recipes. Data flows one way:
//!
//! ```text
//! text ── parse ──▶ Recipe ── solve ──▶ Lock
//!                     └────── compile ──┴──▶ manifest (format 2)
//! ```
//!
//! | module | does |
//! |---|---|
//! | `node`, `section` | YAML with the place of every value; mappings read key by key |
//! | `yaml_error` | what is wrong with text that is no YAML |
//! | `parse` | YAML to [`Recipe`], every error with its place |
//! | `recipe`, `size`, `distribution` | what a recipe says, and what is known of distributions |
//! | `requirement` | packages that a recipe implies |
//! | `solve`, `apt`, `rpm` | the packages of a recipe, through a [`PackageSolver`] |
//! | `lock` | the pinned packages as a file |
//! | `compile` | recipe and lock to a manifest; the same bytes every time |
//! | `build_manifest` | all of it, for the commands |

mod apt;
mod attachments;
mod base_accounts;
mod build_manifest;
mod compile;
mod distribution;
mod lock;
mod node;
mod parse;
mod problem;
mod recipe;
mod replace_file;
mod requirement;
mod rpm;
mod section;
mod size;
mod solve;
mod yaml_error;

pub use apt::{AptSolver, host_proxies};
pub use attachments::Attachments;
pub use build_manifest::{
    CompiledRecipe, LockChoice, SolveEnvironment, build_manifest, lock_recipe, read_recipe,
};
pub use compile::{Export, compile, exports};
pub use distribution::{Architecture, Distribution, PackageKind, Release};
pub use lock::{
    LOCK_VERSION, Lock, LockError, LockedPackage, LockedPackages, LockedRepository, PackageDigests,
    StaleLock, UnusableLock,
};
pub use parse::parse;
pub use problem::{Place, RecipeError, RecipeErrors};
pub use recipe::*;
pub use replace_file::replace_file;
pub use rpm::RpmSolver;
pub use size::Size;
pub use solve::{
    PackageRequest, PackageSolver, PackageSources, Solution, SolverOfKind, package_requests, solve,
};
