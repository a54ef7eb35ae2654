//! Modules that run inside the sandbox: stages, assemblers, runners.
