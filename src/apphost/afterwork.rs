//! Workers that answered their request and then do not come back: stuck in the iterable's `close()`, or behind its last block.
//!
//! The edge measures requests up to their last byte; what follows is nobody's request any more, so the host looks after it: a worker that sits in no
//! request, is not idle and has served nothing new between two looks, a request's time apart, is stuck.

use shm::{Segment, WorkerStatus};
use std::collections::HashMap;
use std::time::{Duration, Instant};

pub struct Afterwork {
    /// Between two looks; `None`: requests have no time limit.
    pause: Option<Duration>,
    next: Instant,
    /// By seat: the requests served by a worker that seemed stuck at the last look, with its incarnation.
    suspects: HashMap<u16, (u16, u64)>,
}

impl Afterwork {
    /// `timeout_ms` 0: never looks.
    pub fn new(timeout_ms: u64, now: Instant) -> Afterwork {
        let pause = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
        Afterwork {
            pause,
            next: now + pause.unwrap_or_default(),
            suspects: HashMap::new(),
        }
    }

    /// When `look` should be called next.
    pub fn due(&self) -> Option<Instant> {
        self.pause.map(|_| self.next)
    }

    /// The stuck ones among `seats`, if it is time to look.
    pub fn look(
        &mut self,
        now: Instant,
        segment: &Segment,
        seats: impl Iterator<Item = u16>,
    ) -> Vec<u16> {
        let Some(pause) = self.pause.filter(|_| now >= self.next) else {
            return Vec::new();
        };
        self.next = now + pause;
        let mut stuck = Vec::new();
        let before = std::mem::take(&mut self.suspects);
        for seat in seats {
            let Some(record) = segment.worker(seat) else {
                continue;
            };
            if record.status != WorkerStatus::Busy || record.slot.is_some() {
                continue;
            }
            let mark = (record.incarnation, record.served);
            if before.get(&seat) == Some(&mark) {
                stuck.push(seat);
            } else {
                self.suspects.insert(seat, mark);
            }
        }
        stuck
    }
}
