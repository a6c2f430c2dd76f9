//! The ring thread's sleep, and whom it wakes: `EdgeRing::{wake_workers, doze_ns, before_doze, before_park, after_park}`.

use super::EdgeRing;
use crate::wake;

/// The first nap after something happened; each nap that brought nothing is twice as long, up to `NAP_MAX_NS`, then comes sleep.
const NAP_NS: u64 = 50_000;
const NAP_MAX_NS: u64 = 400_000;

/// Answers that come further apart than this are not worth a nap: it would end with one of them or none, and cost a timer besides the wake. Apps
/// that answer in 2-30 us get their answers in bunches, a slow app's ring thread is woken once for each.
const NAP_GAP_NS: u64 = 25_000;
/// Answers that come closer than this are not worth a doze on a single processor (with several: closer than `NAP_GAP_NS`).
const DOZE_GAP_NS: u64 = 5_000;
/// The longest gap that is believed, so that one slow answer is forgotten after some forty quick ones.
const GAP_MAX_NS: u64 = 4_000_000;
const CLAIM_GAP_MAX_NS: u64 = 60_000_000_000;

/// The longest doze that a worker ends, and so the longest that anything else (a file, another app's request, a timer) waits for its end.
const DOZE_MAX_NS: u64 = 4_000_000;
/// The part of the queue time, in quarters, that an answer may wait to leave together with the next ones: each wake that it saves is worth 50 us to
/// an app that shares its processor with the ring thread. With a half, a FastAPI app of 75 us has the ring thread woken for each request of
/// 4 connections (the queue is 3 long then), which costs 1.2 times the CPU time. The whole would leave the workers without work while
/// the next requests are read.
const PATIENCE: u64 = 3;

/// How far beyond a tick of the kernel's clock a timer is that costs nothing.
const FAR_MORE_NS: u64 = 1_000_000;

/// How long a single processor's sleeping workers are left asleep at most while the ring thread has more to do, turn by turn.
const HOLD_NS: u64 = 100_000;
/// Fewer queued requests are not held: then clients are few, and would all stand still while their requests are gathered.
const HOLD_MIN: usize = 8;

/// What the ring thread may do when it has nothing to do. The strictest answer of all its exchanges counts: Stay, then Nap, then Sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Park {
    Stay,
    /// Block, but look again after so many ns: until then workers may have news without ringing.
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
    /// A timer so far away is not the next that its processor is interrupted for, and so costs next to nothing to set and to give up.
    far_ns: u64,
    pace: Pace,
    /// Since when wakes are held.
    held_ns: Option<u64>,
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
            far_ns: sys::clock::tick_ns() + FAR_MORE_NS,
            pace: Pace::default(),
            held_ns: None,
            watch: (0, 0),
        }
    }

    /// The answers of one look at the slots have been read.
    #[inline]
    pub fn looked(&mut self) {
        self.pace.fold();
    }

    #[inline]
    pub fn stir(&mut self) {
        self.stirred = true;
    }

    /// The last worker has gone.
    pub fn interrupted(&mut self) {
        self.pace.interrupted = true;
    }

    /// An answer is complete: queued, claimed and ended at these times, the last two of which its worker could have made up.
    #[inline]
    pub fn answered(&mut self, queued_ns: u64, claimed_ns: u64, ended_ns: u64) {
        self.pace.learn(queued_ns, claimed_ns, ended_ns);
    }
}

/// How quickly answers come while there are requests to answer: of one worker or of many, that is all the same to the sleeper.
#[derive(Debug)]
struct Pace {
    /// The last answer's end.
    ended_ns: u64,
    /// From answer to answer; a new one counts for an eighth.
    gap: Mean<8>,
    /// The last claim.
    claimed_ns: u64,
    /// From claim to claim while there was something to claim; a new one counts for a sixteenth. (How answers end says nothing of
    /// how the queue moves: an event loop claims while it answers others, for hours where they are WebSockets.)
    claim_gap: Mean<16>,
    /// Nobody was there to claim; how long, says nothing of the pace.
    interrupted: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            ended_ns: 0,
            gap: Mean::new(GAP_MAX_NS),
            claimed_ns: 0,
            claim_gap: Mean::new(CLAIM_GAP_MAX_NS),
            interrupted: true,
        }
    }
}

impl Pace {
    /// The gap begins at the answer before, or with the request if nothing was to be done before it.
    #[inline]
    fn learn(&mut self, queued_ns: u64, claimed_ns: u64, ended_ns: u64) {
        self.gap
            .add(ended_ns.saturating_sub(self.ended_ns.max(queued_ns)));
        self.ended_ns = self.ended_ns.max(ended_ns);
        if !std::mem::take(&mut self.interrupted) {
            self.claim_gap
                .add(claimed_ns.saturating_sub(self.claimed_ns.max(queued_ns)));
        }
        self.claimed_ns = self.claimed_ns.max(claimed_ns);
    }

    fn fold(&mut self) {
        self.gap.fold();
        self.claim_gap.fold();
    }

    fn is_quick(&self) -> bool {
        self.gap.ns() < NAP_GAP_NS
    }
}

/// A sliding mean in which a new value counts for one `OF`th.
///
/// Values that come in one look come in no order (slots are looked at by number), so only their sum says something: the one looked at first may have
/// the whole span, those behind it nothing. Taken one by one, 64 answers of 100 us each would leave a mean of 2 us.
#[derive(Debug)]
struct Mean<const OF: u64> {
    folded_ns: u64,
    /// Of this look.
    sum_ns: u64,
    count: u32,
    /// Largest value that is believed.
    max_ns: u64,
}

