//! A SOCK_SEQPACKET socket that carries one JSON message per packet, with descriptors beside it.
//!
//! Owns its descriptor. Invariant: packets are whole (the kernel's promise), so there is no buffer between calls.
//! Works blocking and non-blocking. Must not know what the messages mean.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Longest message in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Most descriptors beside one message: the kernel's SCM_MAX_FD.
pub const DESCRIPTORS_MAX: usize = 253;

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
        let bytes = encode(message)?;
        self.send_encoded(&bytes, descriptors)
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
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "too many descriptors beside one message",
            ));
        }
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
        let message = serde_json::from_slice(&buffer[..count])
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

/// A message as it travels.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "message of {} bytes; at most {MESSAGE_BYTES_MAX}",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
