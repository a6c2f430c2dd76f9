//! gunicorn's hooks in a host of interpreters: those of the server in the main interpreter, those of a worker in its own.

use super::Interpreters;
use crate::ffi::Handle;
use crate::{hooks, private};
use std::ffi::CStr;
use std::time::Duration;

/// How long the hooks of all workers together may take at the end.
const HOOKS_PAUSE: Duration = Duration::from_secs(1);

impl Interpreters {
    /// Calls a function of the server's hooks.
    pub(super) fn tell_hooks(&self, name: &'static CStr, number: Option<u16>) {
        if let Some(main) = self.hooked {
            hooks::visit(main, name, number);
        }
    }

    /// So many workers are wanted.
    pub(super) fn tell_count(&self) {
        let leads = |place: &&super::Held| place.leader == place.seat.spec.index && !place.retiring;
        let wanted = self.places.iter().filter(leads).count();
        self.tell_hooks(c"counted", Some(wanted as u16));
    }

    /// Does not wait for requests, but a moment for the workers' hooks.
    pub(super) fn quit(&self) -> ! {
        if self.hooked.is_some() {
            hooks::visit_all(self.workers(), c"interrupted", HOOKS_PAUSE);
            for place in &self.places {
                self.tell_hooks(c"left", Some(place.seat.spec.index));
            }
            self.tell_hooks(c"exiting", None);
        }
        private::clean();
        sys::process::exit_now(0)
    }

    /// This worker is left behind. Its own hooks hear of it on a thread that may be lost with it.
    pub(super) fn tell_aborted(&self, worker: Option<Handle>) {
        if let (Some(_), Some(worker)) = (self.hooked, worker) {
            hooks::visit_all(vec![worker], c"aborted", Duration::ZERO);
        }
    }

    /// One interpreter each, of those that have the hooks.
    fn workers(&self) -> Vec<Handle> {
        let up = self
            .places
            .iter()
            .filter(|place| place.up && !place.ended && place.leader == place.seat.spec.index);
        up.filter_map(|place| place.seat.seen.handle()).collect()
    }
}
