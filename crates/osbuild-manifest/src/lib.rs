//! Manifest text to checked, resolved manifest. A crate of its own for direction: it is pure, nothing in it touches
//! a disk, a terminal or a network, and everything else stands on it.
//!
//! A manifest goes through these modules in order:
//!
//! | module | takes | gives |
//! |---|---|---|
//! | [`document`] | text | a [`value::Value`] and the place of everything in it |
//! | [`validate`] | value, modules | all errors, each with its path |
//! | [`resolve`] | valid value, modules | a [`manifest::Manifest`]: pipelines, ids, references |
//! | [`inspect`] | manifest | what `--inspect` prints |
//!
//! Beneath them: [`value`] and [`json`] do with JSON what Python does, since ids are digests of Python's JSON
//! text; [`schema`] checks a value against a draft-4 schema in the words of python-jsonschema; [`module`] says what
//! is known of a stage, source, input, device or mount, and [`module_guide`] tells it to a person.

pub mod checkpoint;
pub mod document;
mod formats;
pub mod identifier;
pub mod inspect;
pub mod json;
pub mod manifest;
pub mod module;
pub mod module_guide;
pub mod module_metadata;
mod python_metadata;
pub mod resolve;
pub mod runner;
pub mod schema;
pub mod suggestion;
pub mod validate;
pub mod value;
