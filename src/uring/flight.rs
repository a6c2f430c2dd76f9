//! Operations in flight: a slab of entries, each with an explicit lifecycle, found by user data (key and generation).
//!
//! Owns the memory that the kernel reads or writes (`Payload`) from submission to last completion, whoever lost interest
//! meanwhile. Invariant: an entry leaves the slab only after its operation's last completion, so a user data never names
//! two operations. Must not know drivers or futures.

use slab::Slab;
use std::rc::Rc;
use std::task::Waker;

use crate::driver::Completion;
use sys::file::OpenHow;
use sys::transfer::Message;

/// Where an operation stands, and who owns what.
#[derive(Debug)]
enum Lifecycle {
    /// The kernel has it and the payload; a future holds the key and will collect one result.
    Submitted { waker: Option<Waker> },
    /// The kernel is done; the entry holds result and payload until the future collects them.
    Completed { result: i32 },
    /// The kernel has a multishot operation; the entry queues what arrived, a stream holds the key and collects.
    Streaming {
        arrivals: Arrivals,
        waker: Option<Waker>,
        cancelled: bool,
    },
    /// The multishot operation has ended; what arrived waits for the stream, the last arrival says why it ended.
    Ended { arrivals: Arrivals },
    /// Nobody waits any more; the entry keeps the payload for the kernel until the last completion frees both.
    Abandoned,
}

/// What an unwanted result leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yield {
    /// A count: nothing to clean up.
    Count,
    /// A descriptor, to be closed.
    Descriptor,
    /// A provided buffer, to be given back.
    Buffer,
}

/// Memory the kernel may look at while the operation is in flight. At most 24 bytes; large things are boxed.
pub enum Payload {
    None,
    Bytes(Vec<u8>),
    Shared(Rc<[u8]>),
    Static(&'static [u8]),
    Parts(Box<(Message, Vec<Payload>)>),
    Open(Box<(std::ffi::CString, OpenHow)>),
}

/// Queue of multishot results, linked through the arrivals slab.
#[derive(Clone, Copy, Debug)]
struct Arrivals {
    head: u32,
    tail: u32,
    count: u32,
}

const NIL: u32 = u32::MAX;
const EMPTY: Arrivals = Arrivals {
    head: NIL,
    tail: NIL,
    count: 0,
};

/// One result of a multishot operation.
#[derive(Debug)]
pub struct Arrival {
    pub result: i32,
    pub buffer: Option<u16>,
    pub more: bool,
    /// The bytes, once they had to leave their provided buffer (`Flights::spill`).
    pub spilled: Option<Box<[u8]>>,
}

impl Arrival {
    pub fn of(completion: &Completion) -> Arrival {
        let Completion {
            result,
            buffer,
            more,
            ..
        } = *completion;
        Arrival {
            result,
            buffer,
            more,
            spilled: None,
        }
    }
}

struct Link {
    arrival: Arrival,
    next: u32,
}

struct Flight {
    lifecycle: Lifecycle,
    payload: Payload,
    generation: u32,
    yields: Yield,
}

// A connection has one of these at rest: its armed receive.
const _: () = assert!(size_of::<Flight>() <= 72);

/// Names an operation in flight; what the kernel carries as user data. Never `DETACHED`: generations start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    pub fn user_data(self) -> u64 {
        self.0
    }

    fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

/// What the executor must do about a completion.
pub enum Outcome {
    /// Nothing, or the entry took care of it.
    Settled,
    Wake(Waker),
    /// Results queue up faster than the stream takes them: wake it if it waits, and cancel the operation; the stream
    /// re-arms once it has caught up.
    Overrun(Option<Waker>),
    /// Nobody wants this result: close the descriptor or give the buffer back.
    Discard(Yield),
    /// A completion for nothing we know.
    Stray,
}

/// Results of one multishot receive that may wait for its reader before the operation is paused: one flooding client must
/// not hold all provided buffers.
pub const RECEIVE_BACKLOG_MAX: u32 = 4;

