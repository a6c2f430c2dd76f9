//! The words between a server and the one that it started to take its place: over a SOCK_SEQPACKET socket, as everything here.
//!
//! The two may be of different versions. Invariants: fields are only ever added, with a default; a message that is not understood is passed over.

use config::Address;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The environment variable that tells a new server on which descriptor the old one speaks.
pub const VARIABLE: &str = "RINGGATE_UPGRADE";

/// Old to new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHeir {
    /// Descriptors: its sockets, which both have from now on.
    Listener { asked: Asked, address: Address },
    /// Behind the listeners.
    House {
        /// Where the old one's control socket stands.
        control: PathBuf,
    },
    /// The old one serves nobody new any more: its names (pid file, sockets) are the new one's.
    TakeOver,
}

/// How the configuration named a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A port may be 0.
    Address(Address),
    /// An inherited one, by its number in the first server.
    Descriptor(i32),
}

/// New to old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromHeir {
    /// It serves. `listeners`: which of those that it was sent it has.
    Ready {
        listeners: Vec<Address>,
    },
    TookOver,
    /// It will not come up; it ends next.
    Failed {
        message: String,
    },
}
