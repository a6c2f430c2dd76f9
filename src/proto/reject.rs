//! A refused request: the status to answer with and why, in words fit for a log line.
//!
//! Invariant: after a `Reject` the framing of the connection is lost; the answer goes out with `Connection: close`.

use std::fmt;

/// Why a request was refused. `reason` is static: nothing the client sent is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status of the answer: 400, 414, 417, 431, 501 or 505 from this crate.
    pub status: u16,
    /// One clause, lower case, for the log and the error page.
    pub reason: &'static str,
}

impl Reject {
    pub const fn new(status: u16, reason: &'static str) -> Reject {
        Reject { status, reason }
    }

    /// 400: the peer broke the grammar, or sent what could be read in two ways.
    pub const fn bad(reason: &'static str) -> Reject {
        Reject::new(400, reason)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason)
    }
}

impl std::error::Error for Reject {}
