//! Entrance.
fn main() {}
