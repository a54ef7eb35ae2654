//! Who wants to hear of what, and what unpacking sets off (deb-triggers(5)).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use crate::deb::archive::Archive;

/// The interests of all unpacked packages, in the order they came.
#[derive(Debug, Default)]
pub struct Triggers {
    interests: BTreeMap<String, Vec<Interest>>,
    /// Triggers that are paths, in the order of `triggers/File`.
    files: Vec<(String, Interest)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Interest {
    package: String,
    waits: bool,
}

/// A line of a package's `triggers` file.
#[derive(Debug, PartialEq, Eq)]
enum Directive<'a> {
    Interest { trigger: &'a str, waits: bool },
    Activate { trigger: &'a str, waits: bool },
}

impl Interest {
    fn text(&self) -> String {
        let suffix = if self.waits { "" } else { "/noawait" };
        format!("{}{suffix}", self.package)
    }
}

impl Triggers {
    /// Notes what a package wants to hear of.
    pub fn add_interests(&mut self, archive: &Archive, package: &str) -> Result<()> {
        for directive in directives(archive)? {
            if let Directive::Interest { trigger, waits } = directive {
                let interest = Interest {
                    package: package.to_owned(),
                    waits,
                };
                if trigger.starts_with('/') {
                    self.files
                        .push((trigger.trim_end_matches('/').to_owned(), interest));
                } else {
                    self.interests
                        .entry(trigger.to_owned())
                        .or_default()
                        .push(interest);
                }
            }
        }
        Ok(())
    }

    /// The files of `triggers/` that tell of the interests: names and contents.
    pub fn files(&self) -> Vec<(&str, String)> {
        let lines =
            |interests: &[Interest]| interests.iter().map(|one| one.text() + "\n").collect();
        let mut files: Vec<(&str, String)> = self
            .interests
            .iter()
            .map(|(trigger, interests)| (trigger.as_str(), lines(interests)))
            .collect();
        let mut list = String::new();
        for (path, one) in &self.files {
            list += &format!("{path} {}\n", one.text());
        }
        files.push(("File", list));
        files
    }

    /// Adds the lines of `triggers/Unincorp` for what unpacking a package activates: packages that are not
    /// configured yet do not hear of it, for their configuration does the work anyway.
    pub fn activations(
        &self,
        archive: &Archive,
        package: &str,
        list: &[Vec<u8>],
        is_configured: &dyn Fn(&str) -> bool,
        lines: &mut String,
    ) -> Result<()> {
        let mut activated: BTreeSet<(&str, bool)> = BTreeSet::new();
        for directive in directives(archive)? {
            if let Directive::Activate { trigger, waits } = directive {
                let interests = self.interests.get(trigger).map_or(&[][..], Vec::as_slice);
                if interests.iter().any(|one| is_configured(&one.package)) {
                    activated.insert((trigger, waits));
                }
            }
        }
        for (trigger, interest) in &self.files {
            let is_hit = || list.iter().any(|path| is_below(path, trigger.as_bytes()));
            if is_configured(&interest.package) && is_hit() {
                activated.insert((trigger, true));
            }
        }
        for (trigger, waits) in activated {
            let awaiter = if waits { package } else { "-" };
            lines.push_str(&format!("{trigger} {awaiter}\n"));
        }
        Ok(())
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn directives(archive: &Archive) -> Result<Vec<Directive<'_>>> {
    let Some(file) = archive.control_file("triggers") else {
        return Ok(Vec::new());
    };
    let text = std::str::from_utf8(&file.content).context("reading the triggers of a package")?;
    parse(text).with_context(|| format!("reading the triggers of `{}`", archive.package()))
}

fn parse(text: &str) -> Result<Vec<Directive<'_>>> {
    let mut directives = Vec::new();
    for line in text.lines() {
        let line = line
            .split_once('#')
            .map_or(line, |(before, _)| before)
            .trim();
        if line.is_empty() {
            continue;
        }
        let Some((word, trigger)) = line.split_once([' ', '\t']) else {
            bail!("`{line}` names no trigger");
        };
        let trigger = trigger.trim();
        let is_path = trigger.starts_with('/');
        // A name becomes a file's name; a path is only ever compared.
        if trigger.contains(char::is_whitespace) || (!is_path && trigger.contains('/')) {
            bail!("`{trigger}` is not the name of a trigger");
        }
        directives.push(match word {
            "interest" | "interest-await" => Directive::Interest {
                trigger,
                waits: true,
            },
            "interest-noawait" => Directive::Interest {
                trigger,
                waits: false,
            },
            "activate" | "activate-await" => Directive::Activate {
                trigger,
                waits: true,
            },
            "activate-noawait" => Directive::Activate {
                trigger,
                waits: false,
            },
            other => bail!("`{other}` is not a directive"),
        });
    }
    Ok(directives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_with_their_defaults() {
        let text = "# comment\ninterest /usr/share/man # pages\ninterest-noawait x\nactivate y\nactivate-noawait z\n";
        assert_eq!(
            parse(text).unwrap(),
            [
                Directive::Interest {
                    trigger: "/usr/share/man",
                    waits: true
                },
                Directive::Interest {
                    trigger: "x",
                    waits: false
                },
                Directive::Activate {
                    trigger: "y",
                    waits: true
                },
                Directive::Activate {
                    trigger: "z",
                    waits: false
                },
            ]
        );
    }

    #[test]
    fn names_that_would_leave_the_directory_are_errors() {
        for text in [
            "interest ../../etc/passwd",
            "interest",
            "interest a b",
            "listen x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_is_not_below_its_namesake() {
        assert!(is_below(b"/usr/share/man/man1", b"/usr/share/man"));
        assert!(is_below(b"/usr/share/man", b"/usr/share/man"));
        assert!(!is_below(b"/usr/share/manual", b"/usr/share/man"));
    }
}
