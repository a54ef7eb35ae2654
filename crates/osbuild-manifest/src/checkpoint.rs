//! Which stages to keep: shell patterns over names and ids.

use std::collections::BTreeSet;

use crate::manifest::{Manifest, StageId};

/// Finds the stages whose name or id, or the pipelines whose name, one of the patterns matches; a pipeline stands for
/// its last stage.
pub fn matching_stages(manifest: &Manifest, patterns: &[impl AsRef<str>]) -> BTreeSet<StageId> {
    let matches = |text: &str| {
        patterns
            .iter()
            .any(|pattern| matches_pattern(text, pattern.as_ref()))
    };
    let mut selected = BTreeSet::new();
    for pipeline in &manifest.pipelines {
        if matches(&pipeline.name) {
            selected.extend(pipeline.id().cloned());
        }
        let stages = pipeline
            .stages
            .iter()
            .filter(|stage| matches(stage.id.as_str()) || matches(&stage.name));
        selected.extend(stages.map(|stage| stage.id.clone()));
    }
    selected
}

/// Matches the whole of a text against a pattern of `*`, `?`, `[seq]` and `[!seq]`, as Python's `fnmatch` does.
pub fn matches_pattern(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = parse(&pattern.chars().collect::<Vec<_>>());
    // Greedy matching with one place to return to: the last star seen.
    let (mut at, mut part) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(part) {
            Some(Part::Star) => {
                retry = Some((at, part));
                part += 1;
                continue;
            }
            Some(one) if one.matches(text[at]) => {
                at += 1;
                part += 1;
                continue;
            }
            _ => {}
        }
        let Some((from, star)) = retry else {
            return false;
        };
        retry = Some((from + 1, star));
        at = from + 1;
        part = star + 1;
    }
    pattern[part..]
        .iter()
        .all(|part| matches!(part, Part::Star))
}

enum Part {
    Star,
    Any,
    One(char),
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Part {
    fn matches(&self, character: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::One(expected) => character == *expected,
            Self::Set { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character))
                    != *negated
            }
        }
    }
}

fn parse(pattern: &[char]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut index = 0;
    while let Some(&character) = pattern.get(index) {
        index += 1;
        parts.push(match character {
            '*' => Part::Star,
            '?' => Part::Any,
            '[' => match set_end(pattern, index) {
                Some(end) => {
                    let set = parse_set(&pattern[index..end]);
                    index = end + 1;
                    set
                }
                None => Part::One('['),
            },
            other => Part::One(other),
        });
    }
    parts
}

/// Finds the bracket that closes a set; one that comes first belongs to the set.
fn set_end(pattern: &[char], start: usize) -> Option<usize> {
    let mut from = start;
    from += usize::from(pattern.get(from) == Some(&'!'));
    from += usize::from(pattern.get(from) == Some(&']'));
    (from..pattern.len()).find(|&index| pattern[index] == ']')
}

fn parse_set(set: &[char]) -> Part {
    let (negated, mut rest) = match set {
        ['!', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    while let Some((&low, after)) = rest.split_first() {
        match after {
            ['-', high, after @ ..] => {
                ranges.push((low, *high));
                rest = after;
            }
            _ => {
                ranges.push((low, low));
                rest = after;
            }
        }
    }
    Part::Set { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        for (text, pattern, expected) in [
            ("tree", "tree", true),
            ("tree", "Tree", false),
            ("tree", "t*", true),
            ("tree", "*e", true),
            ("tree", "*r*", true),
            ("tree", "tre", false),
            ("tree", "?ree", true),
            ("tree", "??", false),
            ("", "*", true),
            ("", "?", false),
            ("org.osbuild.rpm", "org.osbuild.*", true),
            ("orgXosbuild", "org.osbuild", false),
            ("a-b", "[a-c]-[!a]", true),
            ("a-a", "[a-c]-[!a]", false),
            ("]", "[]]", true),
            ("a", "[!]]", true),
            ("[a", "[a", true),
            ("-", "[a-]", true),
            ("b", "[c-a]", false),
            ("b", "[!c-a]", true),
            ("!", "[!", false),
            ("[!", "[!", true),
            ("a\nb", "a*b", true),
            ("aXbXc", "a*b*c", true),
            ("é", "?", true),
        ] {
            assert_eq!(
                matches_pattern(text, pattern),
                expected,
                "{text:?} and {pattern:?}"
            );
        }
    }
}
