//! Files of settings, one in a line.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::TreeRoot;

/// Changes settings of a file that must be there; see [`apply`].
pub(crate) fn change_file(
    tree: &TreeRoot,
    path: &str,
    separator: &str,
    changes: IndexMap<String, String>,
    key: fn(&str) -> String,
) -> Result<()> {
    let before = tree.read_to_string(path)?;
    tree.write(path, apply(&before, separator, changes, key))
}

/// Changes the first line of each setting, keeping its spelling, and adds those that no line has.
///
/// `key` turns a name into what names are compared by. A line counts if it has the separator once.
fn apply(
    text: &str,
    separator: &str,
    mut changes: IndexMap<String, String>,
    key: fn(&str) -> String,
) -> String {
    let mut result = String::new();
    for line in text.split_inclusive('\n') {
        let parts: Vec<_> = line.split(separator).collect();
        let change = match parts[..] {
            [name, _] => changes
                .keys()
                .position(|wanted| key(wanted) == key(name))
                .and_then(|index| changes.shift_remove_index(index))
                .map(|(_, value)| format!("{name}{separator}{value}\n")),
            _ => None,
        };
        result.push_str(change.as_deref().unwrap_or(line));
    }
    for (name, value) in changes {
        result.push_str(&format!("{name}{separator}{value}\n"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_setting_is_changed() {
        let changes = [("A", "1"), ("b", "2"), ("c", "3")];
        let changes = changes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            apply(
                "#A=0\na=0\na=9\nb=x=y\n",
                "=",
                changes.into(),
                str::to_lowercase
            ),
            "#A=0\na=1\na=9\nb=x=y\nb=2\nc=3\n"
        );
    }
}
