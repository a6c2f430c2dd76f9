//! A SOCK_SEQPACKET socket that carries one JSON message per packet, with descriptors beside it.
//!
//! Owns its descriptor. Invariant: packets are whole (the kernel's promise), so there is no buffer between calls. A message that no packet
//! takes, such as a configuration of many locations, lies in a sealed memory file, whose descriptor comes last.
//! Works blocking and non-blocking. Must not know what the messages mean.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

/// Longest message in bytes that goes as a packet.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest message in bytes that goes beside one.
pub const LONG_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most descriptors beside one message: the kernel's SCM_MAX_FD less one for a long message.
pub const DESCRIPTORS_MAX: usize = 252;

/// The packet that stands for a long message; no JSON begins so.
const LONG: &[u8] = b"\0";

/// One end of the conversation.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Two connected ends, close-on-exec, blocking.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (a, b) = sys::socket::seqpacket_pair()?;
        Ok((Channel { socket: a }, Channel { socket: b }))
    }

    /// Takes over a descriptor that is an end already (in a child: [`Channel::inherited`]).
    pub fn from_fd(socket: OwnedFd) -> Channel {
        Channel { socket }
    }

    /// The end that a child finds as descriptor 3.
    pub fn inherited() -> io::Result<Channel> {
        Ok(Channel {
            socket: sys::process::inherited(sys::process::CONTROL_FD)?,
        })
    }

    /// Sends one message. `WouldBlock` if the channel is non-blocking and full; `BrokenPipe` if the peer is gone.
    pub fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = to_json(message, LONG_MESSAGE_BYTES_MAX)?;
        if bytes.len() <= MESSAGE_BYTES_MAX {
            return self.send_encoded(&bytes, descriptors);
        }
        check_count(descriptors)?;
        let file = File::from(sys::memfd::create_sealed(
            c"ringgate-message",
            bytes.len() as u64,
        )?);
        file.write_all_at(&bytes, 0)?;
        let mut descriptors = descriptors.to_vec();
        descriptors.push(file.as_fd());
        sys::socket::send_with_fds(self.socket.as_fd(), LONG, &descriptors)
    }

    /// The same with any number of descriptors: those that do not fit beside `message` follow beside as many `more` as it takes.
    pub fn send_with_many<T: Serialize>(
        &self,
        message: &T,
        more: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut pieces = descriptors.chunks(DESCRIPTORS_MAX);
        self.send(message, pieces.next().unwrap_or_default())?;
        pieces.try_for_each(|piece| self.send(more, piece))
    }

    /// Sends what [`encode`] made: for a sender that keeps its own queue.
    pub fn send_encoded(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        check_count(descriptors)?;
        sys::socket::send_with_fds(self.socket.as_fd(), bytes, descriptors)
    }

    /// The next message and its descriptors (close-on-exec); `None` when the peer is gone.
    ///
    /// `WouldBlock` if the channel is non-blocking and empty; `InvalidData` if the packet is no such message.
    pub fn recv<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        let mut descriptors = Vec::new();
        let count =
            match sys::socket::recv_with_fds(self.socket.as_fd(), &mut buffer, &mut descriptors) {
                Ok(count) => count,
                // The peer died with unread messages in its queue; to us that is the same as an orderly end.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error),
            };
        if count == 0 {
            return Ok(None);
        }
        buffer.truncate(count);
        if buffer == LONG {
            buffer = read_long(descriptors.pop())?;
        }
        let message = serde_json::from_slice(&buffer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some((message, descriptors)))
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        sys::socket::set_nonblocking(self.socket.as_fd(), nonblocking)
    }

    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A message as it travels in one packet.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    to_json(message, MESSAGE_BYTES_MAX)
}

fn to_json<T: Serialize>(message: &T, bytes_max: usize) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if bytes.len() > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("message of {} bytes; at most {bytes_max}", bytes.len()),
        ));
    }
    Ok(bytes)
}

fn check_count(descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many descriptors beside one message",
        ));
    }
    Ok(())
}

/// What lies in a memory file that the peer has sent.
fn read_long(file: Option<OwnedFd>) -> io::Result<Vec<u8>> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let file = file.ok_or_else(|| wrong("a long message without its memory file"))?;
    let length = usize::try_from(sys::memfd::sealed_len(file.as_fd())?).unwrap_or(usize::MAX);
    if length > LONG_MESSAGE_BYTES_MAX {
        return Err(wrong("a long message that is too long"));
    }
    let mut bytes = vec![0; length];
    File::from(file).read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
