//! Manifest to plan to outcome; no terminal, no network, no unsafe.
