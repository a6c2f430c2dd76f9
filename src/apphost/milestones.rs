//! What a host tells of all its workers together, once each: that they have loaded the application, and that they are up.

use crate::line::Line;
use control::message::FromHost;

#[derive(Default)]
pub struct Milestones {
    loaded: bool,
    up: bool,
}

impl Milestones {
    /// A worker has loaded; perhaps that makes `all`. Whoever holds them back is asked to let them serve.
    pub fn note_loaded(&mut self, line: &Line, all: bool) {
        if all && !std::mem::replace(&mut self.loaded, true) {
            line.send(&FromHost::Loaded);
        }
    }

    /// A worker is up; perhaps that makes `all`. True once: then `Ready` is to be told.
    pub fn reaches_up(&mut self, all: bool) -> bool {
        all && !std::mem::replace(&mut self.up, true)
    }

    /// All have been up at once. Failures are single workers' from here on.
    pub fn is_up(&self) -> bool {
        self.up
    }
}