/// The slab.
#[derive(Default)]
pub struct Flights {
    entries: Slab<Flight>,
    arrivals: Slab<Link>,
    generation: u32,
}

impl Flights {
    /// A one-shot operation; submit it with the key's user data at once.
    pub fn launch(&mut self, payload: Payload, yields: Yield) -> Key {
        self.insert(Lifecycle::Submitted { waker: None }, payload, yields)
    }

    /// A multishot operation.
    pub fn stream(&mut self, yields: Yield) -> Key {
        let lifecycle = Lifecycle::Streaming {
            arrivals: EMPTY,
            waker: None,
            cancelled: false,
        };
        self.insert(lifecycle, Payload::None, yields)
    }

    /// An operation whose result nobody will ask for.
    pub fn detach(&mut self, payload: Payload, yields: Yield) -> Key {
        self.insert(Lifecycle::Abandoned, payload, yields)
    }

    fn insert(&mut self, lifecycle: Lifecycle, payload: Payload, yields: Yield) -> Key {
        self.generation = self.generation.wrapping_add(1).max(1);
        let generation = self.generation;
        let index = self.entries.insert(Flight {
            lifecycle,
            payload,
            generation,
            yields,
        });
        Key(u64::from(generation) << 32 | index as u64)
    }

    /// The payload, to point an operation at. It must not be touched any more afterwards.
    pub fn payload(&mut self, key: Key) -> &mut Payload {
        &mut self.entry(key).payload
    }

    fn entry(&mut self, key: Key) -> &mut Flight {
        let flight = self
            .entries
            .get_mut(key.index())
            .expect("a key's owner keeps the entry alive");
        debug_assert_eq!(u64::from(flight.generation), key.0 >> 32);
        flight
    }

    /// Entries in flight or waiting to be collected.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Collects a one-shot result, or leaves `waker` to be woken by it.
    pub fn collect(&mut self, key: Key, waker: &Waker) -> Option<(i32, Payload)> {
        let flight = self.entry(key);
        match &mut flight.lifecycle {
            Lifecycle::Submitted { waker: slot } => {
                leave(slot, waker);
                None
            }
            Lifecycle::Completed { result } => {
                let result = *result;
                let flight = self.entries.remove(key.index());
                Some((result, flight.payload))
            }
            other => unreachable!("a one-shot key collected in state {other:?}"),
        }
    }

    /// Takes the next result of a stream, or leaves `waker`. A result without `more` was the last: the key is gone.
    pub fn next_arrival(&mut self, key: Key, waker: &Waker) -> Option<Arrival> {
        let flight = self
            .entries
            .get_mut(key.index())
            .expect("a stream keeps its entry alive");
        let arrivals = match &mut flight.lifecycle {
            Lifecycle::Streaming {
                arrivals,
                waker: slot,
                ..
            } => {
                if arrivals.count == 0 {
                    leave(slot, waker);
                    return None;
                }
                arrivals
            }
            Lifecycle::Ended { arrivals } => arrivals,
            other => unreachable!("a stream key collected in state {other:?}"),
        };
        let link = self.arrivals.remove(arrivals.head as usize);
        arrivals.head = link.next;
        arrivals.count -= 1;
        if !link.arrival.more {
            self.entries.remove(key.index());
        }
        Some(link.arrival)
    }

    /// The owner of the key loses interest. `clean` receives what had already arrived. True: still in the kernel, worth
    /// cancelling.
    pub fn abandon(&mut self, key: Key, mut clean: impl FnMut(Arrival, Yield)) -> bool {
        let flight = self
            .entries
            .get_mut(key.index())
            .expect("a key's owner keeps the entry alive");
        let yields = flight.yields;
        let (arrivals, in_kernel) =
            match std::mem::replace(&mut flight.lifecycle, Lifecycle::Abandoned) {
                Lifecycle::Submitted { .. } => (EMPTY, true),
                Lifecycle::Completed { result } => {
                    clean(
                        Arrival {
                            result,
                            buffer: None,
                            more: false,
                            spilled: None,
                        },
                        yields,
                    );
                    (EMPTY, false)
                }
                Lifecycle::Streaming { arrivals, .. } => (arrivals, true),
                Lifecycle::Ended { arrivals } => (arrivals, false),
                Lifecycle::Abandoned => unreachable!("abandoning consumes the key"),
            };
        if !in_kernel {
            self.entries.remove(key.index());
        }
        let mut at = arrivals.head;
        while at != NIL {
            let link = self.arrivals.remove(at as usize);
            clean(link.arrival, yields);
            at = link.next;
        }
        in_kernel
    }

