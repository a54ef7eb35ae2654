//! Sockets that carry whole packets, and open files with them (`SOCK_SEQPACKET` of `unix(7)`): how foreign modules talk
//! to this program.
//!
//! A packet is a text. One that is longer than a socket may hold travels as a file in memory: the packet is then
//! [`VIA_DESCRIPTOR`] alone, and the first descriptor with it is that file (upstream: `util/jsoncomm.py`).

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    accept_with, bind, connect, listen, recv, recvmsg, sendmsg, socket_with, socketpair,
};

use crate::supervise::retry;

/// Stands for a text that is in the first descriptor.
const VIA_DESCRIPTOR: &[u8] = b"<args-via-fd>";

/// The kernel's limit (`SCM_MAX_FD`).
const MAXIMUM_DESCRIPTORS: usize = 253;

/// What a socket holds where the kernel does not say.
const FALLBACK_LIMIT: usize = 64_000;

/// The longest text that is taken. Manifests, whose items are handed to sources, are the longest; theirs are below 100 MB.
const MAXIMUM_TEXT: u64 = 1 << 30;

/// Connections that may wait; all of a stage's processes could ask at once.
const BACKLOG: i32 = 1024;

/// One end of a connection. It never blocks: wait for it with `poll`.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// What came in one piece.
#[derive(Debug)]
pub struct Packet {
    /// The text.
    pub text: Vec<u8>,
    /// The open files that came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for PacketSocket {
    /// Takes an end that someone else made, blocking or not.
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl PacketSocket {
    /// Makes a connection: our end, and one for another program, which blocks as such programs expect.
    pub fn pair() -> Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .context("making a pair of sockets")?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self(ours), theirs))
    }

    /// Connects to the listener at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        let socket = new_socket()?;
        connect(&socket, &SocketAddrUnix::new(path)?)
            .with_context(|| format!("connecting to {}", path.display()))?;
        Ok(Self(socket))
    }

    /// Sends a text and open files.
    ///
    /// # Errors
    /// Also when the other end does not take what it was sent before.
    pub fn send(&self, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        if text.len() <= packet_limit() {
            set_socket_send_buffer_size(&self.0, text.len())?;
            return self.send_packet(text, descriptors);
        }
        let file = memfd_create("packet", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(file);
        file.write_all(text)?;
        file.rewind()?;
        let all: Vec<_> = std::iter::once(file.as_fd())
            .chain(descriptors.iter().copied())
            .collect();
        self.send_packet(VIA_DESCRIPTOR, &all)
    }

    fn send_packet(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        ensure!(
            descriptors.len() <= MAXIMUM_DESCRIPTORS,
            "{} descriptors are too many for a packet",
            descriptors.len()
        );
        let mut space = control_space();
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = retry(|| sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, flags))
            .context("sending a packet")?;
        ensure!(sent == bytes.len(), "a packet was cut off");
        Ok(())
    }

    /// Takes a packet that `poll` promised; none at the end of the connection.
    ///
    /// # Errors
    /// A packet that is cut off, names a file that is not there, or is too long.
    pub fn receive(&self) -> Result<Option<Packet>> {
        let peek = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let mut nothing = [0_u8; 0];
        let length = match retry(|| recv(&self.0, &mut nothing[..], peek)) {
            Ok((_, length)) => length,
            Err(Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(error).context("waiting for a packet"),
        };
        if length == 0 {
            return Ok(None);
        }
        let (text, mut descriptors) = self.receive_packet(length)?;
        if text != VIA_DESCRIPTOR {
            return Ok(Some(Packet { text, descriptors }));
        }
        ensure!(
            !descriptors.is_empty(),
            "a packet refers to a file that did not come with it"
        );
        let text = read_file(File::from(descriptors.remove(0)))?;
        Ok(Some(Packet { text, descriptors }))
    }

    fn receive_packet(&self, length: usize) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut bytes = vec![0; length];
        let mut space = control_space();
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = retry(|| {
            recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                flags,
            )
        })
        .context("receiving a packet")?;
        let descriptors = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
        if received.flags.intersects(cut) {
            bail!("a packet was cut off");
        }
        bytes.truncate(received.bytes);
        Ok((bytes, descriptors))
    }
}

