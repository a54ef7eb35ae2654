//! Hands a [`SandboxSpec`] to process 1 of the sandbox, which is another process of this same program.
//!
//! Words, each ended by a zero byte, which neither paths nor variables can hold. Both ends are one
//! executable file, so there are no versions.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::capability::CapabilitySet;
use crate::spec::{Access, Entry, Network, Presence, SandboxSpec};

/// Ends a list.
const END: &str = "end";

/// Writes a spec as words.
pub(crate) fn encode(spec: &SandboxSpec) -> Result<Vec<u8>> {
    let mut words = Words::default();
    for entry in &spec.entries {
        words.entry(entry)?;
    }
    words.add(END)?;
    for (name, value) in &spec.environment {
        words.add(name)?;
        words.add(value)?;
    }
    words.add(END)?;
    words.add(spec.capabilities.bits().to_string())?;
    words.add(match spec.network {
        Network::Isolated => "isolated",
        Network::Host => "host",
    })?;
    for word in &spec.command {
        words.add(word)?;
    }
    Ok(words.0)
}

#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    fn add(&mut self, word: impl AsRef<OsStr>) -> Result<()> {
        let word = word.as_ref().as_bytes();
        if word.contains(&0) {
            bail!("`{}` holds a zero byte", word.escape_ascii());
        }
        self.0.extend(word);
        self.0.push(0);
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Bind {
                source,
                target,
                access,
                presence,
            } => {
                self.add("bind")?;
                self.add(source)?;
                self.add(target)?;
                self.add(match access {
                    Access::ReadOnly => "read-only",
                    Access::ReadWrite => "read-write",
                    Access::Device => "device",
                })?;
                self.add(match presence {
                    Presence::Required => "required",
                    Presence::Optional => "optional",
                })
            }
            Entry::Symlink { content, target } => {
                self.add("symlink")?;
                self.add(content)?;
                self.add(target)
            }
            Entry::Directory { target } => self.target("directory", target),
            Entry::Tmpfs { target } => self.target("tmpfs", target),
            Entry::Proc { target } => self.target("proc", target),
        }
    }

    fn target(&mut self, kind: &str, target: &Path) -> Result<()> {
        self.add(kind)?;
        self.add(target)
    }
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Result<SandboxSpec> {
    let mut words = bytes
        .split_inclusive(|byte| *byte == 0)
        .map(|word| word.strip_suffix(b"\0").unwrap_or(word));
    let mut entries = Vec::new();
    while let Some(entry) = decode_entry(&mut words)? {
        entries.push(entry);
    }
    let mut environment = Vec::new();
    loop {
        let name = next(&mut words)?;
        // No variable is called so: its name would have to come with a value that is a number of bits.
        if name == END {
            break;
        }
        environment.push((name, next(&mut words)?));
    }
    let bits = text(&mut words)?.parse().context("reading capabilities")?;
    let network = match text(&mut words)?.as_str() {
        "isolated" => Network::Isolated,
        "host" => Network::Host,
        other => bail!("`{other}` is no network"),
    };
    Ok(SandboxSpec {
        entries,
        environment,
        capabilities: CapabilitySet::from_bits(bits),
        network,
        command: words.map(to_os_string).collect(),
    })
}

fn decode_entry<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Result<Option<Entry>> {
    Ok(Some(match text(words)?.as_str() {
        END => return Ok(None),
        "bind" => Entry::Bind {
            source: path(words)?,
            target: path(words)?,
            access: match text(words)?.as_str() {
                "read-only" => Access::ReadOnly,
                "read-write" => Access::ReadWrite,
                "device" => Access::Device,
                other => bail!("`{other}` is no access"),
            },
            presence: match text(words)?.as_str() {
                "required" => Presence::Required,
                "optional" => Presence::Optional,
                other => bail!("`{other}` is no presence"),
            },
        },
        "symlink" => Entry::Symlink {
            content: path(words)?,
            target: path(words)?,
        },
        "directory" => Entry::Directory {
            target: path(words)?,
        },
        "tmpfs" => Entry::Tmpfs {
            target: path(words)?,
        },
        "proc" => Entry::Proc {
            target: path(words)?,
        },
        other => bail!("`{other}` is no entry"),
    }))
}

fn next<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Result<OsString> {
    words
        .next()
        .map(to_os_string)
        .context("the sandbox's description ends too early")
}

fn to_os_string(word: &[u8]) -> OsString {
    OsString::from_vec(word.to_owned())
}

fn path<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Result<PathBuf> {
    next(words).map(PathBuf::from)
}

fn text<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Result<String> {
    Ok(next(words)?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        let bind = |access, presence| Entry::Bind {
            source: PathBuf::from("/a b"),
            target: PathBuf::from("/c\nd"),
            access,
            presence,
        };
        let target = PathBuf::from("/t");
        SandboxSpec {
            entries: vec![
                bind(Access::ReadOnly, Presence::Required),
                bind(Access::ReadWrite, Presence::Optional),
                bind(Access::Device, Presence::Required),
                Entry::Symlink {
                    content: PathBuf::from(""),
                    target: target.clone(),
                },
                Entry::Directory {
                    target: target.clone(),
                },
                Entry::Tmpfs {
                    target: target.clone(),
                },
                Entry::Proc { target },
            ],
            environment: vec![
                ("A".into(), "".into()),
                ("B".into(), OsString::from_vec(vec![0xff, 0xfe])),
            ],
            capabilities: CapabilitySet::stage_default(),
            network: Network::Isolated,
            command: vec!["/x".into(), "".into(), "end".into()],
        }
    }

    #[test]
    fn a_spec_comes_out_as_it_went_in() {
        let host = SandboxSpec {
            network: Network::Host,
            entries: Vec::new(),
            environment: Vec::new(),
            ..spec()
        };
        for spec in [spec(), host] {
            assert_eq!(decode(&encode(&spec).unwrap()).unwrap(), spec);
        }
    }

    #[test]
    fn a_zero_byte_is_refused() {
        let mut spec = spec();
        spec.command.push("a\0b".into());
        assert_eq!(
            encode(&spec).unwrap_err().to_string(),
            "`a\\x00b` holds a zero byte"
        );
    }

    #[test]
    fn a_description_that_is_cut_off_is_an_error() {
        let whole = encode(&spec()).unwrap();
        let error = decode(&whole[..whole.len() / 2]).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
}
