//! The ring thread's sleep, and whom it wakes: `EdgeRing::{wake_workers, doze_ns, before_doze, before_park, after_park}`.

use super::EdgeRing;
use crate::outbox::{NAPPING, SLEEPING};
use crate::wake;

/// The first nap after something happened; each nap that brought nothing is twice as long, up to `NAP_MAX_NS`, then comes sleep.
const NAP_NS: u64 = 50_000;
const NAP_MAX_NS: u64 = 400_000;

/// Answers that come further apart than this are not worth a nap: it would end with one of them or none, and cost a timer besides the wake. Apps
/// that answer in 2-30 us get their answers in bunches, a slow app's ring thread is woken once for each.
const NAP_GAP_NS: u64 = 25_000;
/// The longest gap that is believed, so that one slow answer is forgotten after some forty quick ones.
const GAP_MAX_NS: u64 = 4_000_000;
const CLAIM_GAP_MAX_NS: u64 = 60_000_000_000;

/// The longest doze, and so the longest that anything else (a file, another app's request, a timer) waits for its end.
const DOZE_MAX_NS: u64 = 2_000_000;
/// The part of the queue time that an answer may wait to leave together with the next ones: each wake that it saves is worth 50-100 us to an app
/// that shares its processor with the ring thread, 6 % of a Flask request.
const PATIENCE: u64 = 8;

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
    pace: Pace,
    /// What had been taken from the queues when that last changed with workers idle, and when that was: the net under every wake.
    watch: (u64, u64),
}

impl Sleeper {
    pub fn new() -> Sleeper {
        let eager = sys::cpu::allowed_to_process().map_or(1, |cpus| cpus.len());
        Sleeper {
            stirred: false,
            nap_ns: NAP_NS,
            eager,
            pace: Pace::default(),
            watch: (0, 0),
        }
    }

    #[inline]
    pub fn stir(&mut self) {
        self.stirred = true;
    }

    /// An answer is complete: queued, claimed and ended at these times, the last two of which its worker could have made up.
    #[inline]
    pub fn answered(&mut self, queued_ns: u64, claimed_ns: u64, ended_ns: u64) {
        self.pace.learn(queued_ns, claimed_ns, ended_ns);
    }
}

/// How quickly answers come while there are requests to answer: of one worker or of many, that is all the same to the sleeper.
#[derive(Debug, Default)]
struct Pace {
    /// The last answer's end.
    ended_ns: u64,
    /// The mean gap; new ones count for an eighth.
    gap_ns: u64,
    /// The last claim.
    claimed_ns: u64,
    /// The mean time from claim to claim while there was something to claim; new ones count for a sixteenth. (How answers end says nothing of
    /// how the queue moves: an event loop claims while it answers others, for hours where they are WebSockets.)
    claim_gap_ns: u64,
}

impl Pace {
    /// The gap begins at the answer before, or with the request if nothing was to be done before it.
    #[inline]
    fn learn(&mut self, queued_ns: u64, claimed_ns: u64, ended_ns: u64) {
        let gap = ended_ns.saturating_sub(self.ended_ns.max(queued_ns));
        self.ended_ns = self.ended_ns.max(ended_ns);
        self.gap_ns = self.gap_ns - self.gap_ns / 8 + gap.min(GAP_MAX_NS) / 8;
        let gap = claimed_ns.saturating_sub(self.claimed_ns.max(queued_ns));
        self.claimed_ns = self.claimed_ns.max(claimed_ns);
        self.claim_gap_ns =
            self.claim_gap_ns - self.claim_gap_ns / 16 + gap.min(CLAIM_GAP_MAX_NS) / 16;
    }

    fn is_quick(&self) -> bool {
        self.gap_ns < NAP_GAP_NS
    }
}

impl EdgeRing {
    /// How many workers may be awake and quick before the others are left to sleep. Normally the number of processors.
    pub fn set_eager(&mut self, workers: usize) {
        self.sleeper.eager = workers.max(1);
    }

    /// Wakes as many idle workers as the queue needs. Once per turn, after all submits.
    pub fn wake_workers(&mut self, now_ns: u64) {
        let line = self.segment.line();
        if line.is_empty() || self.segment.idle().is_empty() {
            return;
        }
        if wake::wake(&self.segment, now_ns, self.sleeper.eager, line.len().max(1)) > 0 {
            return;
        }
        // Enough workers seem to be on their way. If the queue stands still all the same, one of them is not.
        let head = line.taken();
        let (seen, since) = self.sleeper.watch;
        if seen != head || since == 0 {
            self.sleeper.watch = (head, now_ns.max(1));
        } else if now_ns.saturating_sub(since) >= wake::QUICK_NS {
            self.sleeper.watch = (head, now_ns.max(1));
            wake::wake_one(&self.segment);
        }
    }

    /// How long a request that came now would be queued, at the pace at which workers took the last ones. (This ring's: the others' are
    /// taken to be as many.)
    pub fn wait_ns(&self) -> u64 {
        let own = self.segment.queue_len() as u64 / u64::from(self.segment.layout().rings);
        own.saturating_mul(self.sleeper.pace.claim_gap_ns)
    }

    /// How long nobody need be woken to read one more request: while every worker is busy and requests wait, it could only join them. So far the
    /// next answer is away; further where answers may wait for each other. `None`: a request that came now might be begun at once, or answers
    /// come too quickly or too slowly for the ring thread to gain by it.
    pub fn doze_ns(&self) -> Option<u64> {
        let gap_ns = self.sleeper.pace.gap_ns;
        let saturated =
            self.submitted > 0 && !self.segment.line().is_empty() && self.segment.idle().is_empty();
        if !saturated || gap_ns < NAP_GAP_NS {
            return None;
        }
        let patience_ns = self.patience_ns();
        let ns = if patience_ns >= 2 * gap_ns {
            patience_ns
        } else {
            // Half as long again, so that mostly the answer ends it and not the timer.
            gap_ns + gap_ns / 2
        };
        (ns <= DOZE_MAX_NS).then_some(ns)
    }

    /// How long an answer may wait for the next: a small part of what requests wait in the queue.
    fn patience_ns(&self) -> u64 {
        let queue_ns = self.segment.queue_len() as u64 * self.sleeper.pace.gap_ns;
        (queue_ns / PATIENCE).min(DOZE_MAX_NS)
    }

    /// Before blocking, deaf to all but the doorbell, for `ns` (at most `doze_ns` of all exchanges). As `before_park`; false: do not block.
    pub fn before_doze(&mut self, ns: u64) -> bool {
        if self.look_at_all {
            return false;
        }
        self.sleeper.stirred = false;
        let waits = ns >= 2 * self.sleeper.pace.gap_ns && ns <= self.patience_ns();
        let bell = if waits { NAPPING } else { SLEEPING };
        self.segment.outbox(self.ring).lie_down(bell)
    }

    /// Before blocking. Unless it says `Stay`, workers ring the doorbell from now on; `after_park` must follow in any case.
    pub fn before_park(&mut self) -> Park {
        if self.look_at_all {
            return Park::Stay;
        }
        let stirred = std::mem::take(&mut self.sleeper.stirred);
        let unattended = !self.segment.line().is_empty() && !self.segment.idle().is_empty();
        self.sleeper.nap_ns = if stirred {
            NAP_NS
        } else {
            (self.sleeper.nap_ns * 2).min(NAP_MAX_NS)
        };
        let nap = unattended || (stirred && self.submitted > 0 && self.sleeper.pace.is_quick());
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
