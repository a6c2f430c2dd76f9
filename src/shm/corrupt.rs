//! The one error of the exchange's reading side: the other side wrote something that the protocol does not allow.

use std::fmt;

/// Shared memory held a value that no honest peer writes. The text names the rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt(pub &'static str);

impl fmt::Display for Corrupt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the exchange is corrupt: {}", self.0)
    }
}

impl std::error::Error for Corrupt {}
