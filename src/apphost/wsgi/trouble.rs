//! What can go wrong between an application's return value and the exchange.

use super::session::{Revoked, Stop};
use crate::ffi::{Kind, Object, Python, Raised};

/// What stopped the application or us.
pub enum Trouble {
    /// An exception out of the application.
    Raised(Raised),
    Stop(Stop),
    /// Fewer bytes than Content-Length said.
    Short {
        promised: u64,
        sent: u64,
    },
    /// More of them.
    Overrun,
}

impl From<Raised> for Trouble {
    fn from(raised: Raised) -> Trouble {
        Trouble::Raised(raised)
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Trouble {
        Trouble::Stop(stop)
    }
}

impl From<Revoked> for Trouble {
    fn from(_: Revoked) -> Trouble {
        Trouble::Stop(Stop::Revoked)
    }
}

#[cold]
pub fn not_bytes(py: Python<'_>, block: &Object) -> Raised {
    Raised::new(
        py,
        Kind::TypeError,
        &format!(
            "the application yielded {} where bytes are due",
            block.type_name()
        ),
    )
}

#[cold]
pub fn no_head(py: Python<'_>) -> Raised {
    Raised::new(
        py,
        Kind::AssertionError,
        "the application did not call start_response()",
    )
}
