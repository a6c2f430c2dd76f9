//! A slot between the edge and workers: claimed once or cancelled, its request area never written while somebody reads it, nothing lost with
//! a consumer that took the queue entry and went no further.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::check;
use super::queue::Memory;
use crate::queue::Push;
use crate::state::{self, State, WorkerId};
use crate::sync::{AtomicU64, Ordering};

struct Exchange {
    memory: Memory,
    state: AtomicU64,
    /// The request area, and the response area: loom objects to any unordered pair of accesses.
    request: UnsafeCell<u32>,
    response: UnsafeCell<u32>,
}

// SAFETY: the cells are what loom checks; everything else is atomic.
unsafe impl Sync for Exchange {}

const SLOT: u32 = 0;

fn worker(index: u16) -> WorkerId {
    WorkerId {
        index,
        incarnation: 1,
    }
}

impl Exchange {
    fn new() -> Arc<Exchange> {
        Arc::new(Exchange {
            memory: Memory::new(4),
            state: AtomicU64::new(State::Free.pack()),
            request: UnsafeCell::new(0),
            response: UnsafeCell::new(0),
        })
    }

    /// Edge, owning the free slot.
    fn submit(&self, request: u32) -> u32 {
        // SAFETY: checked by loom.
        self.request.with_mut(|cell| unsafe { *cell = request });
        let pushed = self.memory.queue().push(SLOT, |ticket| {
            state::enqueue(&self.state, ticket);
            true
        });
        match pushed {
            Push::Queued { ticket } => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// What `EdgeRing::requeue` does with a queued slot whose entry has passed.
    fn requeue_if_lost(&self) {
        if let Some(State::Queued { ticket }) = state::load(&self.state)
            && self.memory.queue().has_passed(ticket)
        {
            let mut current = ticket;
            self.memory.queue().push(SLOT, |ticket| {
                let ours = state::requeue(&self.state, current, ticket);
                current = ticket;
                ours
            });
        }
    }

    /// A worker's try: answers the request it claims, and says which that was.
    fn serve(&self, me: WorkerId) -> Option<u32> {
        while let Some((ticket, _)) = self.memory.queue().pop() {
            if let Some(request) = self.serve_entry(ticket, me) {
                return Some(request);
            }
        }
        None
    }

    fn serve_entry(&self, ticket: u32, me: WorkerId) -> Option<u32> {
        if !state::claim(&self.state, ticket, me) {
            return None;
        }
        // SAFETY: checked by loom.
        let request = self.request.with(|cell| unsafe { *cell });
        // SAFETY: checked by loom.
        self.response
            .with_mut(|cell| unsafe { *cell = request + 100 });
        assert!(state::finish(&self.state, ticket, me, false));
        Some(request)
    }

    /// Edge: reads the answer if there is one and takes the slot back.
    fn collect(&self) -> Option<u32> {
        let Some(State::Done { .. }) = state::load(&self.state) else {
            return None;
        };
        // SAFETY: checked by loom.
        let response = self.response.with(|cell| unsafe { *cell });
        state::free(&self.state);
        Some(response)
    }
}

#[test]
fn cancelled_or_claimed_and_the_next_use_is_clean() {
    check(|| {
        let exchange = Exchange::new();
        exchange.submit(1);
        let workers: Vec<_> = [0, 1]
            .map(|index| {
                let exchange = Arc::clone(&exchange);
                thread::spawn(move || exchange.serve(worker(index)))
            })
            .into();
        let cancelled = state::cancel(&exchange.state).is_ok();
        if cancelled {
            exchange.submit(2);
        }
        let served: Vec<u32> = workers
            .into_iter()
            .filter_map(|worker| worker.join().unwrap())
            .collect();
        let expected = if cancelled { 2 } else { 1 };
        match exchange.collect() {
            Some(response) => {
                assert_eq!(served, [expected]);
                assert_eq!(response, expected + 100);
            }
            None => {
                assert!(served.is_empty(), "nobody got further than looking");
                assert_eq!(exchange.serve(worker(0)), Some(expected));
            }
        }
        assert_eq!(exchange.serve(worker(1)), None);
    });
}

#[test]
fn an_answer_is_read_while_the_slot_is_used_again() {
    check(|| {
        let exchange = Exchange::new();
        exchange.submit(1);
        let other = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || (exchange.serve(worker(0)), exchange.serve(worker(0))))
        };
        let first = exchange.collect();
        if first.is_some() {
            assert_eq!(first, Some(101));
            exchange.submit(2);
        }
        let (one, two) = other.join().unwrap();
        assert_eq!(one, Some(1));
        assert!(two.is_none() || (first.is_some() && two == Some(2)));
    });
}

#[test]
fn an_entry_taken_by_the_dead_is_queued_again() {
    check(|| {
        let exchange = Exchange::new();
        exchange.submit(1);
        // Pops and dies.
        let dead = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || exchange.memory.queue().pop())
        };
        let living = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || exchange.serve(worker(1)))
        };
        dead.join().unwrap();
        exchange.requeue_if_lost();
        let served = living.join().unwrap().or_else(|| exchange.serve(worker(2)));
        assert_eq!(served, Some(1));
        assert_eq!(exchange.collect(), Some(101));
        assert_eq!(exchange.serve(worker(2)), None);
    });
}

#[test]
fn a_slow_consumer_taken_for_dead_serves_nothing_twice() {
    check(|| {
        let exchange = Exchange::new();
        exchange.submit(1);
        let slow = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || {
                let (ticket, _) = exchange.memory.queue().pop()?;
                exchange.serve_entry(ticket, worker(0))
            })
        };
        // Somebody else died; this one is only slow.
        exchange.requeue_if_lost();
        let ours = exchange.serve(worker(1));
        let theirs = slow.join().unwrap();
        let rest = exchange.serve(worker(2));
        let served: Vec<u32> = [ours, theirs, rest].into_iter().flatten().collect();
        assert_eq!(served, [1]);
    });
}

#[test]
fn two_rings_may_requeue_the_same_request() {
    // One sweeps the full queue while the owner looks after a death.
    check(|| {
        let exchange = Exchange::new();
        let ticket = exchange.submit(1);
        assert!(exchange.memory.queue().pop().is_some());
        let sweeper = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || {
                let mut current = ticket;
                exchange.memory.queue().push(SLOT, |ticket| {
                    let ours = state::requeue(&exchange.state, current, ticket);
                    current = ticket;
                    ours
                });
            })
        };
        exchange.requeue_if_lost();
        sweeper.join().unwrap();
        exchange.requeue_if_lost();
        assert_eq!(exchange.serve(worker(1)), Some(1));
        assert_eq!(exchange.serve(worker(1)), None);
        assert_eq!(exchange.state.load(Ordering::Relaxed) & 0xFF, 3);
    });
}
