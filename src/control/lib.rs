//! Messages between our processes and the channel that carries them.
//!
//! `message` is the vocabulary, `heir` that between two servers of which one replaces the other, `channel` the SOCK_SEQPACKET socket with
//! descriptors; `host_log` reads what app hosts print, `visible` is what of it may stand in a log. Knows no policy.
#![forbid(unsafe_code)]

pub mod channel;
pub mod heir;
pub mod host_log;
pub mod message;
pub mod visible;

pub use channel::Channel;
