//! The state word of a slot: who owns it now. `ticket << 32 | incarnation << 16 | worker << 8 | tag` in one atomic.
//!
//! ```text
//!          submit (edge)      claim (worker)        finish (worker)      release (edge)
//!   Free ───────────▶ Queued ─────────────▶ Claimed ──────────────▶ Done ─────────────▶ Free
//!     ▲  cancel (edge)  │ ▲ │requeue             │ worker died (edge)                       ▲
//!     └─────────────────┘ └─┘                    └──────────────────────────────────────────┘
//! ```
//!
//! The ticket ties a queue entry to one use of the slot, so an entry left behind by a cancelled request claims nothing. Every step that two
//! parties may race for is one compare-and-swap.

use crate::sync::{AtomicU64, Ordering, store_load_barrier};

/// Who claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId {
    pub index: u16,
    pub incarnation: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Free,
    Queued {
        ticket: u32,
    },
    Claimed {
        ticket: u32,
        worker: WorkerId,
    },
    Done {
        ticket: u32,
        worker: WorkerId,
        aborted: bool,
    },
}

const FREE: u64 = 0;
const QUEUED: u64 = 1;
const CLAIMED: u64 = 2;
const ENDED: u64 = 3;
const ABORTED: u64 = 4;
/// Tries of the edge against workers that claim and rings that requeue; each honest failure moves the state forward.
const ATTEMPTS_MAX: usize = 64;

impl State {
    #[inline]
    pub fn pack(self) -> u64 {
        let held = |ticket: u32, worker: WorkerId, tag: u64| {
            debug_assert!(worker.index < 256, "seats are numbered in eight bits");
            u64::from(ticket) << 32
                | u64::from(worker.incarnation) << 16
                | u64::from(worker.index & 0xFF) << 8
                | tag
        };
        match self {
            State::Free => FREE,
            State::Queued { ticket } => u64::from(ticket) << 32 | QUEUED,
            State::Claimed { ticket, worker } => held(ticket, worker, CLAIMED),
            State::Done {
                ticket,
                worker,
                aborted,
            } => held(ticket, worker, if aborted { ABORTED } else { ENDED }),
        }
    }

    /// `None` for a word that `pack` never makes.
    #[inline]
    pub fn unpack(word: u64) -> Option<State> {
        let ticket = (word >> 32) as u32;
        let worker = WorkerId {
            index: (word >> 8) as u8 as u16,
            incarnation: (word >> 16) as u16,
        };
        let held = word >> 8 & 0xFF_FFFF != 0;
        match word & 0xFF {
            FREE if word == FREE => Some(State::Free),
            QUEUED if !held => Some(State::Queued { ticket }),
            CLAIMED => Some(State::Claimed { ticket, worker }),
            ENDED => Some(State::Done {
                ticket,
                worker,
                aborted: false,
            }),
            ABORTED => Some(State::Done {
                ticket,
                worker,
                aborted: true,
            }),
            _ => None,
        }
    }
}

/// What the word says, acquired: whatever its writer wrote before is visible.
#[inline]
pub fn load(word: &AtomicU64) -> Option<State> {
    State::unpack(word.load(Ordering::Acquire))
}

/// Edge, having published an event: who must be told. `None`: nobody yet, a worker looks by itself after claiming; or garbage.
#[inline]
pub fn claimant(word: &AtomicU64) -> Option<WorkerId> {
    match State::unpack(word.load(Ordering::SeqCst)) {
        Some(State::Claimed { worker, .. }) => Some(worker),
        _ => None,
    }
}

/// Edge, owner of a free slot: says under which ticket it is about to be queued.
#[inline]
pub fn enqueue(word: &AtomicU64, ticket: u32) {
    word.store(State::Queued { ticket }.pack(), Ordering::Release);
}

/// Edge: gives a queued slot a new ticket. False if it is not queued under the old one any more.
#[inline]
pub fn requeue(word: &AtomicU64, old_ticket: u32, ticket: u32) -> bool {
    let old = State::Queued { ticket: old_ticket }.pack();
    let new = State::Queued { ticket }.pack();
    word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Worker, holding the queue entry `ticket`: takes the request, or learns that it is not there any more. Ordered before the worker's first look
/// at the inbound ring: an edge that publishes there and still finds the slot queued may leave it at that.
#[inline]
pub fn claim(word: &AtomicU64, ticket: u32, worker: WorkerId) -> bool {
    let queued = State::Queued { ticket }.pack();
    let claimed = State::Claimed { ticket, worker }.pack();
    let claimed = word
        .compare_exchange(queued, claimed, Ordering::SeqCst, Ordering::Relaxed)
        .is_ok();
    store_load_barrier();
    claimed
}

/// Worker: through. False if the slot was taken away, which the edge does only from the dead.
#[inline]
pub fn finish(word: &AtomicU64, ticket: u32, worker: WorkerId, aborted: bool) -> bool {
    let claimed = State::Claimed { ticket, worker }.pack();
    let done = State::Done {
        ticket,
        worker,
        aborted,
    }
    .pack();
    word.compare_exchange(claimed, done, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Edge: takes a queued request back. `Ok`: it is free, nobody will claim it. `Err`: what it is instead (`None`: garbage).
#[inline]
pub fn cancel(word: &AtomicU64) -> Result<(), Option<State>> {
    let mut found = word.load(Ordering::Acquire);
    for _ in 0..ATTEMPTS_MAX {
        let state = State::unpack(found);
        let Some(State::Queued { .. }) = state else {
            return Err(state);
        };
        match word.compare_exchange(found, FREE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(()),
            Err(now) => found = now,
        }
    }
    Err(None)
}

/// Edge, owner of a done slot or heir of a dead worker's.
#[inline]
pub fn free(word: &AtomicU64) {
    word.store(FREE, Ordering::Release);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId {
        index: 255,
        incarnation: 0xABCD,
    };

    #[test]
    fn packing_loses_nothing() {
        let ticket = 0xFFFF_FFFE;
        for state in [
            State::Free,
            State::Queued { ticket },
            State::Claimed {
                ticket,
                worker: WORKER,
            },
            State::Done {
                ticket,
                worker: WORKER,
                aborted: false,
            },
            State::Done {
                ticket,
                worker: WORKER,
                aborted: true,
            },
        ] {
            assert_eq!(State::unpack(state.pack()), Some(state));
        }
        for garbage in [5, 0xFF, 1 << 32, 0x101, u64::MAX] {
            assert_eq!(State::unpack(garbage), None);
        }
    }

    #[test]
    fn an_old_ticket_claims_nothing() {
        let word = AtomicU64::new(0);
        enqueue(&word, 1);
        assert_eq!(cancel(&word), Ok(()));
        enqueue(&word, 2);
        assert!(!claim(&word, 1, WORKER));
        assert!(requeue(&word, 2, 3));
        assert!(!requeue(&word, 2, 4));
        assert!(claim(&word, 3, WORKER));
        assert_eq!(
            cancel(&word),
            Err(Some(State::Claimed {
                ticket: 3,
                worker: WORKER
            }))
        );
        let other = WorkerId {
            incarnation: 1,
            ..WORKER
        };
        assert!(!finish(&word, 3, other, false));
        assert!(finish(&word, 3, WORKER, true));
        free(&word);
        assert_eq!(load(&word), Some(State::Free));
    }
}
