//! All that a stage may use: its context, its tree, its commands.
