//! Changing single options of a file of sections, and nothing else in it.
//!
//! Comes out as Python's `iniparse`, which upstream uses, writes it.

use anyhow::Result;
use osbuild_stage_api::StageError;

/// How a value of several lines goes on.
const CONTINUATION: &str = "\n        ";

/// The lines of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct IniDocument {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// Blank, or a comment.
    Other(String),
    Section {
        name: String,
        text: String,
    },
    Option(OptionLine),
    Continuation(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OptionLine {
    name: String,
    separator: String,
    value: String,
    /// A comment behind the value, and the column where it starts.
    comment: Option<(usize, String)>,
}

impl IniDocument {
    /// Reads a file; every line must be one of its kinds.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines: Vec<Line> = Vec::new();
        if text.is_empty() {
            return Ok(Self::default());
        }
        for (index, text) in text.split('\n').enumerate() {
            let line = parse_line(text);
            let has_section = lines
                .iter()
                .any(|line| matches!(line, Line::Section { .. }));
            let is_text = !matches!(line, Some(Line::Other(_) | Line::Section { .. }));
            if is_text && !has_section {
                return Err(error("MissingSectionHeaderError", index, text));
            }
            let has_option = lines
                .iter()
                .rev()
                .take_while(|line| !matches!(line, Line::Section { .. }))
                .any(|line| matches!(line, Line::Option(_)));
            match line {
                Some(Line::Continuation(_)) if !has_option => {
                    return Err(error("ParsingError", index, text));
                }
                Some(line) => lines.push(line),
                None => return Err(error("ParsingError", index, text)),
            }
        }
        Ok(Self { lines })
    }

    /// Sets an option, whose name is found whatever its case; a section that is missing is added.
    pub(crate) fn set(&mut self, section: &str, name: &str, value: &str) {
        self.add_section(section);
        let value = value.replace('\n', CONTINUATION);
        match self.find(section, name) {
            Some(index) => {
                let end = self.end_of_value(index);
                self.lines.drain(index + 1..end);
                if let Line::Option(line) = &mut self.lines[index] {
                    line.value = value;
                }
            }
            None => {
                let line = OptionLine {
                    name: name.to_owned(),
                    separator: " = ".to_owned(),
                    value,
                    comment: None,
                };
                let place = self.end_of_section(section);
                self.lines.insert(place, Line::Option(line));
            }
        }
    }

    /// Adds a section at the end unless it is there.
    pub(crate) fn add_section(&mut self, section: &str) {
        if self.lines.iter().any(|line| line.is_section(section)) {
            return;
        }
        if !self.lines.is_empty() {
            self.lines.push(Line::Other(String::new()));
        }
        self.lines.push(Line::Section {
            name: section.to_owned(),
            text: format!("[{section}]"),
        });
    }

    /// Tells whether there is such a section.
    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.lines.iter().any(|line| line.is_section(section))
    }

    /// Returns the text of the file.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(Line::text).collect();
        lines.join("\n")
    }

    /// The last place where a section sets an option.
    fn find(&self, section: &str, name: &str) -> Option<usize> {
        let mut is_inside = false;
        let mut found = None;
        for (index, line) in self.lines.iter().enumerate() {
            match line {
                Line::Section { name, .. } => is_inside = name == section,
                Line::Option(line)
                    if is_inside && line.name.to_lowercase() == name.to_lowercase() =>
                {
                    found = Some(index);
                }
                _ => {}
            }
        }
        found
    }

    /// Past the last continuation of an option; blank lines and comments before one belong to the value.
    fn end_of_value(&self, option: usize) -> usize {
        let mut end = option + 1;
        for (index, line) in self.lines.iter().enumerate().skip(option + 1) {
            match line {
                Line::Continuation(_) => end = index + 1,
                Line::Other(_) => {}
                Line::Section { .. } | Line::Option(_) => break,
            }
        }
        end
    }

    /// Past the last option of the last section of that name.
    fn end_of_section(&self, section: &str) -> usize {
        let start = self.lines.iter().rposition(|line| line.is_section(section));
        let start = start.map_or(self.lines.len(), |index| index + 1);
        let mut end = start;
        for (index, line) in self.lines.iter().enumerate().skip(start) {
            match line {
                Line::Section { .. } => break,
                Line::Option(_) | Line::Continuation(_) => end = index + 1,
                Line::Other(_) => {}
            }
        }
        end
    }
}

impl Line {
    fn is_section(&self, section: &str) -> bool {
        matches!(self, Self::Section { name, .. } if name == section)
    }

