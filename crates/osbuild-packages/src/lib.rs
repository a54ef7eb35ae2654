//! Package archives and repositories: verify, unpack, solve.
