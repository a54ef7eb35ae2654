//! Runs a program shut in a build root; the only unsafe code.
