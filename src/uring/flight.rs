//! Operations in flight: a slab of entries, each with an explicit lifecycle, found by user data (key and generation).
//!
//! Owns the memory that the kernel reads or writes (`Payload`) from submission to last completion, whoever lost interest
//! meanwhile. Invariant: an entry leaves the slab only after its operation's last completion, so a user data never names
//! two operations. Must not know drivers or futures.

use std::num::NonZeroU64;
use std::rc::Rc;
use std::task::Waker;

use crate::driver::Completion;
use crate::store::Store;
use sys::file::OpenHow;
use sys::transfer::Message;

/// Where an operation stands, and who owns what.
enum Lifecycle {
    /// The kernel has it and the payload; a future holds the key and will collect one result.
    Submitted { waker: Option<Waker>, payload: Load },
    /// The kernel is done; the entry holds result and payload until the future collects them.
    Completed { result: i32, payload: Load },
    /// The kernel has a multishot operation; the entry queues what arrived, a stream holds the key and collects.
    Streaming {
        arrivals: Arrivals,
        waker: Option<Waker>,
    },
    /// The multishot operation has ended; what arrived waits for the stream, the last arrival says why it ended.
    Ended { arrivals: Arrivals },
    /// Nobody waits any more; the entry keeps the payload for the kernel until the last completion frees both.
    Abandoned { _payload: Load },
}

/// A payload on the heap: most entries are armed receives, which have none and should not hold room for one.
type Load = Option<Box<Payload>>;

/// What an unwanted result leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yield {
    /// A count: nothing to clean up.
    Count,
    /// A descriptor, to be closed.
    Descriptor,
}

/// Memory the kernel may look at while the operation is in flight.
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
    pub more: bool,
}

impl Arrival {
    pub fn of(completion: &Completion) -> Arrival {
        let Completion { result, more, .. } = *completion;
        Arrival { result, more }
    }
}

struct Link {
    arrival: Arrival,
    next: u32,
}

struct Flight {
    lifecycle: Lifecycle,
    generation: u32,
    yields: Yield,
}

// A connection has one of these at rest: its armed receive.
const _: () = assert!(size_of::<Flight>() <= 40);

/// Names an operation in flight; what the kernel carries as user data. Never `DETACHED`: generations start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(NonZeroU64);

impl Key {
    pub fn user_data(self) -> u64 {
        self.0.get()
    }

    fn index(self) -> u32 {
        self.0.get() as u32
    }

    fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }
}

/// What the executor must do about a completion.
pub enum Outcome {
    /// Nothing, or the entry took care of it.
    Settled,
    Wake(Waker),
    /// Nobody wants this result: close the descriptor.
    Discard(Yield),
    /// A completion for nothing we know.
    Stray,
}

/// The slab.
#[derive(Default)]
pub struct Flights {
    entries: Store<Flight>,
    arrivals: Store<Link>,
    generation: u32,
}

impl Flights {
    /// A one-shot operation; submit it with the key's user data at once.
    pub fn launch(&mut self, payload: Payload, yields: Yield) -> Key {
        let lifecycle = Lifecycle::Submitted {
            waker: None,
            payload: load(payload),
        };
        self.insert(lifecycle, yields)
    }

    /// A multishot operation.
    pub fn stream(&mut self, yields: Yield) -> Key {
        let lifecycle = Lifecycle::Streaming {
            arrivals: EMPTY,
            waker: None,
        };
        self.insert(lifecycle, yields)
    }

    /// An operation whose result nobody will ask for.
    pub fn detach(&mut self, payload: Payload, yields: Yield) -> Key {
        let _payload = load(payload);
        self.insert(Lifecycle::Abandoned { _payload }, yields)
    }

    fn insert(&mut self, lifecycle: Lifecycle, yields: Yield) -> Key {
        self.generation = self.generation.wrapping_add(1).max(1);
        let generation = self.generation;
        let index = self.entries.insert(Flight {
            lifecycle,
            generation,
            yields,
        });
        let number = u64::from(generation) << 32 | u64::from(index);
        Key(NonZeroU64::new(number).expect("generations start at 1"))
    }

    /// Shows the payload to what points an operation at it. It must not be touched any more afterwards.
    pub fn with_payload<R>(&mut self, key: Key, f: impl FnOnce(&mut Payload) -> R) -> R {
        match &mut self.entry(key).lifecycle {
            Lifecycle::Submitted {
                payload: Some(payload),
                ..
            }
            | Lifecycle::Abandoned {
                _payload: Some(payload),
            } => f(payload),
            _ => f(&mut Payload::None),
        }
    }

