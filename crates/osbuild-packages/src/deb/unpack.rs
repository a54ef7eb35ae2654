//! Unpacks the files of packages into a tree.
