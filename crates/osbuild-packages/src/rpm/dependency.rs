//! What packages provide and need.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Context as _, Result, bail};

use super::version::Evr;

/// Rich dependencies are not nested deeper than a person can read.
const DEEPEST: usize = 64;

/// A name, perhaps with versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// A package's name, another name, or the path of a file.
    pub name: String,
    /// Which versions; none for any.
    pub range: Option<Range>,
}

/// Versions before, at and after one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The orders to `evr` that are meant.
    pub orders: Vec<Ordering>,
    /// The version that others are compared with.
    pub evr: Evr,
}

/// A requirement, which may be a rich one (rpm's "boolean dependencies").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Something that provides this.
    Capability(Capability),
    /// All of these.
    All(Vec<Requirement>),
    /// One of these.
    Any(Vec<Requirement>),
    /// The first if there is what the second says, else perhaps another.
    If(Box<[Requirement; 2]>, Option<Box<Requirement>>),
    /// The first unless there is what the second says, else perhaps another.
    Unless(Box<[Requirement; 2]>, Option<Box<Requirement>>),
    /// One package that is all of these.
    With(Vec<Requirement>),
    /// A package that is the first and not the second.
    Without(Box<[Requirement; 2]>),
}

impl Range {
    /// Reads the operator as repositories write it, `EQ`, `LT`, `LE`, `GT` or `GE`.
    pub fn from_flags(flags: &str, evr: Evr) -> Result<Self> {
        Self::from_operator(
            match flags {
                "EQ" => "=",
                "LT" => "<",
                "LE" => "<=",
                "GT" => ">",
                "GE" => ">=",
                other => bail!("`{other}` is no comparison of versions"),
            },
            evr,
        )
    }

    fn from_operator(operator: &str, evr: Evr) -> Result<Self> {
        let orders = match operator {
            "=" => vec![Ordering::Equal],
            "<" => vec![Ordering::Less],
            "<=" => vec![Ordering::Less, Ordering::Equal],
            ">" => vec![Ordering::Greater],
            ">=" => vec![Ordering::Greater, Ordering::Equal],
            other => bail!("`{other}` is no comparison of versions"),
        };
        Ok(Self { orders, evr })
    }

    fn has(&self, order: Ordering) -> bool {
        self.orders.contains(&order)
    }

    /// Whether a version is in both ranges, as far as rpm can know.
    fn overlaps(&self, other: &Self) -> bool {
        match self.evr.compare(&other.evr) {
            Ordering::Less => self.has(Ordering::Greater) || other.has(Ordering::Less),
            Ordering::Greater => self.has(Ordering::Less) || other.has(Ordering::Greater),
            Ordering::Equal => self.orders.iter().any(|order| other.has(*order)),
        }
    }
}

impl Capability {
    /// Exactly this version of a name.
    pub fn exact(name: &str, evr: &Evr) -> Self {
        let orders = vec![Ordering::Equal];
        Self {
            name: name.to_owned(),
            range: Some(Range {
                orders,
                evr: evr.clone(),
            }),
        }
    }

    /// Reads `NAME` or `NAME OPERATOR VERSION`.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (name, range) = match words.as_slice() {
            [name] => (name, None),
            [name, operator, version] => (
                name,
                Some(Range::from_operator(operator, Evr::parse(version))?),
            ),
            _ => bail!("`{text}` is no dependency"),
        };
        Ok(Self {
            name: (*name).to_owned(),
            range,
        })
    }

    /// Whether providing this satisfies a need.
    pub fn satisfies(&self, need: &Self) -> bool {
        let overlap = match (&self.range, &need.range) {
            (Some(range), Some(needed)) => range.overlaps(needed),
            // What is provided without a version is provided in any, for rpm and for libsolv.
            (None, _) | (_, None) => true,
        };
        self.name == need.name && overlap
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        let Some(range) = &self.range else {
            return Ok(());
        };
        let operator = match range.orders.as_slice() {
            [Ordering::Less] => "<",
            [Ordering::Less, _] => "<=",
            [Ordering::Greater] => ">",
            [Ordering::Greater, _] => ">=",
            _ => "=",
        };
        write!(formatter, " {operator} {}", range.evr)
    }
}

impl Requirement {
    /// Reads a rich dependency, `(A if B else C)`, or a plain one.
    pub fn parse(text: &str) -> Result<Self> {
        parse(text.trim(), 0).with_context(|| format!("reading the dependency `{text}`"))
    }
}

