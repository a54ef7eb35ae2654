//! Reads dependency fields: `a (>= 1) | b:any, c`.

use anyhow::{Result, bail};

use super::version::Operator;

/// One alternative of a dependency, or one entry of `Provides`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package's name, without its qualifier.
    pub name: &'a str,
    /// The name as it was written, with its qualifier.
    pub full_name: &'a str,
    /// What follows the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The versions that are meant, if not all.
    pub constraint: Option<(Operator, &'a str)>,
    /// Whether the next relation is an alternative to this one.
    pub or_next: bool,
}

/// Iterates over the relations of a field, in the order written.
#[derive(Debug, Clone)]
pub struct Relations<'a> {
    rest: &'a str,
}

/// Reads a dependency field.
pub fn relations(field: &str) -> Relations<'_> {
    Relations {
        rest: field.trim_start(),
    }
}

impl<'a> Iterator for Relations<'a> {
    type Item = Result<Relation<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find([',', '|']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let or_next = rest.starts_with('|');
        self.rest = rest.get(1..).unwrap_or("").trim_start();
        Some(parse(text.trim_end(), or_next))
    }
}

fn parse(text: &str, or_next: bool) -> Result<Relation<'_>> {
    let name_end = text
        .find(|character: char| character.is_ascii_whitespace() || character == '(')
        .unwrap_or(text.len());
    let (full_name, rest) = text.split_at(name_end);
    let (name, qualifier) = match full_name.rsplit_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (full_name, None),
    };
    if name.is_empty() {
        bail!("a dependency has no package name: {text:?}");
    }
    let rest = rest.trim_start();
    let constraint = if rest.is_empty() {
        None
    } else {
        Some(parse_constraint(rest, text)?)
    };
    Ok(Relation {
        name,
        full_name,
        qualifier,
        constraint,
        or_next,
    })
}

fn parse_constraint<'a>(rest: &'a str, whole: &str) -> Result<(Operator, &'a str)> {
    let Some(inner) = rest
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        bail!("expected a version in parentheses in {whole:?}");
    };
    let inner = inner.trim();
    let operator_end = inner
        .find(|character| !matches!(character, '<' | '>' | '='))
        .unwrap_or(inner.len());
    let (operator, version) = inner.split_at(operator_end);
    let version = version.trim();
    if version.is_empty() {
        bail!("expected a version in parentheses in {whole:?}");
    }
    let operator = match operator {
        "<<" => Operator::Earlier,
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" | "" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => bail!("`{operator}` is not a version comparison, in {whole:?}"),
    };
    Ok((operator, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'a> = (&'a str, Option<&'a str>, Option<(Operator, &'a str)>, bool);

    fn read(field: &str) -> Vec<Read<'_>> {
        relations(field)
            .map(|relation| {
                let relation = relation.unwrap();
                (
                    relation.name,
                    relation.qualifier,
                    relation.constraint,
                    relation.or_next,
                )
            })
            .collect()
    }

    #[test]
    fn reads_alternatives_versions_and_qualifiers() {
        assert_eq!(
            read("a (>= 1:2~) |b:any,\n c(<< 3), d:native"),
            vec![
                ("a", None, Some((Operator::LaterOrEqual, "1:2~")), true),
                ("b", Some("any"), None, false),
                ("c", None, Some((Operator::Earlier, "3")), false),
                ("d", Some("native"), None, false),
            ]
        );
    }

    #[test]
    fn obsolete_operators_include_equality() {
        assert_eq!(read("a (< 1)")[0].2, Some((Operator::EarlierOrEqual, "1")));
        assert_eq!(read("a (> 1)")[0].2, Some((Operator::LaterOrEqual, "1")));
        assert_eq!(read("a (1)")[0].2, Some((Operator::Equal, "1")));
    }

    #[test]
    fn nonsense_is_an_error() {
        for field in ["a (>= )", "a (=> 1)", "a, , b", "(>= 1)", "a >= 1"] {
            assert!(
                relations(field).any(|relation| relation.is_err()),
                "{field}"
            );
        }
    }
}
