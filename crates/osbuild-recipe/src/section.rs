//! Reads one mapping of a recipe key by key; what nobody asked for is an unknown key.

use crate::node::{Key, Node, NodeKind};
use crate::problem::{Place, Problems, RecipeError};

/// How alike two names must be for one to be suggested for the other (Jaro-Winkler, 1 is equal).
const SUGGESTION_THRESHOLD: f64 = 0.82;
/// Bytes of the longest name that a suggestion is looked for.
const LONGEST_MISSPELLING: usize = 64;

/// A mapping that is being read.
pub(crate) struct Section<'a> {
    title: String,
    place: Place,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) place: Place,
}

impl<'a> Section<'a> {
    /// Opens a mapping; anything else is a problem.
    pub(crate) fn open(node: &'a Node, title: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            NodeKind::Map(entries) => Some(Self {
                title: title.to_owned(),
                place: node.place,
                entries,
                known: Vec::new(),
            }),
            other => {
                problems.add(wrong_kind(title, "a mapping", other, node.place));
                None
            }
        }
    }

    /// Where the mapping begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The value of a key; a key without a value counts as absent.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.entries
            .iter()
            .find(|(name, _)| name.name == key)
            .map(|(_, node)| node)
            .filter(|node| !matches!(node.kind, NodeKind::Null))
    }

    /// The value of a key as text.
    pub(crate) fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<Text> {
        let title = self.title_of(key);
        self.get(key).and_then(|node| text(node, &title, problems))
    }

    /// The value of a key as text; absence is a problem.
    pub(crate) fn required_text(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Text> {
        self.require(key, problems)?;
        self.text(key, problems)
    }

    /// The value of a key as text, which may look like a whole number; absence is a problem.
    pub(crate) fn required_word(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Text> {
        let node = self.require(key, problems)?;
        let title = self.title_of(key);
        match &node.kind {
            NodeKind::Integer(number) => Some(Text {
                value: number.to_string(),
                place: node.place,
            }),
            _ => text(node, &title, problems),
        }
    }

    /// The value of a key; absence is a problem.
    pub(crate) fn require(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<&'a Node> {
        let node = self.get(key);
        if node.is_none() {
            let place = self.place;
            let message = if self.title.is_empty() {
                format!("the recipe has no `{key}`")
            } else {
                format!("`{}` has no `{key}`", self.title)
            };
            problems.add(RecipeError::new(place, message));
        }
        node
    }

    /// The value of a key as true or false.
    pub(crate) fn boolean(&mut self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let title = self.title_of(key);
        let node = self.get(key)?;
        match &node.kind {
            NodeKind::Boolean(value) => Some(*value),
            other => {
                problems.add(wrong_kind(&title, "true or false", other, node.place));
                None
            }
        }
    }

    /// The value of a key as a whole number within bounds.
    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<i64> {
        let title = self.title_of(key);
        let node = self.get(key)?;
        match &node.kind {
            NodeKind::Integer(value) => {
                let number = i64::try_from(*value).ok().filter(|n| bounds.contains(n));
                if number.is_none() {
                    let (low, high) = (bounds.start(), bounds.end());
                    problems.add(RecipeError::new(
                        node.place,
                        format!("`{title}` is {value}, but must be between {low} and {high}"),
                    ));
                }
                number
            }
            other => {
                problems.add(wrong_kind(&title, "a whole number", other, node.place));
                None
            }
        }
    }

    /// The value of a key as a list; empty when absent.
    pub(crate) fn list(&mut self, key: &'static str, problems: &mut Problems) -> &'a [Node] {
        let title = self.title_of(key);
        match self.get(key) {
            Some(node) => list(node, &title, problems),
            None => &[],
        }
    }

    /// The value of a key as a list of texts; empty when absent.
    pub(crate) fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Text> {
        let title = self.title_of(key);
        self.list(key, problems)
            .iter()
            .filter_map(|node| text(node, &title, problems))
            .collect()
    }

    /// The value of a key as one of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let title = self.title_of(key);
        let text = self.text(key, problems)?;
        choose(&text, &title, choices, problems)
    }

    /// The mapping of a key, opened.
    pub(crate) fn section(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Section<'a>> {
        let title = self.title_of(key);
        self.get(key)
            .and_then(|node| Section::open(node, &title, problems))
    }

    /// Reports each key that was never asked for.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for (key, _) in self.entries {
            if !self.known.contains(&key.name.as_str()) {
                let place_name = if self.title.is_empty() {
                    "the recipe".to_owned()
                } else {
                    format!("`{}`", self.title)
                };
                problems.add(
                    RecipeError::new(
                        key.place,
                        format!("unknown key `{}` in {place_name}", key.name),
                    )
                    .hint(suggest("keys", &key.name, &self.known)),
                );
            }
        }
    }

    fn title_of(&self, key: &str) -> String {
        if self.title.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.title)
        }
    }
}

/// A node as text; numbers and booleans get the advice to quote them.
pub(crate) fn text(node: &Node, title: &str, problems: &mut Problems) -> Option<Text> {
    match &node.kind {
        NodeKind::Text(value) => Some(Text {
            value: value.clone(),
            place: node.place,
        }),
        other => {
            let mut error = wrong_kind(title, "text", other, node.place);
            if let NodeKind::Integer(_) | NodeKind::Float | NodeKind::Boolean(_) = other {
                error = error.hint("put it in quotes");
            }
            problems.add(error);
            None
        }
    }
}

/// A node as a list.
pub(crate) fn list<'a>(node: &'a Node, title: &str, problems: &mut Problems) -> &'a [Node] {
    match &node.kind {
        NodeKind::List(items) => items,
        other => {
            problems.add(
                wrong_kind(title, "a list", other, node.place)
                    .hint("begin each item with `- ` on a line of its own, or write `[one, two]`"),
            );
            &[]
        }
    }
}

/// A text as one of a few words.
pub(crate) fn choose<T: Copy>(
    text: &Text,
    title: &str,
    choices: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let chosen = choices.iter().find(|(word, _)| *word == text.value);
    if chosen.is_none() {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        problems.add(
            RecipeError::new(
                text.place,
                format!("`{}` is not known for `{title}`", text.value),
            )
            .hint(suggest("values", &text.value, &words)),
        );
    }
    chosen.map(|(_, value)| *value)
}

pub(crate) fn wrong_kind(title: &str, wanted: &str, found: &NodeKind, place: Place) -> RecipeError {
    let subject = if title.is_empty() {
        "the recipe".to_owned()
    } else {
        format!("`{title}`")
    };
    RecipeError::new(
        place,
        format!("{subject} must be {wanted}, not {}", found.description()),
    )
}

/// The known name that is most like a given one, when one is like it at all.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Comparing takes time by the square of the length, and no known name is that long.
    if name.len() > LONGEST_MISSPELLING {
        return None;
    }
    let wanted = name.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.to_lowercase()),
                *candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= SUGGESTION_THRESHOLD)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// The nearest known name, or all of them when none is near.
fn suggest(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => {
            let mut names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            names.sort();
            names.dedup();
            format!("known {what}: {}", names.join(", "))
        }
    }
}
