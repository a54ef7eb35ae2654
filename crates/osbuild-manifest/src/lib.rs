//! Manifest text to checked, resolved manifest; pure.