    /// Asks a stream to end soon (back-pressure); true: push a cancellation, false: it was asked already or has ended.
    pub fn pause(&mut self, key: Key) -> bool {
        match &mut self.entry(key).lifecycle {
            Lifecycle::Streaming { cancelled, .. } => !std::mem::replace(cancelled, true),
            _ => false,
        }
    }

    /// Takes in a completion.
    pub fn complete(&mut self, completion: &Completion) -> Outcome {
        let key = Key(completion.user_data);
        let Some(flight) = self.entries.get_mut(key.index()) else {
            return Outcome::Stray;
        };
        if u64::from(flight.generation) != key.0 >> 32 {
            return Outcome::Stray;
        }
        match &mut flight.lifecycle {
            Lifecycle::Submitted { waker } => {
                let waker = waker.take();
                flight.lifecycle = Lifecycle::Completed {
                    result: completion.result,
                };
                waker.map_or(Outcome::Settled, Outcome::Wake)
            }
            Lifecycle::Streaming {
                arrivals,
                waker,
                cancelled,
            } => {
                let arrival = Arrival::of(completion);
                let waker = waker.take();
                append(&mut self.arrivals, arrivals, arrival);
                if !completion.more {
                    flight.lifecycle = Lifecycle::Ended {
                        arrivals: *arrivals,
                    };
                } else if flight.yields == Yield::Buffer
                    && arrivals.count >= RECEIVE_BACKLOG_MAX
                    && !*cancelled
                {
                    *cancelled = true;
                    return Outcome::Overrun(waker);
                }
                waker.map_or(Outcome::Settled, Outcome::Wake)
            }
            Lifecycle::Abandoned => {
                let yields = flight.yields;
                if !completion.more {
                    self.entries.remove(key.index());
                }
                match yields {
                    Yield::Count => Outcome::Settled,
                    _ => Outcome::Discard(yields),
                }
            }
            Lifecycle::Completed { .. } | Lifecycle::Ended { .. } => Outcome::Stray,
        }
    }

    /// Copies what waits for lagging readers out of its provided buffers, so that these may go back to the ring.
    pub fn spill(&mut self, mut copy: impl FnMut(u16, usize) -> Box<[u8]>) {
        for (_, flight) in &self.entries {
            let (Lifecycle::Streaming { arrivals, .. } | Lifecycle::Ended { arrivals }) =
                &flight.lifecycle
            else {
                continue;
            };
            let mut at = arrivals.head;
            for _ in 0..arrivals.count {
                let link = &mut self.arrivals[at as usize];
                if link.arrival.result > 0
                    && let Some(id) = link.arrival.buffer.take()
                {
                    link.arrival.spilled = Some(copy(id, link.arrival.result as usize));
                }
                at = link.next;
            }
        }
    }

    /// Leaks what the kernel may still look at; for a ring that would not come to rest.
    pub fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.entries));
    }
}

fn append(links: &mut Slab<Link>, arrivals: &mut Arrivals, arrival: Arrival) {
    let at = links.insert(Link { arrival, next: NIL }) as u32;
    if arrivals.count == 0 {
        arrivals.head = at;
    } else {
        links[arrivals.tail as usize].next = at;
    }
    arrivals.tail = at;
    arrivals.count += 1;
}

#[inline]
fn leave(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) if old.will_wake(waker) => {}
        _ => *slot = Some(waker.clone()),
    }
}
