//! Writes the dpkg database of a tree.
