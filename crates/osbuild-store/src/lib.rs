//! Objects, snapshots and downloads on disk, safe for many processes.
