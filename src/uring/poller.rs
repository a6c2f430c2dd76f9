//! The hook through which a loop looks at the world outside its ring: shared memory, mailboxes.
//!
//! Owns nothing. Must not know what is polled.

/// What the loop may do when it has nothing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Park {
    /// Work appeared: do not block.
    Stay,
    /// Look again by yourself after this many nanoseconds at the latest.
    Nap(u64),
    /// Sleep until a completion, a timer or a doorbell.
    Sleep,
}

/// Called by the loop, always on its thread, never inside a task's poll.
pub trait Poller {
    /// Every turn, after its completions: look outside, wake tasks.
    fn poll(&mut self);
    /// Every turn, after its tasks ran: let go what they queued for others. `more`: the next turn comes at once.
    fn turn_end(&mut self, _more: bool) {}
    /// Nothing is runnable, and the ring knows of nothing: announce sleep to the outside, look once more, and say.
    fn before_park(&mut self) -> Park;
    /// Back from what `before_park` allowed.
    fn after_park(&mut self);
}
