//! Why no set of packages could be chosen.

use std::fmt::Write as _;

use crate::deb::universe::Universe;

/// How many near names an error offers.
const NEAREST_SHOWN: usize = 3;
/// How alike a name must be to be offered, between 0 and 1.
const NEAREST_LEAST: f64 = 0.7;
/// Names whose length differs by more than this are not compared: they would not be offered anyway.
const NEAREST_LENGTH_DIFFERENCE: usize = 6;
/// Longer names than any Debian has are not compared at all; comparing takes time by the square of the length.
const NEAREST_LONGEST: usize = 100;

/// Why no set of packages could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// No index has the package.
    #[error("no repository has a package `{name}`{}", offer(nearest))]
    UnknownPackage {
        /// The name asked for.
        name: String,
        /// Existing names that look alike, the best first.
        nearest: Vec<String>,
    },
    /// The package has no such version.
    #[error("package `{name}` has no version `{version}`; available: {}", available.join(", "))]
    UnknownVersion {
        /// The package.
        name: String,
        /// The version asked for.
        version: String,
        /// The versions that exist, newest first.
        available: Vec<String>,
    },
    /// Every version of the package is forbidden by a pin.
    #[error("every version of package `{name}` is forbidden by a pin with a negative priority")]
    Forbidden {
        /// The package.
        name: String,
    },
    /// Every version of an essential package is forbidden by a pin.
    #[error("package `{name}` is essential and cannot be left out")]
    Essential {
        /// The package.
        name: String,
    },
    /// The name is virtual and several packages provide it.
    #[error("`{name}` is a virtual package; name one of its providers: {}", providers.join(", "))]
    Virtual {
        /// The virtual name.
        name: String,
        /// The packages that provide it.
        providers: Vec<String>,
    },
    /// The request cannot be satisfied.
    #[error("the packages cannot be installed together:\n{}", explanation(chains))]
    Unsatisfiable {
        /// One sentence per step, from a named package down to what is missing or in conflict.
        chains: Vec<Vec<String>>,
    },
    /// A chosen package's index entry lacks what is needed to fetch it.
    #[error("package `{name}` {version} cannot be fetched: its index entry has no `{field}`")]
    Incomplete {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// The missing or malformed field.
        field: &'static str,
    },
    /// The operating system gave no thread.
    #[error("cannot start a thread to choose packages in")]
    NoThread(#[source] std::io::Error),
}

fn offer(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    let names: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
    format!("; near names: {}", names.join(", "))
}

fn explanation(chains: &[Vec<String>]) -> String {
    let mut text = String::new();
    for chain in chains {
        for (depth, step) in chain.iter().enumerate() {
            if !text.is_empty() {
                text.push('\n');
            }
            write!(text, "{:indent$}{step}", "", indent = 2 + 2 * depth)
                .expect("writing to a string cannot fail");
        }
    }
    text
}

/// Finds existing names that look like a misspelt one.
pub(super) fn nearest_names(universe: &Universe<'_>, name: &str) -> Vec<String> {
    if name.len() > NEAREST_LONGEST {
        return Vec::new();
    }
    let mut scored: Vec<(f64, &str)> = universe
        .package_names()
        .filter(|other| other.len().abs_diff(name.len()) <= NEAREST_LENGTH_DIFFERENCE)
        .map(|other| (strsim::normalized_damerau_levenshtein(name, other), other))
        .filter(|&(score, _)| score >= NEAREST_LEAST)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(right.1)));
    scored
        .into_iter()
        .take(NEAREST_SHOWN)
        .map(|(_, name)| name.to_owned())
        .collect()
}
