//! What a list of packages tells besides what is needed to choose among them: for those who ask for it.

use std::fmt;

use anyhow::Result;

use super::xml::Element;

/// What a package says about itself; what it leaves out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Where it is below the repository's address.
    pub location: String,
    /// One line about it.
    pub summary: String,
    /// More about it.
    pub description: String,
    /// Its home page.
    pub url: String,
    /// Its licence.
    pub license: String,
    /// Who distributes it.
    pub vendor: String,
    /// Who made the package.
    pub packager: String,
    /// The group of packages it is in.
    pub group: String,
    /// The name of the source package.
    pub source_rpm: String,
    /// When it was built, in seconds since 1970.
    pub build_time: i64,
    /// What its files take, in bytes.
    pub installed_size: u64,
    /// All its dependencies.
    pub dependencies: Vec<Listed>,
}

/// A dependency and the list it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The list: `provides`, `requires`, `conflicts`, `obsoletes`, `recommends`, `suggests`, `supplements` or
    /// `enhances`.
    pub list: String,
    /// Whether scripts need it before the package is installed.
    pub is_early: bool,
    /// The dependency.
    pub dependency: Written,
}

/// A dependency as it is written; of a rich one, the first two names and what stands between them, as dnf has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The name.
    pub name: String,
    /// Such as `>=` or, of a rich one, `if`; empty if there is none.
    pub relation: String,
    /// The version; empty if there is none.
    pub version: String,
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        for part in [&self.relation, &self.version] {
            if !part.is_empty() {
                write!(formatter, " {part}")?;
            }
        }
        Ok(())
    }
}

impl Listed {
    /// Reads an entry of a list.
    pub(super) fn read(list: &str, element: &Element) -> Result<Self> {
        let name = element.require("name")?;
        Ok(Self {
            list: list.to_owned(),
            is_early: element.get("pre").is_some_and(|pre| pre == "1"),
            dependency: if name.starts_with('(') {
                rich(name)
            } else {
                plain(name, element)
            },
        })
    }
}

fn plain(name: &str, element: &Element) -> Written {
    let relation = match element.get("flags") {
        Some("EQ") => "=",
        Some("LT") => "<",
        Some("LE") => "<=",
        Some("GT") => ">",
        Some("GE") => ">=",
        _ => "",
    };
    let mut version = String::new();
    if let Some(epoch) = element.get("epoch").filter(|epoch| *epoch != "0") {
        version = format!("{epoch}:");
    }
    version.push_str(element.get("ver").unwrap_or_default());
    if let Some(release) = element.get("rel") {
        version = format!("{version}-{release}");
    }
    Written {
        name: name.to_owned(),
        relation: relation.to_owned(),
        version,
    }
}

/// The first operator between two parts, with the first name of each.
fn rich(text: &str) -> Written {
    const OPERATORS: [&str; 6] = ["and", "or", "if", "unless", "with", "without"];
    let first_name = |word: &str| word.trim_matches(['(', ')']).to_owned();
    let mut depth = 0_usize;
    let mut words = text.split_whitespace();
    let mut written = Written::default();
    while let Some(word) = words.next() {
        if written.name.is_empty() {
            written.name = first_name(word);
        } else if depth == 1 && OPERATORS.contains(&word) {
            word.clone_into(&mut written.relation);
            written.version = words.next().map(first_name).unwrap_or_default();
            break;
        }
        let opened = word.matches('(').count();
        depth = (depth + opened).saturating_sub(word.matches(')').count());
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rich_dependencies_are_told_by_their_first_two_names() {
        for (text, told) in [
            ("(c if a)", "c if a"),
            ("(v >= 2 with w)", "v with w"),
            ("((x or y) and z)", "x and z"),
            ("(x or y or z)", "x or y"),
        ] {
            assert_eq!(rich(text).to_string(), told);
        }
    }
}
