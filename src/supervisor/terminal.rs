//! What commands say to whoever called them.
//!
//! Invariant: a reader who is gone, or a full disk, changes neither the course nor the exit code; `println` would panic.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on stdout: the answer.
pub fn say(line: impl Display) {
    // Nobody reads it.
    drop(writeln!(io::stdout(), "{line}"));
}

/// A line on stderr: what is wrong, or worth knowing.
pub fn complain(line: impl Display) {
    // Likewise.
    drop(writeln!(io::stderr(), "ringgate: {line}"));
}
