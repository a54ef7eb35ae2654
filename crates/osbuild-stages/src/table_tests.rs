//! What holds for every stage.

use std::collections::BTreeSet;

use crate::STAGES;

#[test]
fn the_table_is_sorted_and_has_no_name_twice() {
    assert!(STAGES.is_sorted_by(|one, next| one.name < next.name));
    assert_eq!(
        STAGES.len(),
        STAGES
            .iter()
            .map(|stage| stage.name)
            .collect::<BTreeSet<_>>()
            .len()
    );
}
