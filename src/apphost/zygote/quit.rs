//! The end at once, and what hooks have to do with it: those of workers get a moment, as gunicorn gives them one.

use super::Zygote;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::socket::Watch;

/// How long the hooks of all workers together may take.
const HOOKS_PAUSE: Duration = Duration::from_secs(1);
/// How often they are told: Python runs what a signal calls when it next looks, and a worker that was about to sleep then looks no more.
const AGAIN_MS: u64 = 50;

impl Zygote<'_> {
    /// Does not wait for requests.
    pub(super) fn quit(&mut self) -> ! {
        if self.hooks.minds_quit(self.py) {
            self.draining = true;
            for place in &mut self.places {
                place.fork_at = None;
            }
            self.interrupt_workers(Instant::now() + HOOKS_PAUSE);
        }
        self.hooks.note(self.py, c"exiting");
        // Those that are left end with us.
        sys::process::exit_now(0)
    }

    /// Until all have gone, or nobody waits for them any more.
    fn interrupt_workers(&mut self, until: Instant) {
        loop {
            for index in (0..self.places.len()).rev() {
                self.look_at(index);
            }
            let children = self.places.iter().filter_map(|place| place.child.as_ref());
            let mut watches: Vec<Watch<'_>> = children
                .inspect(|child| signal(child.pid, sys::process::SIGQUIT))
                .map(|child| Watch::read(child.ended.as_fd()))
                .collect();
            let left = until.saturating_duration_since(Instant::now());
            if watches.is_empty() || left.is_zero() {
                return;
            }
            let left_ms = (left.as_millis() as u64 + 1).min(AGAIN_MS);
            let waited = self
                .py
                .detached(|| sys::socket::poll(&mut watches, Some(left_ms)));
            if waited.is_err() {
                return;
            }
        }
    }

    /// To hooks: so many workers are wanted.
    pub(super) fn tell_count(&self) {
        let wanted = self.places.iter().filter(|place| !place.retiring).count();
        self.hooks.tell(self.py, c"counted", wanted as u32);
    }
}

pub(super) fn signal(pid: u32, number: i32) {
    if let Err(error) = sys::process::kill(pid, number) {
        eprintln!("ringgate: cannot signal worker {pid}: {error}");
    }
}
