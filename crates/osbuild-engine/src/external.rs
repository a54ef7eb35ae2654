//! Modules that are files of a library directory: upstream's, in Python, and those of others.
//!
//! | module | does |
//! |---|---|
//! | [`python_package`] | finds the Python package that such modules import |

pub(crate) mod python_package;
