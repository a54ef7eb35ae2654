//! Says in a recipe writer's words why a text is no YAML.
//!
//! The parser's own sentences speak to programmers ("use `from_str_multiple`"), and have no advice for the person who
//! wrote the text. Its syntax errors have no type outside of it, so they are told apart by words of their sentences; the
//! test at the foot of this file notices when an update of the parser changes them.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use crate::problem::{Place, RecipeError};

/// A part of the parser's sentence, what we say instead, and advice.
type Explanation = (&'static str, &'static str, &'static str);

const INDENT: &str = "begin it in the same column as its neighbours";
const QUOTE: &str = "put the text in quotes";
const TOO_DEEP: &str = "lists and mappings are nested too deeply here";
const SIX_LEVELS: &str = "a recipe needs six levels at most";
const TAB: &str = "a tab stands where YAML takes spaces only";
const BACKSLASH: &str = "write the backslash twice, or use single quotes";

const SYNTAX: &[Explanation] = &[
    (
        "document end",
        "a second document begins here",
        "a recipe is one document; put others in files of their own",
    ),
    (
        "document start",
        "a second document begins here",
        "a recipe is one document; put others in files of their own",
    ),
    (
        "block scalar",
        "the line after `|` or `>` is not understood",
        "begin the text on the next line, indented by spaces",
    ),
    (
        "directive",
        "a line that begins with `%` is not understood",
        "a recipe needs none; remove it",
    ),
    (" tag", "a `!` begins a tag that is not understood", QUOTE),
    (
        "placement of ':'",
        "a `:` stands where no key can be",
        "close the bracket that is open here, or put a text with `: ` in it in quotes",
    ),
    (
        "mapping values are not allowed",
        "a `:` stands where no key can be",
        "begin keys in the same column as their neighbours, and put a text with `: ` in it in quotes",
    ),
    (
        "':' must be followed",
        "a `:` is not followed by a space",
        "write `key: value`",
    ),
    (
        "':' may not precede",
        "a `:` is not followed by a space",
        "write `key: value`",
    ),
    (
        "unclosed quote",
        "the text that begins here has no closing quote",
        "close it; within quotes, write a quote twice (`''`) or as `\\\"`",
    ),
    (
        "document indicator",
        "the text before this line has no closing quote",
        "close it",
    ),
    (
        "unclosed bracket",
        "the bracket that opens here is not closed",
        "close it",
    ),
    (
        "misplaced bracket",
        "this bracket closes nothing",
        "remove it, or open one before it",
    ),
    (
        "mismatched bracket",
        "a bracket of one kind is closed by one of the other",
        "close `[` with `]` and `{` with `}`",
    ),
    (
        "expected ',' or",
        "a `,` or a closing bracket is missing before this",
        "separate the items with `, `",
    ),
    (
        "block sequence entries are not",
        "a list cannot begin here",
        "begin it on a line of its own",
    ),
    (
        "is only valid inside a block",
        "`- ` cannot stand between brackets",
        "separate the items with `, `",
    ),
    (
        "'-' must be followed",
        "a `-` is not followed by a space",
        "write `- item`",
    ),
    (
        "plain scalar cannot start with '-'",
        "a text cannot begin like this",
        QUOTE,
    ),
    ("tab", TAB, "indent with spaces"),
    (
        "did not find expected key",
        "this line fits none of the lines above",
        INDENT,
    ),
    (
        "expected '-' indicator",
        "this line stands in a list but begins no item",
        "begin items with `- `, or indent the line like what it belongs to",
    ),
    (
        "indent",
        "this line is not indented as YAML needs it",
        INDENT,
    ),
    (
        "simple key",
        "this line has neither a key with a `:` nor a `- `",
        "write `key: value`, or indent the line if it goes on with the text above",
    ),
    (
        "mapping keys are not allowed",
        "a key cannot stand here",
        INDENT,
    ),
    (
        "trailing content after",
        "something follows the closing quote",
        "put the whole text in quotes",
    ),
    (
        "unexpected end of plain",
        "a value is missing here",
        "write one, in quotes if it begins with a sign",
    ),
    (
        "expected node content",
        "a value is missing here",
        "write one, or remove what stands before it",
    ),
    (
        "comment",
        "a comment cannot begin here",
        "put a space before the `#`, or put a text with `#` in it in quotes",
    ),
    (
        "escape",
        "a `\\` begins something unknown in double quotes",
        BACKSLASH,
    ),
    (
        "hexadecimal number",
        "a `\\` begins something unknown in double quotes",
        BACKSLASH,
    ),
    (
        "surrogate",
        "a `\\` begins half a character only",
        BACKSLASH,
    ),
    (
        "scanning an anchor",
        "`&` and `*` begin names of values, and no name follows",
        QUOTE,
    ),
    ("anchor", "no value above has this name", QUOTE),
    (
        "BOM",
        "a byte order mark stands in the middle of the text",
        "remove it; it is invisible in most editors",
    ),
    ("recursion limit", TOO_DEEP, SIX_LEVELS),
    ("handle", "a `!` begins a tag that is not understood", QUOTE),
    (
        "unexpected EOF",
        "an item or a closing bracket is missing here",
        "write it",
    ),
    (
        "eof",
        "the file ends in the middle of something",
        "close quotes and brackets that are open",
    ),
    (
        "YAML",
        "a line that begins with `%` is not understood",
        "a recipe needs none; remove it",
    ),
    (
        "whitespace",
        "a space is missing here",
        "separate signs and values with a space",
    ),
];

/// Makes an error of a recipe of one of the parser.
pub(crate) fn explain(text: &str, error: &Error) -> RecipeError {
    let place = error.location().map_or_else(
        || end_of(text),
        |location| Place {
            line: location.line() as usize,
            column: location.column() as usize,
        },
    );
    let (message, hint) = sentence(error);
    let place = if message == TAB {
        tab_in_indentation(text, place)
    } else {
        place
    };
    let error = RecipeError::new(place, format!("not valid YAML: {message}"));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The tab that the parser stopped at: where a text may go on over the end of its line, it points at that end.
fn tab_in_indentation(text: &str, stopped: Place) -> Place {
    let lines = text.lines().zip(1..).skip(stopped.line.saturating_sub(1));
    lines
        .take(2)
        .find_map(|(content, line)| {
            let indentation = content.len() - content.trim_start().len();
            let column = content[..indentation].find('\t')? + 1;
            Some(Place { line, column })
        })
        .unwrap_or(stopped)
}

fn sentence(error: &Error) -> (String, Option<String>) {
    let said = |message: &str, hint: &str| (message.to_owned(), Some(hint.to_owned()));
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => sentence(error),
        Error::MultipleDocuments { .. } => said(
            "a second document begins here",
            "a recipe is one document; put others in files of their own",
        ),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key
                .as_ref()
                .map_or("a key".to_owned(), |key| format!("`{key}`"));
            said(
                &format!("{key} is written twice"),
                "keep one of them, or make it one list",
            )
        }
        Error::UnknownAnchor { .. } => said("no value above has this name", QUOTE),
        Error::RecursiveReferencesRequireWeakTypes { .. } => said(
            "this value contains itself",
            "refer only to values that are complete",
        ),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => said(
            "references to other values make the recipe too large",
            "repeat less",
        ),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => said(TOO_DEEP, SIX_LEVELS),
        Error::Budget { .. } => said(
            "the recipe has too many values",
            "put large contents in files, and name them with `source`",
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => said(
            "`<<` takes in mappings only",
            "refer to a mapping, like `<<: *name`",
        ),
        Error::NullIntoString { .. } | Error::Unexpected { .. } => said(
            "this key is no text",
            "write a name of letters, or put it in quotes",
        ),
        Error::NonFiniteFloat { value, .. } => said(
            &format!("`{value}` is too large, or no number"),
            "put it in quotes if it is text",
        ),
        Error::InvalidScalar { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::UnsupportedTag { .. }
        | Error::UnsupportedIncludeForm { .. } => said(
            "this value is not what its tag, the word with `!`, says",
            "remove the tag",
        ),
        other => syntax_sentence(&other.without_snippet().to_string()),
    }
}

fn syntax_sentence(parsers: &str) -> (String, Option<String>) {
    if let Some(rest) = parsers.split("unexpected character: `").nth(1) {
        let character = rest.split("' at line").next().unwrap_or(rest);
        let character = character.trim_end_matches('\'');
        return match character.strip_prefix("\\u{") {
            Some(code) => (
                format!(
                    "the character U+{:0>4} cannot stand in a recipe",
                    code.trim_end_matches('}').to_uppercase()
                ),
                Some("remove it; it is invisible in most editors".to_owned()),
            ),
            None => (
                format!("a value cannot begin with `{character}`"),
                Some(QUOTE.to_owned()),
            ),
        };
    }
    let known = SYNTAX.iter().find(|(part, ..)| parsers.contains(part));
    match known {
        Some((_, message, hint)) => ((*message).to_owned(), Some((*hint).to_owned())),
        None => ("this is not understood".to_owned(), None),
    }
}

fn end_of(text: &str) -> Place {
    Place {
        line: text.lines().count().max(1),
        column: text
            .lines()
            .last()
            .map_or(1, |line| line.chars().count() + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::node::read;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let Err(error) = read(text) else {
            panic!("{text:?} is YAML");
        };
        assert_eq!(
            error.to_string().replacen("not valid YAML: ", "", 1),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn syntax_errors_are_said_in_our_words_with_place_and_advice() {
        for (text, expected) in CASES {
            check(text, expected);
        }
    }

    const CASES: &[(&str, &str)] = &[
        (
            "hostname: [a\nlocale: b\n",
            "2:7: a `:` stands where no key can be (close the bracket that is open here, or put a text with `: ` in it in quotes)",
        ),
        (
            "a: b: c\n",
            "1:5: a `:` stands where no key can be (begin keys in the same column as their neighbours, and put a text with `: ` in it in quotes)",
        ),
        (
            "a: \"x\n",
            "1:4: the text that begins here has no closing quote (close it; within quotes, write a quote twice (`''`) or as `\\\"`)",
        ),
        (
            "a: 'x\n",
            "1:4: the text that begins here has no closing quote (close it; within quotes, write a quote twice (`''`) or as `\\\"`)",
        ),
        (
            "a:\n  - b: 1\n\t  c: 2\n",
            "3:1: a tab stands where YAML takes spaces only (indent with spaces)",
        ),
        (
            "a:\n\tb: 1\n",
            "2:1: a tab stands where YAML takes spaces only (indent with spaces)",
        ),
        (
            "a: 1\n b: 2\n",
            "2:3: a `:` stands where no key can be (begin keys in the same column as their neighbours, and put a text with `: ` in it in quotes)",
        ),
        (
            "a:\n  - 1\n - 2\n",
            "3:2: this line fits none of the lines above (begin it in the same column as its neighbours)",
        ),
        (
            "a: @x\n",
            "1:4: a value cannot begin with `@` (put the text in quotes)",
        ),
        (
            "a: %x\n",
            "1:4: a value cannot begin with `%` (put the text in quotes)",
        ),
        (
            "a: {b: 1\n",
            "1:4: the bracket that opens here is not closed (close it)",
        ),
        (
            "a: [b}\n",
            "1:4: a bracket of one kind is closed by one of the other (close `[` with `]` and `{` with `}`)",
        ),
        (
            "a: *nope\n",
            "1:4: no value above has this name (put the text in quotes)",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "3:1: a second document begins here (a recipe is one document; put others in files of their own)",
        ),
        (
            "a: |\n x\nb\n",
            "3:1: this line has neither a key with a `:` nor a `- ` (write `key: value`, or indent the line if it goes on with the text above)",
        ),
        (
            "? [a]\n: 1\n",
            "1:3: this key is no text (write a name of letters, or put it in quotes)",
        ),
        (
            "a: 1\na: 2\n",
            "2:1: `a` is written twice (keep one of them, or make it one list)",
        ),
        (
            "<<: 3\n",
            "1:5: `<<` takes in mappings only (refer to a mapping, like `<<: *name`)",
        ),
        (
            "a: .nan\n",
            "1:4: `.nan` is too large, or no number (put it in quotes if it is text)",
        ),
        (
            "a: 1e999\n",
            "1:4: `1e999` is too large, or no number (put it in quotes if it is text)",
        ),
        (
            "a: \u{7}\n",
            "1:4: the character U+0007 cannot stand in a recipe (remove it; it is invisible in most editors)",
        ),
        (
            "a: ]\n",
            "1:4: this bracket closes nothing (remove it, or open one before it)",
        ),
        (
            "- a\nb: c\n",
            "2:1: this line stands in a list but begins no item (begin items with `- `, or indent the line like what it belongs to)",
        ),
        (
            "a: \"\\q\"\n",
            "1:4: a `\\` begins something unknown in double quotes (write the backslash twice, or use single quotes)",
        ),
        (
            "a: \"\\xzz\"\n",
            "1:4: a `\\` begins something unknown in double quotes (write the backslash twice, or use single quotes)",
        ),
        (
            "key\n  x: y\n",
            "2:4: a `:` stands where no key can be (begin keys in the same column as their neighbours, and put a text with `: ` in it in quotes)",
        ),
        (
            "a: - b\n",
            "1:4: a list cannot begin here (begin it on a line of its own)",
        ),
        (
            "a: >\n\tx\n",
            "1:4: the line after `|` or `>` is not understood (begin the text on the next line, indented by spaces)",
        ),
        (
            "a: >x\n y\n",
            "1:4: the line after `|` or `>` is not understood (begin the text on the next line, indented by spaces)",
        ),
        (
            "a: >0\n y\n",
            "1:4: the line after `|` or `>` is not understood (begin the text on the next line, indented by spaces)",
        ),
        (
            "%YAML 9.9\n---\na: 1\n",
            "1:1: a line that begins with `%` is not understood (a recipe needs none; remove it)",
        ),
        (
            "%YAML x\n---\n",
            "1:1: a line that begins with `%` is not understood (a recipe needs none; remove it)",
        ),
        (
            "%YAML 1.2\na: 1\n",
            "2:1: a second document begins here (a recipe is one document; put others in files of their own)",
        ),
        (
            "a: &a [*a]\n",
            "1:8: this value contains itself (refer only to values that are complete)",
        ),
        (
            "null: 1\n",
            "1:1: this key is no text (write a name of letters, or put it in quotes)",
        ),
        (
            "a: !!int x\n",
            "1:10: this value is not what its tag, the word with `!`, says (remove the tag)",
        ),
        (
            "a: \u{feff}x\n",
            "1:4: a byte order mark stands in the middle of the text (remove it; it is invisible in most editors)",
        ),
        (
            "a: [b c: d e: f]\n",
            "1:13: a `,` or a closing bracket is missing before this (separate the items with `, `)",
        ),
        (
            "a: [1, - 2]\n",
            "1:8: `- ` cannot stand between brackets (separate the items with `, `)",
        ),
        (
            "a: 'x' y\n",
            "1:8: something follows the closing quote (put the whole text in quotes)",
        ),
        (
            "a: \"x\" y\n",
            "1:8: something follows the closing quote (put the whole text in quotes)",
        ),
        (
            "a: \"x\n---\ny\"\n",
            "1:4: the text before this line has no closing quote (close it)",
        ),
        (
            "a: [b] c\n",
            "1:8: this line fits none of the lines above (begin it in the same column as its neighbours)",
        ),
        (
            "a: {b c}\nd: [e f\n",
            "2:4: the bracket that opens here is not closed (close it)",
        ),
        (
            "a: & x\n",
            "1:4: `&` and `*` begin names of values, and no name follows (put the text in quotes)",
        ),
        (
            "a: *\n",
            "1:4: `&` and `*` begin names of values, and no name follows (put the text in quotes)",
        ),
        (
            "a: !<x y\n",
            "1:4: a `!` begins a tag that is not understood (put the text in quotes)",
        ),
        (
            "a: !x%zz y\n",
            "1:4: a `!` begins a tag that is not understood (put the text in quotes)",
        ),
        (
            "a: !x!y z\n",
            "1:4: a `!` begins a tag that is not understood (put the text in quotes)",
        ),
        (
            "a: ? b\n",
            "1:4: a key cannot stand here (begin it in the same column as its neighbours)",
        ),
        (
            "a: [-, x]\n",
            "1:5: a text cannot begin like this (put the text in quotes)",
        ),
        (
            "a: b #c\n  d\n",
            "1:6: a comment cannot begin here (put a space before the `#`, or put a text with `#` in it in quotes)",
        ),
        (
            "a: 'x'#y\n",
            "1:7: a comment cannot begin here (put a space before the `#`, or put a text with `#` in it in quotes)",
        ),
        (
            "a: {b:[c]}\n",
            "1:6: a `:` is not followed by a space (write `key: value`)",
        ),
        (
            "a: \"\\ud800\"\n",
            "1:4: a `\\` begins half a character only (write the backslash twice, or use single quotes)",
        ),
        (
            "a: \"\\udc00\"\n",
            "1:4: a `\\` begins half a character only (write the backslash twice, or use single quotes)",
        ),
        (
            "a: \"\\uzzzz\"\n",
            "1:4: a `\\` begins something unknown in double quotes (write the backslash twice, or use single quotes)",
        ),
        (
            "a: [x, y\n",
            "1:4: the bracket that opens here is not closed (close it)",
        ),
        (
            "a: {x: y\nb: z\n",
            "2:2: a `,` or a closing bracket is missing before this (separate the items with `, `)",
        ),
        (
            "a:\n    - b\n  c: d\n",
            "3:3: this line fits none of the lines above (begin it in the same column as its neighbours)",
        ),
        (
            "a: b\n... x\n",
            "2:5: a second document begins here (a recipe is one document; put others in files of their own)",
        ),
        (
            "a: !!binary x\n",
            "1:13: this value is not what its tag, the word with `!`, says (remove the tag)",
        ),
        (
            "a: [b,,c]\n",
            "1:7: an item or a closing bracket is missing here (write it)",
        ),
        (
            "a: [,]\n",
            "1:5: an item or a closing bracket is missing here (write it)",
        ),
        (
            "a: 1\n%TAG\n",
            "2:1: a `!` begins a tag that is not understood (put the text in quotes)",
        ),
        (
            "- - -\n  x: y\n",
            "2:3: this line stands in a list but begins no item (begin items with `- `, or indent the line like what it belongs to)",
        ),
        (
            "a:b\nc: d\n",
            "2:2: a `:` stands where no key can be (begin keys in the same column as their neighbours, and put a text with `: ` in it in quotes)",
        ),
        (
            "\"a\": \"b\" \"c\"\n",
            "1:10: something follows the closing quote (put the whole text in quotes)",
        ),
    ];

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = read(&text).unwrap_err();
        assert!(error.message.ends_with("nested too deeply here"), "{error}");
        let lines: Vec<_> = (0..5000).map(|depth| " ".repeat(depth) + "a:\n").collect();
        let lines = lines.concat();
        let error = read(&lines).unwrap_err();
        assert!(error.message.ends_with("nested too deeply here"), "{error}");
    }

    #[test]
    fn anchors_cannot_blow_a_recipe_up() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            writeln!(text, "a{level}: &a{level} [{before}]").unwrap();
        }
        let error = read(&text).unwrap_err();
        assert_eq!(
            error.message,
            "not valid YAML: references to other values make the recipe too large"
        );
    }
}