    fn entry(&mut self, key: Key) -> &mut Flight {
        let flight = self
            .entries
            .get_mut(key.index())
            .expect("a key's owner keeps the entry alive");
        debug_assert_eq!(flight.generation, key.generation());
        flight
    }

    /// Entries in flight or waiting to be collected.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Collects a one-shot result, or leaves `waker` to be woken by it.
    pub fn collect(&mut self, key: Key, waker: &Waker) -> Option<(i32, Payload)> {
        match &mut self.entry(key).lifecycle {
            Lifecycle::Submitted { waker: slot, .. } => {
                leave(slot, waker);
                None
            }
            Lifecycle::Completed { result, payload } => {
                let result = *result;
                let payload = payload.take().map_or(Payload::None, |payload| *payload);
                self.entries.remove(key.index());
                Some((result, payload))
            }
            _ => unreachable!("a one-shot key is collected once"),
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
            _ => unreachable!("a stream's key is the stream's"),
        };
        let link = self.arrivals.remove(arrivals.head);
        let link = link.expect("as many arrivals as counted");
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
        let abandoned = Lifecycle::Abandoned { _payload: None };
        let (arrivals, in_kernel) = match std::mem::replace(&mut flight.lifecycle, abandoned) {
            Lifecycle::Submitted { payload, .. } => {
                flight.lifecycle = Lifecycle::Abandoned { _payload: payload };
                (EMPTY, true)
            }
            Lifecycle::Completed { result, .. } => {
                let arrival = Arrival {
                    result,
                    more: false,
                };
                clean(arrival, yields);
                (EMPTY, false)
            }
            Lifecycle::Streaming { arrivals, .. } => (arrivals, true),
            Lifecycle::Ended { arrivals } => (arrivals, false),
            Lifecycle::Abandoned { .. } => unreachable!("abandoning consumes the key"),
        };
        if !in_kernel {
            self.entries.remove(key.index());
        }
        let mut at = arrivals.head;
        while at != NIL {
            let link = self.arrivals.remove(at);
            let link = link.expect("a link names one that is there");
            clean(link.arrival, yields);
            at = link.next;
        }
        in_kernel
    }

    /// Takes in a completion.
    pub fn complete(&mut self, completion: &Completion) -> Outcome {
        let Some(key) = NonZeroU64::new(completion.user_data).map(Key) else {
            return Outcome::Stray;
        };
        let Some(flight) = self.entries.get_mut(key.index()) else {
            return Outcome::Stray;
        };
        if flight.generation != key.generation() {
            return Outcome::Stray;
        }
        match &mut flight.lifecycle {
            Lifecycle::Submitted { waker, payload } => {
                let waker = waker.take();
                flight.lifecycle = Lifecycle::Completed {
                    result: completion.result,
                    payload: payload.take(),
                };
                waker.map_or(Outcome::Settled, Outcome::Wake)
            }
            Lifecycle::Streaming { arrivals, waker } => {
                let arrival = Arrival::of(completion);
                if flight.yields == Yield::Count
                    && arrival.more
                    && arrival.result >= 0
                    && arrivals.count > 0
                    && let Some(last) = self.arrivals.get_mut(arrivals.tail)
                {
                    // Events that nobody has looked at yet are one.
                    last.arrival.result |= arrival.result;
                    return Outcome::Settled;
                }
                let waker = waker.take();
                append(&mut self.arrivals, arrivals, arrival);
                if !completion.more {
                    flight.lifecycle = Lifecycle::Ended {
                        arrivals: *arrivals,
                    };
                }
                waker.map_or(Outcome::Settled, Outcome::Wake)
            }
            Lifecycle::Abandoned { .. } => {
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

    /// Leaks what the kernel may still look at; for a ring that would not come to rest.
    pub fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.entries));
    }
}

fn load(payload: Payload) -> Load {
    match payload {
        Payload::None => None,
        payload => Some(Box::new(payload)),
    }
}

fn append(links: &mut Store<Link>, arrivals: &mut Arrivals, arrival: Arrival) {
    let at = links.insert(Link { arrival, next: NIL });
    match links.get_mut(arrivals.tail) {
        Some(last) if arrivals.count > 0 => last.next = at,
        _ => arrivals.head = at,
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
