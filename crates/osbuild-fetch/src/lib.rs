//! URL and checksum to verified file; the only async code.
