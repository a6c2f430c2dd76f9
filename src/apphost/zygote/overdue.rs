//! Worker processes with a request that ran over its time.
//!
//! The request in question is interrupted first, in its thread alone; if it does not end, the process does, with all its threads, after it was asked
//! for its stack. An event loop is asked to turn first: one that does is not stuck, whatever its requests wait for.

use super::Zygote;
use super::interrupt::mark;
use super::quit::signal;
use control::message::ToHost;
use shm::Segment;
use std::time::{Duration, Instant};

/// Between the request for a stuck worker's stack and its end.
const STACK_PAUSE: Duration = Duration::from_millis(100);
/// gunicorn's, from SIGABRT to the end: time for the hook `worker_abort`.
const ABORT_PAUSE: Duration = Duration::from_secs(1);
/// How long a live event loop may take to turn when it is asked to.
const LOOP_GRACE: Duration = Duration::from_secs(1);
/// How long an interrupted request may take to give in.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);
const REASON: &str = "killed: a request ran over its time";

/// A thread whose request was interrupted.
pub(super) struct Suspect {
    index: u16,
    /// Which request: when it began. Of an event loop: which turn.
    mark: u64,
    /// An event loop was only asked to turn so far.
    asked: bool,
    pub patience_until: Instant,
}

impl Suspect {
    fn is_still_there(&self, segment: &Segment) -> bool {
        mark(segment, self.index) == Some(self.mark)
    }
}

impl Zygote<'_> {
    pub(super) fn replace(&mut self, index: u16) {
        let Some(place) = self
            .places
            .iter_mut()
            .find(|place| place.indexes().any(|each| each == index))
        else {
            return;
        };
        let threads = place.seats.len();
        let aborts = self.hooks.minds_abort(self.py);
        let as_gunicorn = self.hooks.has(self.py, "worker_abort");
        // Before it is up there is no request, nor anybody who expects the signal.
        let Some(child) = place
            .child
            .as_mut()
            .filter(|child| child.kill_at.is_none() && child.up > 0)
        else {
            return;
        };
        let segment = &self.exchange.segment;
        let looped = segment.worker(index).is_some_and(|record| record.looped);
        if threads == 1 && !looped && as_gunicorn {
            // The hook expects it.
            child.condemn(aborts);
            return;
        }
        let Some(mark) = mark(segment, index) else {
            return;
        };
        if child.suspects.iter().any(|known| known.index == index) {
            return;
        }
        if looped {
            segment.unpark(index);
        } else if child
            .channel
            .send(&ToHost::Interrupt { index, mark }, &[])
            .is_err()
        {
            // It is on its way out.
            return;
        } else if threads == 1 {
            signal(child.pid, sys::process::interrupt_signal());
        }
        child.suspects.push(Suspect {
            index,
            mark,
            asked: looped,
            patience_until: Instant::now() + if looped { LOOP_GRACE } else { INTERRUPT_GRACE },
        });
    }

    pub(super) fn kill_due(&mut self) {
        let now = Instant::now();
        let segment = &self.exchange.segment;
        let (py, hooks) = (self.py, &self.hooks);
        for child in self
            .places
            .iter_mut()
            .filter_map(|place| place.child.as_mut())
        {
            child
                .suspects
                .retain(|suspect| suspect.is_still_there(segment));
            child.interrupt_loop(now);
            let stuck = child
                .suspects
                .iter()
                .any(|suspect| suspect.patience_until <= now);
            if stuck {
                child.suspects.clear();
                child.condemn(hooks.minds_abort(py));
            }
            if child.kill_at.is_some_and(|at| at <= now) {
                child.kill_at = None;
                signal(child.pid, sys::process::SIGKILL);
            }
        }
    }
}

impl super::Child {
    /// A loop that did not turn when it was asked to: what blocks it is interrupted, in the main thread, where it runs.
    fn interrupt_loop(&mut self, now: Instant) {
        let Some(suspect) = self
            .suspects
            .iter_mut()
            .find(|suspect| suspect.asked && suspect.patience_until <= now)
        else {
            return;
        };
        let (index, mark) = (suspect.index, suspect.mark);
        let order = ToHost::Interrupt { index, mark };
        // A channel that is broken or full is that of a worker which is past reading: its time runs on.
        if self.channel.send(&order, &[]).is_ok() {
            signal(self.pid, sys::process::interrupt_signal());
        }
        suspect.asked = false;
        suspect.patience_until = now + INTERRUPT_GRACE;
    }

    /// Its stack is asked for, and soon it ends; if it `aborts`, by a hook's doing.
    fn condemn(&mut self, aborts: bool) {
        signal(self.pid, sys::process::stack_signal());
        let mut pause = STACK_PAUSE;
        if aborts {
            signal(self.pid, sys::process::SIGABRT);
            pause = ABORT_PAUSE;
        }
        self.kill_at = Some(Instant::now() + pause);
        self.reason = Some(REASON);
    }
}
