//! Modules that run on the host, in process: sources, inputs, devices, mounts.
