//! Runs a sandbox with bubblewrap: slower than [`crate::namespaces`] by its own start, but not our code.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::process::WaitIdStatus;

use crate::capability::Capability;
use crate::executor::{Finished, Limits, Reason};
use crate::spec::{Access, Entry, Network, Presence, SandboxSpec};
use crate::supervise::{Channels, Child, Killed, read_to_end};
use crate::syscalls::{ParentDeath, Spawn, spawn_in_namespaces};

/// Where bubblewrap is looked for: the directories that a stage's own programs are in.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/usr/sbin"];

/// The descriptor on which bubblewrap tells, as JSON, how the program ended.
const STATUS: &str = "3";

/// Computes the arguments of `bwrap`, without its name.
pub fn arguments(spec: &SandboxSpec) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::new());
    arguments.add(["--chdir", "/", "--die-with-parent", "--new-session"]);
    arguments.add(["--unshare-ipc", "--unshare-pid"]);
    if spec.network == Network::Isolated {
        arguments.add(["--unshare-net"]);
    }
    arguments.add(["--json-status-fd", STATUS]);
    arguments.add(["--cap-drop", "ALL"]);
    let mut names: Vec<_> = spec.capabilities.iter().map(Capability::name).collect();
    names.sort_unstable();
    for name in names {
        arguments.add(["--cap-add", name]);
    }
    for entry in &spec.entries {
        arguments.entry(entry);
    }
    arguments.add(["--"]);
    arguments.0.extend(spec.command.iter().cloned());
    arguments.0
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const COUNT: usize>(&mut self, words: [&str; COUNT]) {
        self.0.extend(words.map(OsString::from));
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Bind {
                source,
                target,
                access,
                presence,
            } => {
                let mut option = OsString::from(match access {
                    Access::ReadOnly => "--ro-bind",
                    Access::ReadWrite => "--bind",
                    Access::Device => "--dev-bind",
                });
                if *presence == Presence::Optional {
                    option.push("-try");
                }
                self.0.extend([option, source.into(), target.into()]);
            }
            Entry::Symlink { content, target } => {
                self.0
                    .extend([OsString::from("--symlink"), content.into(), target.into()]);
            }
            Entry::Directory { target } => self.target("--dir", target),
            Entry::Tmpfs { target } => self.target("--tmpfs", target),
            Entry::Proc { target } => {
                self.target("--proc", target);
                // Bubblewrap means to protect it, but takes the kernel's "no" to writing the directory
                // itself for "it is read-only already".
                self.add(["--ro-bind", "/proc/sys"]);
                self.0.push(target.join("sys").into());
            }
        }
    }

    fn target(&mut self, option: &str, target: &Path) {
        self.0.extend([OsString::from(option), target.into()]);
    }
}

/// Runs `spec` to its end. A program that dies of signal N is reported as exit status 128 + N, which is all
/// that bubblewrap tells.
pub(crate) fn run(
    spec: &SandboxSpec,
    limits: &Limits<'_>,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<Finished> {
    let started = Instant::now();
    let program = find()?;
    let channels = Channels::open()?;
    let mut child = spawn(&program, spec, &channels).context("starting bubblewrap")?;
    let Channels { output, status, .. } = channels;
    drop((output.1, status.1));
    let mut complaint = Complaint::default();
    let (ended, killed) = child.supervise(&output.0, started, limits, &mut |bytes| {
        complaint.listen(bytes);
        on_output(bytes);
    })?;
    let duration = started.elapsed();
    let status = read_to_end(status.0)?;
    let reason = match killed {
        Some(Killed::TimedOut) => Reason::TimedOut,
        Some(Killed::Cancelled) => Reason::Cancelled,
        None => reason(&ended, &status, &complaint)?,
    };
    Ok(Finished { reason, duration })
}

fn reason(ended: &WaitIdStatus, status: &[u8], complaint: &Complaint) -> Result<Reason> {
    if let Some(signal) = ended.terminating_signal() {
        return Ok(Reason::Signalled { signal });
    }
    match exit_code(status) {
        Some(status) => Ok(Reason::Exited { status }),
        None => bail!(
            "bubblewrap could not make the sandbox: {}",
            complaint.text()
        ),
    }
}

/// Gives the program's exit status; bubblewrap tells none if it did not get as far as starting it.
fn exit_code(status: &[u8]) -> Option<i32> {
    let text = String::from_utf8_lossy(status);
    let (_, after) = text.split_once("\"exit-code\"")?;
    let digits = after.trim_start_matches([':', ' ']);
    let end = digits
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The beginning of the output, for when it turns out to be bubblewrap's own words.
#[derive(Default)]
struct Complaint(Vec<u8>);

impl Complaint {
    /// Bubblewrap says one line and ends.
    const MAXIMUM: usize = 1024;

    fn listen(&mut self, bytes: &[u8]) {
        let room = Self::MAXIMUM.saturating_sub(self.0.len());
        self.0.extend(&bytes[..bytes.len().min(room)]);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).trim_end().to_owned()
    }
}

fn spawn(program: &Path, spec: &SandboxSpec, channels: &Channels) -> Result<Child> {
    let words = std::iter::once(OsString::from("bwrap"))
        .chain(arguments(spec))
        .map(|word| CString::new(word.into_vec()).context("a path holds a zero byte"))
        .collect::<Result<Vec<_>>>()?;
    let environment = spec
        .environment
        .iter()
        .map(|(name, value)| {
            let variable = [name.as_os_str(), OsStr::new("="), value];
            CString::new(variable.map(OsStrExt::as_bytes).concat())
                .context("a variable holds a zero byte")
        })
        .collect::<Result<Vec<_>>>()?;
    let executable = CString::new(program.as_os_str().as_bytes())?;
    let output = channels.output.1.as_fd();
    let (_, pidfd) = spawn_in_namespaces(&Spawn {
        // It makes its own, but only this one makes sure that killing it at any moment ends all it started.
        namespaces: libc::CLONE_NEWPID,
        parent_death: ParentDeath::Kill,
        executable: &executable,
        arguments: &words,
        environment: &environment,
        descriptors: &[
            channels.null.as_fd(),
            output,
            output,
            channels.status.1.as_fd(),
        ],
    })?;
    Ok(Child::new(pidfd))
}

/// Finds the program `bwrap`.
pub(crate) fn find() -> Result<PathBuf> {
    find_in(&DIRECTORIES)
}

fn find_in(directories: &[&str]) -> Result<PathBuf> {
    directories
        .iter()
        .map(|directory| Path::new(directory).join("bwrap"))
        .find(|path| path.is_file())
        .context(
            "`bwrap` is not installed: the package `bubblewrap` brings it (`apt install bubblewrap`, `dnf install bubblewrap`)",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_found_and_its_absence_too() {
        let both = b"{ \"child-pid\": 7 }\n{ \"exit-code\": 143 }\n";
        assert_eq!(exit_code(both), Some(143));
        assert_eq!(exit_code(b"{ \"child-pid\": 7 }\n"), None);
        assert_eq!(exit_code(b""), None);
    }

    #[test]
    fn a_missing_bubblewrap_is_named_with_its_package() {
        let error = find_in(&["/nowhere"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`bwrap` is not installed: the package `bubblewrap` brings it (`apt install bubblewrap`, `dnf install bubblewrap`)"
        );
    }
}
