//! Which paths are left out: patterns as dpkg's `path-exclude` and `path-include` have them.

/// Patterns of paths to leave out, and of those to keep all the same.
#[derive(Debug, Default, Clone)]
pub struct PathFilter {
    exclude: Vec<String>,
    include: Vec<String>,
}

impl PathFilter {
    /// Makes a filter; `include` overrules `exclude`. In a pattern `*` and `?` match slashes too.
    pub fn new(exclude: Vec<String>, include: Vec<String>) -> Self {
        Self { exclude, include }
    }

    /// Tells whether a path, with its leading slash, is left out.
    pub fn excludes(&self, path: &[u8]) -> bool {
        let any = |patterns: &[String]| {
            patterns
                .iter()
                .any(|pattern| matches(pattern.as_bytes(), path))
        };
        any(&self.exclude) && !any(&self.include)
    }
}

/// fnmatch(3) without flags, as dpkg calls it.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.first() {
        None => text.is_empty(),
        Some(b'*') => (0..=text.len()).any(|at| matches(&pattern[1..], &text[at..])),
        Some(b'?') => !text.is_empty() && matches(&pattern[1..], &text[1..]),
        Some(b'[') => match bracket(pattern, text.first().copied()) {
            Some((length, is_match)) => is_match && matches(&pattern[length..], &text[1..]),
            None => text.first() == Some(&b'[') && matches(&pattern[1..], &text[1..]),
        },
        Some(b'\\') if pattern.len() > 1 => {
            text.first() == Some(&pattern[1]) && matches(&pattern[2..], &text[1..])
        }
        Some(byte) => text.first() == Some(byte) && matches(&pattern[1..], &text[1..]),
    }
}

/// Reads `[a-z]` or `[!a-z]`: how long it is, and whether the byte is in it.
fn bracket(pattern: &[u8], byte: Option<u8>) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A closing bracket that comes first is a member of the set.
    let end = start
        + 1
        + pattern
            .get(start + 1..)?
            .iter()
            .position(|&byte| byte == b']')?;
    let set = &pattern[start..end];
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        let is_range = at + 2 < set.len() && set[at + 1] == b'-';
        let last = if is_range { set[at + 2] } else { set[at] };
        found |= byte.is_some_and(|byte| (set[at]..=last).contains(&byte));
        at += if is_range { 3 } else { 1 };
    }
    Some((end + 1, byte.is_some() && found != negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_dpkg_matches_them() {
        for (pattern, path, expected) in [
            ("/usr/share/doc/*", "/usr/share/doc/bash/copyright", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            ("/usr/share/locale/?[!e]/*", "/usr/share/locale/de/x", false),
            ("/usr/share/locale/?[!e]/*", "/usr/share/locale/fr/x", true),
            ("/a[]x]b", "/a]b", true),
            ("/a[b", "/a[b", true),
            (r"/a\*", "/a*", true),
            (r"/a\*", "/ab", false),
            ("/[a-c]1", "/b1", true),
            ("/[a-c]1", "/d1", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn what_is_included_overrules_what_is_excluded() {
        let filter = PathFilter::new(
            vec!["/usr/share/doc/*".to_owned()],
            vec!["/usr/share/doc/*/copyright".to_owned()],
        );
        assert!(filter.excludes(b"/usr/share/doc/bash/README"));
        assert!(!filter.excludes(b"/usr/share/doc/bash/copyright"));
        assert!(!filter.excludes(b"/usr/bin/bash"));
    }
}