fn parse(text: &str, depth: usize) -> Result<Requirement> {
    if depth > DEEPEST {
        bail!("it is nested too deeply");
    }
    if !text.starts_with('(') {
        return Ok(Requirement::Capability(Capability::parse(text)?));
    }
    let inner = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .context("a parenthesis is not closed")?;
    let (operands, operators) = split(inner)?;
    let mut operands = operands
        .iter()
        .map(|operand| parse(operand, depth + 1))
        .collect::<Result<Vec<Requirement>>>()?;
    let is_chain = operators.windows(2).all(|pair| pair[0] == pair[1]);
    match operators.as_slice() {
        [] => operands.pop().context("it is empty"),
        ["and", ..] if is_chain => Ok(Requirement::All(operands)),
        ["or", ..] if is_chain => Ok(Requirement::Any(operands)),
        ["with", ..] if is_chain => Ok(Requirement::With(operands)),
        ["without"] => Ok(Requirement::Without(pair(operands)?.0)),
        ["if"] | ["if", "else"] => {
            let (pair, otherwise) = pair(operands)?;
            Ok(Requirement::If(pair, otherwise))
        }
        ["unless"] | ["unless", "else"] => {
            let (pair, otherwise) = pair(operands)?;
            Ok(Requirement::Unless(pair, otherwise))
        }
        _ => bail!("the words `{}` do not go together", operators.join("`, `")),
    }
}

type Pair = (Box<[Requirement; 2]>, Option<Box<Requirement>>);

fn pair(operands: Vec<Requirement>) -> Result<Pair> {
    let mut operands = operands.into_iter();
    let mut next = || operands.next().context("an operand is missing");
    let pair = Box::new([next()?, next()?]);
    Ok((pair, operands.next().map(Box::new)))
}

/// Splits what is between parentheses into operands and the words between them.
fn split(text: &str) -> Result<(Vec<String>, Vec<&str>)> {
    let mut operands = vec![String::new()];
    let mut operators = Vec::new();
    let mut depth = 0_usize;
    for word in text.split_whitespace() {
        let is_operator = matches!(
            word,
            "and" | "or" | "if" | "else" | "unless" | "with" | "without"
        );
        if depth == 0 && is_operator {
            operators.push(word);
            operands.push(String::new());
            continue;
        }
        let operand = operands.last_mut().context("it is empty")?;
        if !operand.is_empty() {
            operand.push(' ');
        }
        operand.push_str(word);
        // Names have parentheses, too: `perl(strict)`, in pairs.
        depth = (depth + word.matches('(').count())
            .checked_sub(word.matches(')').count())
            .context("a parenthesis is not opened")?;
    }
    Ok((operands, operators))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(text: &str) -> Capability {
        Capability::parse(text).unwrap()
    }

    #[test]
    fn ranges_overlap_as_in_rpm() {
        for (provided, needed, expected) in [
            ("a = 1-1", "a", true),
            ("a", "a = 1", true),
            ("a = 1-1", "a = 1", true),
            ("a = 1-1", "a >= 1-2", false),
            ("a = 2-1", "a > 1", true),
            ("a = 1-1", "a < 1", false),
            ("a = 1:1-1", "a < 2", false),
            ("a >= 1", "a < 1", false),
            ("a >= 1", "a <= 1", true),
            ("b = 1", "a", false),
        ] {
            assert_eq!(
                capability(provided).satisfies(&capability(needed)),
                expected,
                "{provided}, {needed}"
            );
        }
    }

    #[test]
    fn rich_dependencies_are_read() {
        let plain = |text: &str| Requirement::Capability(capability(text));
        let two = |one: &str, other: &str| Box::new([plain(one), plain(other)]);
        for (text, expected) in [
            ("a >= 1", plain("a >= 1")),
            ("(a)", plain("a")),
            (
                "(a or perl(b) or c < 2)",
                Requirement::Any(vec![plain("a"), plain("perl(b)"), plain("c < 2")]),
            ),
            (
                "(a if b else c)",
                Requirement::If(two("a", "b"), Some(Box::new(plain("c")))),
            ),
            (
                "(a and (b unless c))",
                Requirement::All(vec![plain("a"), Requirement::Unless(two("b", "c"), None)]),
            ),
            ("(a without b)", Requirement::Without(two("a", "b"))),
            (
                "(a >= 1 with a < 2)",
                Requirement::With(vec![plain("a >= 1"), plain("a < 2")]),
            ),
        ] {
            assert_eq!(Requirement::parse(text).unwrap(), expected, "{text}");
        }
        for text in [
            "(a",
            "(a or b and c)",
            "(a or )",
            "()",
            "a b",
            "a ~ 1",
            &"(".repeat(1000),
            &format!("{}a{}", "(".repeat(1000), ")".repeat(1000)),
        ] {
            assert!(Requirement::parse(text).is_err(), "{text}");
        }
    }
}
