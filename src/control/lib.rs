//! Messages between our processes and the channel that carries them.
//!
//! `message` is the vocabulary, `heir` that between two servers of which one replaces the other, `channel` the SOCK_SEQPACKET socket with
//! descriptors. Knows no policy.
#![forbid(unsafe_code)]

pub mod channel;
pub mod heir;
pub mod message;

pub use channel::Channel;
