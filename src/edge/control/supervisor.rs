//! The supervisor's channel, for tasks.
//!
//! Owns our end. Invariant: messages leave whole and in the order of `send`. Must not know what messages mean.

use control::Channel;
use control::message::{FromEdge, ToEdge};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

pub struct Supervisor {
    channel: Channel,
    /// A duplicate of the channel's socket, for its readiness only. tokio has no type for SOCK_SEQPACKET, and its
    /// general `AsyncFd` cannot be made without unsafe code.
    readiness: UnixDatagram,
}

impl Supervisor {
    /// `channel` is non-blocking.
    pub fn new(channel: Channel) -> io::Result<Supervisor> {
        let duplicate = sys::socket::duplicate(channel.as_fd())?;
        let readiness = UnixDatagram::from_std(duplicate.into())?;
        Ok(Supervisor { channel, readiness })
    }

    /// The next message; `None` when the supervisor is gone. Cancel-safe: nothing is taken before it is returned.
    pub async fn next(&self) -> io::Result<Option<(ToEdge, Vec<OwnedFd>)>> {
        self.readiness
            .async_io(Interest::READABLE, || self.channel.recv::<ToEdge>())
            .await
    }

    /// Sends a message, waiting while the supervisor is busy. A supervisor that is gone is noticed by `next`.
    pub async fn send(&self, message: FromEdge) {
        drop(
            self.readiness
                .async_io(Interest::WRITABLE, || self.channel.send(&message, &[]))
                .await,
        );
    }
}
