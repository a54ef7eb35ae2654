//! The boot menu in the system's tree.

use serde_json::Value;

use super::identifiers::Identifiers;
use crate::recipe::Recipe;

/// The stages that write the boot menu; none for systems that do not start from a disk.
pub(super) fn menu(_recipe: &Recipe, _identifiers: &Identifiers) -> Vec<Value> {
    Vec::new()
}
