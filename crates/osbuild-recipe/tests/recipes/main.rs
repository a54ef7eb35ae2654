//! Recipes from the outside: what is refused, what they become, and the samples.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod bad_recipes;
mod host_repositories;
mod locks;
mod manifests;
mod odd_recipes;
mod samples;
mod support;