/// So many values of one look leave next to nothing of what was before.
const FOLDED_MAX: u32 = 64;

impl<const OF: u64> Mean<OF> {
    fn new(max_ns: u64) -> Mean<OF> {
        Mean {
            folded_ns: 0,
            sum_ns: 0,
            count: 0,
            max_ns,
        }
    }

    #[inline]
    fn add(&mut self, ns: u64) {
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.count += 1;
    }

    fn ns(&self) -> u64 {
        if self.count == 0 {
            return self.folded_ns;
        }
        let each_ns = (self.sum_ns / u64::from(self.count)).min(self.max_ns);
        (0..self.count.min(FOLDED_MAX)).fold(self.folded_ns, |mean_ns, _| {
            mean_ns - mean_ns / OF + each_ns / OF
        })
    }

    /// Ends a look.
    #[inline]
    fn fold(&mut self) {
        if self.count > 0 {
            self.folded_ns = self.ns();
            (self.sum_ns, self.count) = (0, 0);
        }
    }
}

impl EdgeRing {
    /// How many workers may be awake and quick before the others are left to sleep. Normally the number of processors.
    pub fn set_eager(&mut self, workers: usize) {
        self.sleeper.eager = workers.max(1);
    }

    /// Whether workers may sleep on for now though requests are queued, because the ring thread, which has more to read at once, comes back to this.
    /// With a single processor a worker that is woken takes it over on the spot, for the few requests of this turn, while those behind them wait to be
    /// read: with 64 connections that halves what one wake serves.
    pub fn holds_wakes(&mut self, now_ns: u64) -> bool {
        if self.sleeper.eager > 1 || self.segment.line().len() < HOLD_MIN {
            return false;
        }
        let since_ns = *self.sleeper.held_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(since_ns) < HOLD_NS
    }

    /// Wakes as many idle workers as the queue needs. Once per turn, after all submits, unless `holds_wakes`.
    pub fn wake_workers(&mut self, now_ns: u64) {
        self.sleeper.held_ns = None;
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
        own.saturating_mul(self.sleeper.pace.claim_gap.ns())
    }

    /// How long nobody need be woken to read one more request: while every worker is busy and requests wait, it could only join them. So far the
    /// next answer is away; further where answers may wait for each other. `None`: a request that came now might be begun at once, or answers
    /// come too quickly or too slowly for the ring thread to gain by it.
    pub fn doze_ns(&self) -> Option<u64> {
        let gap_ns = self.sleeper.pace.gap.ns();
        let saturated =
            self.submitted > 0 && !self.segment.line().is_empty() && self.segment.idle().is_empty();
        let gap_min_ns = if self.sleeper.eager > 1 {
            NAP_GAP_NS
        } else {
            DOZE_GAP_NS
        };
        if !saturated || gap_ns < gap_min_ns {
            return None;
        }
        let patience_ns = self.patience_ns(gap_ns);
        let ns = if patience_ns >= 2 * gap_ns {
            patience_ns
        } else {
            // Half as long again, so that mostly the answer ends it and not the timer.
            gap_ns + gap_ns / 2
        };
        (ns <= DOZE_MAX_NS).then_some(ns)
    }

    /// How long an answer may wait for the next: a part of what requests wait in the queue.
    fn patience_ns(&self, gap_ns: u64) -> u64 {
        let queue_ns = self.segment.queue_len() as u64 * gap_ns;
        (queue_ns * PATIENCE / 4).min(DOZE_MAX_NS)
    }

    /// Before blocking, deaf to all but the doorbell, for `ns` (at most `doze_ns` of all exchanges). As `before_park`; false: do not block.
    pub fn before_doze(&mut self, now_ns: u64, ns: u64) -> bool {
        if self.look_at_all {
            return false;
        }
        self.sleeper.stirred = false;
        let gap_ns = self.sleeper.pace.gap.ns();
        let outbox = self.segment.outbox(self.ring);
        if ns >= 2 * gap_ns && ns <= self.patience_ns(gap_ns) {
            outbox.nap(now_ns + ns)
        } else {
            outbox.sleep()
        }
    }

    /// Before blocking. Unless it says `Stay`, workers ring the doorbell from now on; `after_park` must follow in any case.
    pub fn before_park(&mut self, now_ns: u64) -> Park {
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
        let quick = stirred && self.submitted > 0 && self.sleeper.pace.is_quick();
        let nap_ns = self.sleeper.nap_ns;
        let outbox = self.segment.outbox(self.ring);
        let (park, quiet) = if quick && !unattended && self.sleeper.eager == 1 {
            // The worker that has the processor knows the time; the timer is for the case that it turns to something long.
            (Park::Nap(self.sleeper.far_ns), outbox.nap(now_ns + nap_ns))
        } else if quick || unattended {
            // Our own processor has nothing better to do than to keep the time, and a worker that rings would lose 13 us.
            (Park::Nap(nap_ns), outbox.nap(u64::MAX))
        } else {
            (Park::Sleep, outbox.sleep())
        };
        if quiet { park } else { Park::Stay }
    }

    /// After blocking (or deciding not to): the ring looks by itself again, so `dirty` must follow before the next `before_park`.
    pub fn after_park(&mut self) {
        self.segment.outbox(self.ring).get_up();
    }
}