    fn text(&self) -> String {
        match self {
            Self::Other(text) | Self::Continuation(text) | Self::Section { text, .. } => {
                text.clone()
            }
            Self::Option(line) => {
                let text = format!("{}{}{}", line.name, line.separator, line.value);
                match &line.comment {
                    None => text,
                    Some((column, comment)) => format!("{text:column$} {comment}"),
                }
            }
        }
    }
}

fn parse_line(text: &str) -> Option<Line> {
    let is_remark = text
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("rem "));
    if text.trim().is_empty() || text.starts_with([';', '#']) || is_remark {
        return Some(Line::Other(text.to_owned()));
    }
    if let Some((name, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let (name, text) = (name.to_owned(), text.to_owned());
        return Some(Line::Section { name, text });
    }
    if text.starts_with(char::is_whitespace) {
        return Some(Line::Continuation(text.to_owned()));
    }
    let (name, _) = text.split_once([':', '='])?;
    let rest = &text[name.len() + 1..];
    let value = rest.trim_start();
    let name = name.trim_end();
    let separator = &text[name.len()..text.len() - value.len()];
    let comment = value
        .find(';')
        .filter(|&place| value[..place].ends_with(char::is_whitespace));
    let (value, comment) = match comment {
        None => (value, None),
        Some(place) => {
            let column = text.len() - value.len() + place;
            let kept = value[..place].trim_end();
            (kept, Some((column - 1, value[place..].to_owned())))
        }
    };
    (!name.is_empty()).then(|| {
        Line::Option(OptionLine {
            name: name.to_owned(),
            separator: separator.to_owned(),
            value: value.to_owned(),
            comment,
        })
    })
}

fn error(type_name: &'static str, index: usize, text: &str) -> anyhow::Error {
    StageError::new(
        type_name,
        format!("line {} means nothing here: {text}", index + 1),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_changes() {
        type Changes = &'static [(&'static str, &'static str, &'static str)];
        let cases: &[(&str, Changes, &str)] = &[
            (
                "",
                &[("a", "defaultUid", "1"), ("a", "x", "2")],
                "[a]\ndefaultUid = 1\nx = 2",
            ),
            (
                "[a]\n# c\nKey = 1\n\n# about b\n[b]\nx: 2\n",
                &[
                    ("a", "key", "9"),
                    ("a", "new", "n"),
                    ("b", "y", "z"),
                    ("c", "k", "v"),
                ],
                "[a]\n# c\nKey = 9\nnew = n\n\n# about b\n[b]\nx: 2\ny = z\n\n\n[c]\nk = v",
            ),
            (
                "[a]\nkey=1 ; comment\n",
                &[("a", "key", "22"), ("a", "n", "1")],
                "[a]\nkey=22 ; comment\nn = 1\n",
            ),
            (
                "[a]\nkey=1\n  cont\n  more\nother =x\n",
                &[("a", "key", "22")],
                "[a]\nkey=22\nother =x\n",
            ),
            (
                "[a]\n\n\n[b]\n",
                &[("a", "k", "1")],
                "[a]\nk = 1\n\n\n[b]\n",
            ),
            (
                "[a]\n#c1\n\n#c2\n",
                &[("a", "k", "1")],
                "[a]\nk = 1\n#c1\n\n#c2\n",
            ),
            ("[a]\nk=1", &[("a", "n", "1")], "[a]\nk=1\nn = 1"),
            (
                "# head\n[a]\nk=1\n[b]\n[a]\nm=2\n",
                &[("a", "n", "1"), ("a", "k", "3")],
                "# head\n[a]\nk=3\n[b]\n[a]\nm=2\nn = 1\n",
            ),
            ("[a]\nk=1\nk=2\n", &[("a", "k", "3")], "[a]\nk=1\nk=3\n"),
            (
                "[a]\nk = a\n\tb\n\n\n# x\n",
                &[("a", "k", "3"), ("a", "l", "3")],
                "[a]\nk = 3\nl = 3\n\n\n# x\n",
            ),
            ("[A]\nk=1\n", &[("a", "K", "3")], "[A]\nk=1\n\n\n[a]\nK = 3"),
            (
                "[a]\nk=\n",
                &[("a", "k", "3"), ("a", "j", "x\ny")],
                "[a]\nk=3\nj = x\n        y\n",
            ),
        ];
        for (before, changes, after) in cases {
            let mut document = IniDocument::parse(before).unwrap();
            for (section, name, value) in *changes {
                document.set(section, name, value);
            }
            assert_eq!(document.text(), *after, "{before:?}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        for (text, expected) in [
            ("junk\n", "line 1 means nothing here: junk"),
            ("[a]\nk\n", "line 2 means nothing here: k"),
            ("[a]\n  k=1\n", "line 2 means nothing here:   k=1"),
        ] {
            assert_eq!(IniDocument::parse(text).unwrap_err().to_string(), expected);
        }
    }
}
