//! A module as a process of its own: how upstream's engine, and ours from a library directory, run modules on the host.
//!
//! `LIBRARY/inputs/org.osbuild.files --service-id input/NAME --service-fd N` answers calls that come as packets over
//! descriptor N, until the other end closes it. Then it undoes what it did, from the last to the first, and ends.
//! Nothing else ends it: signals that a terminal sends to everyone are left to whoever started it.
//!
//! | module | does |
//! |---|---|
//! | `protocol` | the texts of calls and answers |
//! | `dispatch` | from a call to the module and back |
//! | `store_client` | where inputs learn of trees and downloads |

mod dispatch;
mod protocol;
mod store_client;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use osbuild_manifest::module::ModuleKind;
use osbuild_sandbox::{Packet, PacketSocket};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::table::{HostModule, lookup};
use dispatch::Service;

/// The kinds of modules that are services.
const KINDS: [ModuleKind; 4] = [
    ModuleKind::Source,
    ModuleKind::Input,
    ModuleKind::Device,
    ModuleKind::Mount,
];

/// What a service prints its lines with. They are shown as those of the module.
pub type Print<'a> = &'a (dyn Fn(&str) + Sync);

/// What this program was started as, if as a service.
pub struct ServiceCall {
    module: &'static HostModule,
    descriptor: i32,
}

impl ServiceCall {
    /// Tells whether this program was started as a module on the host: by the name of one, with a descriptor. Modules of
    /// several kinds may have one name; the folder it was started from says which is meant, else the service's id does.
    pub fn detect(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.into_iter();
        let program = arguments.next()?;
        let rest: Vec<OsString> = arguments.collect();
        let descriptor = option(&rest, "--service-fd")?.to_str()?.parse().ok()?;
        let path = Path::new(&program);
        let name = path.file_name()?.to_str()?;
        let folder = path.parent().and_then(Path::file_name);
        let identifier = option(&rest, "--service-id").and_then(OsStr::to_str);
        let noun = identifier
            .and_then(|id| id.split_once('/'))
            .map(|(noun, _)| noun);
        let of_folder = |kind: &&ModuleKind| folder.is_some_and(|folder| folder == kind.folder());
        let of_noun = |kind: &&ModuleKind| noun == Some(kind.noun());
        let kind = KINDS
            .iter()
            .find(of_folder)
            .or_else(|| KINDS.iter().find(of_noun))?;
        let module = lookup(*kind, name)?;
        Some(Self { module, descriptor })
    }

    /// Answers calls until the other end closes the connection, and undoes everything. To be called before anything is
    /// opened: the number of the descriptor would be another's.
    ///
    /// # Errors
    /// The descriptor is no such connection, or the connection broke.
    pub fn serve(&self, print: Print<'_>) -> Result<()> {
        let descriptor = osbuild_sandbox::descriptor::inherited(self.descriptor)
            .with_context(|| format!("taking descriptor {}", self.descriptor))?;
        osbuild_sandbox::interruption::leave_to_caller()?;
        let socket = PacketSocket::from(descriptor);
        let mut service = Service::new(self.module, print);
        let served = answer_calls(&socket, &mut service);
        service.undo();
        served
    }
}

fn answer_calls(socket: &PacketSocket, service: &mut Service<'_>) -> Result<()> {
    while let Some(packet) = next_packet(socket)? {
        let answer = service.answer(&packet.text, socket);
        match socket.send(answer.as_bytes(), &[]) {
            Err(error) if is_gone(&error) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Whoever asked is gone: nobody is left to tell, and it is time to undo everything.
fn is_gone(error: &anyhow::Error) -> bool {
    let errno = error.root_cause().downcast_ref::<Errno>();
    matches!(errno, Some(&(Errno::PIPE | Errno::CONNRESET)))
}

/// Waits for a packet; none at the end of the connection.
fn next_packet(socket: &PacketSocket) -> Result<Option<Packet>> {
    loop {
        let mut descriptors = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Ok(_) => return socket.receive(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for a call"),
        }
    }
}

/// Gives the value of an option, as `--name value` or `--name=value`.
fn option<'a>(arguments: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    arguments.iter().enumerate().find_map(|(index, argument)| {
        if argument == name {
            return arguments.get(index + 1).map(OsString::as_os_str);
        }
        let value = argument.to_str()?.strip_prefix(name)?.strip_prefix('=')?;
        Some(OsStr::new(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(line: &str) -> Option<(ModuleKind, &'static str, i32)> {
        let call = ServiceCall::detect(line.split(' ').map(OsString::from))?;
        Some((call.module.kind, call.module.name, call.descriptor))
    }

    #[test]
    fn the_folder_says_which_kind_is_meant_or_else_the_id() {
        let files = Some((ModuleKind::Input, "org.osbuild.files", 3));
        for (line, expected) in [
            (
                "/lib/inputs/org.osbuild.files --service-id x --service-fd 3",
                files,
            ),
            ("inputs/org.osbuild.files --service-fd=3", files),
            (
                "org.osbuild.files --service-id input/a/b --service-fd 3",
                files,
            ),
            (
                "/lib/mounts/org.osbuild.ext4 --service-id input/a --service-fd 9",
                Some((ModuleKind::Mount, "org.osbuild.ext4", 9)),
            ),
            (
                "org.osbuild.files --service-id mount/a --service-fd 3",
                None,
            ),
            ("org.osbuild.files --service-fd 3", None),
            ("/lib/inputs/org.osbuild.none --service-fd 3", None),
            ("/lib/inputs/org.osbuild.files --service-id input/a", None),
            ("/lib/inputs/org.osbuild.files --service-fd x", None),
            ("osbuild --inspect -", None),
        ] {
            assert_eq!(detect(line), expected, "{line}");
        }
    }
}
