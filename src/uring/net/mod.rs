//! Listeners and connected sockets: one file per operation.

mod accept;
mod poll;
mod receive;
mod send;
mod socket;

pub use accept::{AcceptStream, Listener};
pub use poll::Writable;
pub use receive::{RecvBuf, RecvFuture};
pub use send::{IoBuf, SendFuture};
pub use socket::Socket;
pub use sys::transfer::Shutdown;
