//! Reads `.deb` archives: `ar` members and the `tar` streams inside them.
