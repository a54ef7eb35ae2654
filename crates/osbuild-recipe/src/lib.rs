//! Recipe to manifest and lock; knows distributions, calls the package solver.
