//! The same command lines through upstream osbuild and through this program.
//!
//! `OSBUILD_UPSTREAM` names a checkout of upstream, `OSBUILD_UPSTREAM_PYTHON` a Python that can run it (with
//! `jsonschema`; `python3` unless told), `OSBUILD_BINARY` this program.

pub mod answer;
pub mod generate;
pub mod programs;
pub mod random;
