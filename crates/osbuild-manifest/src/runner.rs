//! Runners: the programs that prepare a build tree for the stages.

/// A runner that was asked for and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// The name in the manifest; for the host that of the file.
    pub requested: String,
    /// The name of the file that serves it.
    pub file_name: String,
}

/// Picks the runner for a requested name: that of the same distribution with the highest version not above the
/// requested one.
pub fn select<'a>(
    requested: &str,
    available: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let (distribution, version) = split(requested);
    available
        .into_iter()
        .map(|name| (split(name), name))
        .filter(|((candidate, number), _)| {
            *candidate == distribution && !is_higher(number, version)
        })
        .max_by(|((_, left), _), ((_, right), _)| compare(left, right))
        .map(|(_, name)| name)
}

/// Splits a name before its trailing digits; the first character is never one of them.
fn split(name: &str) -> (&str, &str) {
    let first = name.chars().next().map_or(0, char::len_utf8);
    let head = name[first..].trim_end_matches(|character: char| character.is_ascii_digit());
    let (distribution, digits) = name.split_at(first + head.len());
    (distribution, digits.trim_start_matches('0'))
}

fn is_higher(left: &str, right: &str) -> bool {
    compare(left, right).is_gt()
}

/// Compares digits without leading zeros as numbers.
fn compare(left: &str, right: &str) -> std::cmp::Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_not_above_is_taken() {
        let available = [
            "org.osbuild.fedora30",
            "org.osbuild.fedora38",
            "org.osbuild.fedora9",
            "org.osbuild.linux",
            "org.osbuild.centos9",
            "org.osbuild.rhel91",
        ];
        for (requested, expected) in [
            ("org.osbuild.fedora99", Some("org.osbuild.fedora38")),
            ("org.osbuild.fedora38", Some("org.osbuild.fedora38")),
            ("org.osbuild.fedora37", Some("org.osbuild.fedora30")),
            ("org.osbuild.fedora29", Some("org.osbuild.fedora9")),
            ("org.osbuild.fedora8", None),
            ("org.osbuild.fedora", None),
            ("org.osbuild.centos9", Some("org.osbuild.centos9")),
            ("org.osbuild.centos10", Some("org.osbuild.centos9")),
            ("org.osbuild.rhel9", None),
            ("org.osbuild.linux", Some("org.osbuild.linux")),
            ("org.osbuild.linux2", Some("org.osbuild.linux")),
            ("org.osbuild.arch", None),
            ("", None),
            ("7", None),
        ] {
            assert_eq!(select(requested, available), expected, "{requested}");
        }
    }
}
