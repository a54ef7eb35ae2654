//! apt.conf(5), as far as needed: `A::B "value";` and `A { B "value"; };`.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context as _, Result, bail};

/// Options by their full name, in lower case.
#[derive(Debug, Default)]
pub(super) struct Options {
    values: HashMap<String, String>,
}

impl Options {
    /// The values of all options below a name, by the rest of their names, which is empty for the option itself.
    pub(super) fn below(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().filter_map(move |(full, value)| {
            let rest = full.strip_prefix(name)?;
            let rest = match rest.strip_prefix("::") {
                Some(rest) => rest,
                None if rest.is_empty() => rest,
                None => return None,
            };
            Some((rest, value.as_str()))
        })
    }

    fn parse(&mut self, text: &str) -> Result<()> {
        let mut scopes: Vec<String> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(text)? {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => scopes.push(words.drain(..).next().unwrap_or_default()),
                Token::Close => {
                    words.clear();
                    scopes.pop().context("`}` closes nothing")?;
                }
                Token::End => {
                    if let [name, value] = &words[..] {
                        let mut path = scopes.clone();
                        path.push(name.clone());
                        self.values
                            .insert(path.join("::").to_ascii_lowercase(), value.clone());
                    }
                    words.clear();
                }
            }
        }
        if !scopes.is_empty() {
            bail!("`{{` is not closed");
        }
        Ok(())
    }
}

/// Reads files, later ones overriding earlier ones.
pub(super) fn read_all(files: &[PathBuf]) -> Result<Options> {
    let mut options = Options::default();
    for file in files {
        let text = fs_err::read_to_string(file).context("reading apt's configuration")?;
        options
            .parse(&text)
            .with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(options)
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if rest.starts_with("//") || first == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment
                .split_once("*/")
                .context("a comment is not closed")?
                .1;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (value, after) = quoted.split_once('"').context("a quote is not closed")?;
            tokens.push(Token::Word(value.to_owned()));
            rest = after;
        } else {
            let (token, length) = match first {
                '{' => (Token::Open, 1),
                '}' => (Token::Close, 1),
                ';' => (Token::End, 1),
                _ => {
                    let end = rest
                        .find(|character: char| {
                            character.is_whitespace() || "{};\"".contains(character)
                        })
                        .unwrap_or(rest.len());
                    (Token::Word(rest[..end].to_owned()), end)
                }
            };
            tokens.push(token);
            rest = &rest[length..];
        }
    }
    Ok(tokens)
}
