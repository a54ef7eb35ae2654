//! Test support: needs, temporary stores, servers, tree comparison.