/// Takes connections at a path. Whoever made the path removes it.
#[derive(Debug)]
pub struct PacketListener(OwnedFd);

impl AsFd for PacketListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PacketListener {
    /// Listens at `path`, which must not exist.
    pub fn bind(path: &Path) -> Result<Self> {
        let socket = new_socket()?;
        let listening = || format!("listening at {}", path.display());
        bind(&socket, &SocketAddrUnix::new(path).with_context(listening)?)
            .with_context(listening)?;
        listen(&socket, BACKLOG).with_context(listening)?;
        Ok(Self(socket))
    }

    /// Takes a connection; none if the one that `poll` promised is gone.
    pub fn accept(&self) -> Result<Option<PacketSocket>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match retry(|| accept_with(&self.0, flags)) {
            Ok(socket) => Ok(Some(PacketSocket(socket))),
            Err(Errno::AGAIN | Errno::CONNABORTED) => Ok(None),
            Err(error) => Err(error).context("taking a connection"),
        }
    }
}

fn new_socket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).context("making a socket")
}

/// Gives the longest text that fits into a packet (`net.core.wmem_max`).
fn packet_limit() -> usize {
    fs_err::read_to_string("/proc/sys/net/core/wmem_max")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(FALLBACK_LIMIT)
}

fn control_space() -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAXIMUM_DESCRIPTORS))]
}

fn read_file(file: File) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAXIMUM_TEXT + 1)
        .read_to_end(&mut text)
        .context("reading a packet from its file")?;
    ensure!(
        text.len() as u64 <= MAXIMUM_TEXT,
        "a packet is longer than {MAXIMUM_TEXT} bytes"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (PacketSocket, PacketSocket) {
        let (ours, theirs) = PacketSocket::pair().unwrap();
        (ours, PacketSocket(theirs))
    }

    #[test]
    fn packets_arrive_whole_and_in_order() {
        let (one, other) = pair();
        for text in ["{}", "[1, 2]"] {
            one.send(text.as_bytes(), &[]).unwrap();
        }
        for text in ["{}", "[1, 2]"] {
            assert_eq!(other.receive().unwrap().unwrap().text, text.as_bytes());
        }
        drop(one);
        assert!(other.receive().unwrap().is_none());
    }

    #[test]
    fn open_files_come_along() {
        let (one, other) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        one.send(b"{}", &[file.as_fd(), one.as_fd()]).unwrap();
        let mut packet = other.receive().unwrap().unwrap();
        assert_eq!(packet.descriptors.len(), 2);
        let mut content = String::new();
        File::from(packet.descriptors.remove(0))
            .read_to_string(&mut content)
            .unwrap();
        assert_eq!(content, "content");
    }

    #[test]
    fn a_text_of_any_length_arrives() {
        for length in [1, 5000, packet_limit(), packet_limit() + 1, 20_000_000] {
            let (one, other) = pair();
            let text = vec![b'x'; length];
            one.send(&text, &[one.as_fd()]).unwrap();
            let packet = other.receive().unwrap().unwrap();
            assert!(packet.text == text, "{length}");
            assert_eq!(packet.descriptors.len(), 1);
        }
    }

    #[test]
    fn a_reference_to_a_file_that_is_missing_is_an_error() {
        let (one, other) = pair();
        one.send(VIA_DESCRIPTOR, &[]).unwrap();
        assert_eq!(
            other.receive().unwrap_err().to_string(),
            "a packet refers to a file that did not come with it"
        );
    }

    #[test]
    fn a_reader_that_does_not_read_is_an_error_and_no_wait() {
        let (one, _other) = pair();
        let text = vec![b'x'; 1000];
        let failed = (0..100_000).find_map(|_| one.send(&text, &[]).err());
        assert_eq!(failed.unwrap().to_string(), "sending a packet");
    }

    #[test]
    fn whoever_connects_is_heard() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = PacketListener::bind(&path).unwrap();
        assert!(listener.accept().unwrap().is_none());
        let client = PacketSocket::connect(&path).unwrap();
        client.send(b"hello", &[]).unwrap();
        let server = listener.accept().unwrap().unwrap();
        assert_eq!(server.receive().unwrap().unwrap().text, b"hello");
    }
}
