//! Modules that are files of a library directory: upstream's, in Python, and those of others.
//!
//! Stages run in the sandbox and reach this program through sockets; inputs, devices, mounts and sources run on the
//! host and are called through a connection of their own.
//!
//! | module | does |
//! |---|---|
//! | [`service`] | runs a module on the host: start, call, stop |
//! | [`calls`] | what the kinds of such modules are told, and what they answer |
//! | [`protocol`] | the messages that calls and answers travel in |
//! | [`line_reader`] | what such a module prints |
//! | [`api_server`] | serves the sockets of one stage |
//! | [`stage_api`] | the socket on which a stage reports exceptions |
//! | [`loop_api`] | the socket on which a stage asks for loop devices |
//! | [`store_api`] | the socket through which inputs find trees and downloads |
//! | [`python_package`] | finds the Python package that modules import |
//! | [`lean_python`] | covers what of it is slow to import |

pub(crate) mod api_server;
pub(crate) mod calls;
pub(crate) mod lean_python;
pub(crate) mod line_reader;
pub(crate) mod loop_api;
mod protocol;
pub(crate) mod python_package;
pub(crate) mod service;
pub(crate) mod stage_api;
pub(crate) mod store_api;
