//! Interpreters with a request that ran over its time: interrupted, and left behind if that does not help.

use super::thread::INTERRUPT_GRACE;
use super::{Held, Interpreters};
use crate::load::LoadError;
use config::Interface;
use control::message::WorkerSpec;
use std::time::{Duration, Instant};

/// Interpreters left behind (20 to 35 MB each, perhaps with a thread that computes for ever) before the process is given up.
const ABANDONED_PER_SEAT_MAX: usize = 4;

/// How long a live event loop may take to turn when it is asked to.
const LOOP_GRACE: Duration = Duration::from_secs(1);

/// A request that was interrupted, to be looked at again.
pub(super) struct Interrupted {
    index: u16,
    turn: u64,
    pub at: Instant,
    /// Of an event loop that was only asked to turn so far: false.
    told: bool,
}

impl Interpreters {
    /// A request ran over its time.
    pub(super) fn replace(&mut self, index: u16) {
        let known = |place: &&Held| place.seat.spec.index == index;
        let Some(Held { seat, .. }) = self.places.iter().find(known) else {
            return;
        };
        let progress = &seat.seen.progress;
        let looped = progress.interface() == Interface::Asgi;
        // Between two requests: the one in question has ended by itself. A loop is asked to turn: one that does is not stuck, whatever its requests
        // wait for.
        let Some(turn) = progress.turn().or(looped.then(|| progress.mark())) else {
            return;
        };
        if self
            .interrupted
            .iter()
            .any(|known| known.index == index && known.turn == turn)
        {
            return;
        }
        if looped {
            self.exchange.segment.unpark(index);
        } else {
            seat.interrupt(turn);
        }
        let grace = if looped { LOOP_GRACE } else { INTERRUPT_GRACE };
        self.interrupted.push(Interrupted {
            index,
            turn,
            at: Instant::now() + grace,
            told: !looped,
        });
    }

    /// Gives the seats of workers that did not heed the interruption to new ones.
    pub(super) fn look_at_interrupted(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.interrupted)
            .into_iter()
            .partition(|interrupted| interrupted.at <= now);
        self.interrupted = later;
        let due: Vec<Interrupted> = due;
        for interrupted in due {
            let Some(place) = self
                .places
                .iter()
                .position(|place| place.seat.spec.index == interrupted.index)
            else {
                continue;
            };
            let seat = &self.places[place].seat;
            if seat.seen.progress.mark() != interrupted.turn {
                continue;
            }
            if !interrupted.told {
                seat.interrupt(interrupted.turn);
                self.interrupted.push(Interrupted {
                    at: now + INTERRUPT_GRACE,
                    told: true,
                    ..interrupted
                });
                continue;
            }
            seat.show_stack_from_outside();
            if !self.places[place].seat.seen.progress.lease.revoke() {
                // Not in Python but in our own code, e.g. waiting for the client to take bytes: that ends by itself.
                self.interrupted.push(Interrupted {
                    at: now + INTERRUPT_GRACE,
                    ..interrupted
                });
                continue;
            }
            let old = self.places[place].seat.spec;
            self.tell_aborted(self.places[place].seat.seen.handle());
            self.tell_gone(
                old,
                "stuck in a request over its time; its interpreter is left behind",
            );
            self.places[place].up = false;
            if self.draining {
                self.places[place].ended = true;
                continue;
            }
            self.abandoned += 1;
            if self.abandoned > ABANDONED_PER_SEAT_MAX * self.places.len() {
                let message = format!(
                    "{} requests ran over their time and could not be stopped; each keeps an interpreter, so the process is given up",
                    self.abandoned
                );
                self.line.fail(LoadError::new("worker", message));
            }
            let successor = WorkerSpec {
                index: old.index,
                incarnation: old.incarnation.wrapping_add(1).max(1),
            };
            if self.places[place].retiring {
                self.places.remove(place);
                continue;
            }
            // Its interpreter's other threads go on; the successor has one of its own.
            let ends = &self.places[place].ends;
            if let Some(seat) = self.start_worker(std::iter::once((successor, ends))).pop() {
                self.places[place].leader = successor.index;
                self.places[place].seat = seat;
            }
        }
    }
}
