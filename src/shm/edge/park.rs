//! The ring thread's sleep, and whom it wakes: `EdgeRing::{wake_workers, before_park, after_park}`.

use super::EdgeRing;
use crate::outbox::{NAPPING, SLEEPING};
use crate::sync::Ordering;
use crate::wake;

/// The first nap after something happened; each nap that brought nothing is twice as long, up to `NAP_MAX_NS`, then comes sleep.
const NAP_NS: u64 = 50_000;
const NAP_MAX_NS: u64 = 400_000;

/// What the ring thread may do when it has nothing to do. The strictest answer of all its exchanges counts: Stay, then Nap, then Sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Park {
    Stay,
    /// Block, but look again after so many ns: workers ring only when they run out of work.
    Nap(u64),
    /// Block; the doorbell rings.
    Sleep,
}

/// What the sleep depends on.
#[derive(Debug)]
pub(super) struct Sleeper {
    /// Something was submitted or came back since the last nap.
    stirred: bool,
    nap_ns: u64,
    /// Awake and quick workers up to which others are woken at once.
    eager: usize,
    /// The queue's head when it last moved with workers idle, and when that was: the net under every wake.
    watch: (u64, u64),
}

impl Sleeper {
    pub fn new() -> Sleeper {
        let eager = sys::cpu::allowed_to_process().map_or(1, |cpus| cpus.len());
        Sleeper {
            stirred: false,
            nap_ns: NAP_NS,
            eager,
            watch: (0, 0),
        }
    }

    #[inline]
    pub fn stir(&mut self) {
        self.stirred = true;
    }
}

impl EdgeRing {
    /// How many workers may be awake and quick before the others are left to sleep. Normally the number of processors.
    pub fn set_eager(&mut self, workers: usize) {
        self.sleeper.eager = workers.max(1);
    }

    /// Wakes as many idle workers as the queue needs. Once per turn, after all submits.
    pub fn wake_workers(&mut self, now_ns: u64) {
        let queue = self.segment.queue();
        if queue.is_empty() || self.segment.idle().is_empty() {
            return;
        }
        if wake::wake(
            &self.segment,
            now_ns,
            self.sleeper.eager,
            queue.len().max(1),
        ) > 0
        {
            return;
        }
        // Enough workers seem to be on their way. If the queue stands still all the same, one of them is not.
        let head = queue.head.load(Ordering::Relaxed);
        let (seen, since) = self.sleeper.watch;
        if seen != head || since == 0 {
            self.sleeper.watch = (head, now_ns.max(1));
        } else if now_ns.saturating_sub(since) >= wake::QUICK_NS {
            self.sleeper.watch = (head, now_ns.max(1));
            wake::wake_one(&self.segment);
        }
    }

    /// Before blocking. Unless it says `Stay`, workers ring the doorbell from now on; `after_park` must follow in any case.
    pub fn before_park(&mut self) -> Park {
        if self.look_at_all {
            return Park::Stay;
        }
        let stirred = std::mem::take(&mut self.sleeper.stirred);
        let unattended = !self.segment.queue().is_empty() && !self.segment.idle().is_empty();
        self.sleeper.nap_ns = if stirred {
            NAP_NS
        } else {
            (self.sleeper.nap_ns * 2).min(NAP_MAX_NS)
        };
        let nap = unattended || (stirred && self.submitted > 0);
        if !self
            .segment
            .outbox(self.ring)
            .lie_down(if nap { NAPPING } else { SLEEPING })
        {
            return Park::Stay;
        }
        if nap {
            Park::Nap(self.sleeper.nap_ns)
        } else {
            Park::Sleep
        }
    }

    /// After blocking (or deciding not to): the ring looks by itself again, so `dirty` must follow before the next `before_park`.
    pub fn after_park(&mut self) {
        self.segment.outbox(self.ring).get_up();
    }
}
