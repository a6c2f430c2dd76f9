//! What a turn of the loop does: looks into the inbox, takes requests, and knows when to stop.

use super::desk::Desk;
use crate::ffi::Python;
use std::rc::Rc;

/// Requests taken in one turn, so that the tasks that run are not starved by those that come.
const CLAIMS_PER_TURN: usize = 16;

impl Desk {
    /// Looks at everything that may have come; the lease is held. `busy`: the loop has other things to do as well, so what somebody else can take is left to
    /// them. Returns whether anything was done; `None`: the seat was taken away.
    pub fn work(self: &Rc<Desk>, py: Python<'_>, busy: bool) -> Option<bool> {
        let mut news = self.take_retries();
        let mut leaving = false;
        {
            let seat = self.seat.borrow();
            let Some(seat) = seat.as_ref() else {
                return Some(false);
            };
            seat.inbox(|slot| news.push(slot));
            if !self.draining.get() && (seat.should_drain() || sys::signal::term_noted()) {
                self.draining.set(true);
                leaving = true;
                seat.pass_on();
            }
        }
        if leaving
            && let Some(runner) = self.runner()
            && let Err(raised) = runner.object.call_member(c"stop", &[])
        {
            self.report(py, "cannot stop the loop", Some(raised.take()));
        }
        let mut done = !news.is_empty();
        for slot in news {
            if let Some(request) = self.in_slot(slot) {
                request.news(py);
                self.leave_slot(&request);
            }
        }
        if self.draining.get() {
            self.look_quiet(py);
            return Some(done);
        }
        for _ in 0..CLAIMS_PER_TURN {
            let claim = {
                let mut seat = self.seat.borrow_mut();
                let Some(seat) = seat.as_mut() else {
                    return Some(done);
                };
                if busy && seat.leave_to_others() {
                    break;
                }
                seat.try_claim()
            };
            let Some(claim) = claim else { break };
            done = true;
            self.accept(py, claim);
            if self.revoked.get() {
                return None;
            }
        }
        Some(done)
    }
}
