//! The way of a request into the exchange: is there room, who else runs, what goes first.
//!
//! A request gets its slot and is encoded there at once; where its app or route has a bound that is reached, it waits in line with
//! its slot and without a worker, and is queued when its permit comes. Invariants: a request runs with all its permits, and they are passed on
//! when no worker works on it any more, be it cancelled; a number in line is used once.

use super::rules::Rule;
use super::{App, Call, Inner, Refusal, Seat};
use crate::gate::{Gate, Gates, Permit, Reach, Socket, Ticket};
use config::Limits;
use shm::{EdgeRing, Purpose, SlotId, WorkerId};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Slots of a ring that only health checks get, if the app has any; at most an eighth of all.
const HEALTH_SLOTS: usize = 8;
/// Requests below which a ring thread could not even overlap a few.
const REQUESTS_MIN: usize = 64;
/// What a refused client may be told at most.
const RETRY_AFTER_MAX_S: u64 = 60;

/// This ring thread at the app's gates.
pub(super) struct Entrance {
    gates: Arc<Gates>,
    mailbox: Arc<dyn Reach>,
    ring: usize,
    next: u64,
    /// Who waits in line, by number.
    line: HashMap<u64, SlotId>,
}

/// How many slots of this ring thread may be taken at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    requests: usize,
    sockets: usize,
    /// What every ring has slots for, however many rings there are.
    sockets_share: usize,
}

impl Room {
    /// An even share of the app's requests. Of its WebSockets each ring thread may have all: which thread a connection comes to is chance, and `Gates` count them.
    pub fn new(limits: &Limits, rings: usize) -> Room {
        let rings = rings.max(1);
        Room {
            requests: limits.pending.div_ceil(rings).max(REQUESTS_MIN),
            sockets: limits.websockets,
            sockets_share: limits.websockets.div_ceil(rings),
        }
    }
}

/// How far a request has come.
#[derive(Default)]
pub(super) struct Progress {
    permits: [Option<Permit>; 2],
    /// Where it waits in line.
    waits: Option<(Arc<Gate>, Ticket)>,
    /// What is needed to queue it; `None` once it is.
    candidate: Option<Candidate>,
}

struct Candidate {
    length: usize,
    since_ns: u64,
    urgent: bool,
    /// What it has to pass, as it was when the request came.
    gates: [Option<Arc<Gate>>; 2],
}

impl Progress {
    pub fn is_queued(&self) -> bool {
        self.candidate.is_none()
    }
}

/// A cancelled request that a worker still works on, with its permits.
pub(super) struct Leaving {
    slot: SlotId,
    worker: Option<WorkerId>,
    _permits: [Option<Permit>; 2],
}

impl App {
    /// Where the app's bounds are, and where this thread gets its mail.
    pub fn set_gates(&self, gates: Arc<Gates>, mailbox: Arc<dyn Reach>, ring: usize) {
        self.inner.borrow_mut().entrance = Some(Entrance {
            gates,
            mailbox,
            ring,
            next: 0,
            line: HashMap::new(),
        });
    }

    pub(super) fn turn_to_gates(&self, gates: Arc<Gates>) {
        if let Some(entrance) = &mut self.inner.borrow_mut().entrance {
            entrance.gates = gates;
        }
    }

    /// What applies to this path.
    #[inline]
    pub fn rule(&self, path: &[u8]) -> Rule {
        self.rules.borrow().find(path)
    }

    /// Whether a request could be taken at all; before a body is read for it.
    pub fn check(&self, rule: Rule) -> Result<(), Refusal> {
        let inner = self.inner.borrow();
        let Some(exchange) = &inner.exchange else {
            return inner.refuse_if_down(0);
        };
        let is_full = exchange.in_use() >= exchange.capacity();
        if is_full
            || exchange.taken(Purpose::Request) >= self.bound(exchange, rule, Purpose::Request)
        {
            return Err(Refusal::Full);
        }
        inner.refuse_if_down(exchange.live_workers())?;
        refuse_if_late(exchange, rule)
    }

    /// Slots that may be taken before a request of this rule is refused.
    fn bound(&self, exchange: &EdgeRing, rule: Rule, purpose: Purpose) -> usize {
        let room = self.room.get();
        let requests = room.requests.min(exchange.capacity());
        match purpose {
            // All of them, unless so many rings leave less.
            Purpose::Socket => {
                let spare = exchange.capacity() - requests;
                room.sockets.min(spare.max(room.sockets_share))
            }
            Purpose::Request if self.has_health.get() && !rule.health => {
                requests - HEALTH_SLOTS.min(requests / 8)
            }
            Purpose::Request => requests,
        }
    }

    /// Seconds after which a refused client has a chance: how long the requests that are there will take.
    pub fn retry_after_s(&self) -> u64 {
        let inner = self.inner.borrow();
        let wait_ns = inner.exchange.as_ref().map_or(0, EdgeRing::wait_ns);
        wait_ns.div_ceil(1_000_000_000).clamp(1, RETRY_AFTER_MAX_S)
    }

    /// Puts a request into the queue, or in line before it. `encode` writes it into the request area and returns its length, `None` if it
    /// does not fit.
    pub fn submit(
        self: &Rc<App>,
        rule: Rule,
        purpose: Purpose,
        now_ns: u64,
        encode: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<Call, Refusal> {
        let result = self.open_socket(purpose).and_then(|socket| {
            let slot = self.try_submit(rule, purpose, now_ns, encode)?;
            Ok((slot, socket))
        });
        let stats = &self.stats.apps[self.index];
        match result {
            Ok((slot, socket)) => {
                stats.requests.add(1);
                stats.in_flight.add(1);
                Ok(Call::new(
                    Rc::clone(self),
                    slot,
                    now_ns,
                    rule.request_ns,
                    socket,
                ))
            }
            Err(refusal) => {
                stats
                    .refused
                    .add(u64::from(refusal != Refusal::HeadTooLarge));
                Err(refusal)
            }
        }
    }

    /// A WebSocket's place among all of the app's.
    fn open_socket(&self, purpose: Purpose) -> Result<Option<Socket>, Refusal> {
        let inner = self.inner.borrow();
        match (&inner.entrance, purpose) {
            (Some(entrance), Purpose::Socket) => {
                let socket = entrance.gates.open_socket(self.room.get().sockets);
                socket.map(Some).ok_or(Refusal::TooManySockets)
            }
            _ => Ok(None),
        }
    }

    fn try_submit(
        &self,
        rule: Rule,
        purpose: Purpose,
        now_ns: u64,
        encode: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<SlotId, Refusal> {
        let inner = &mut *self.inner.borrow_mut();
        let live = inner.exchange.as_ref().map_or(0, EdgeRing::live_workers);
        inner.refuse_if_down(live)?;
        let exchange = inner.exchange.as_mut().ok_or(Refusal::Down)?;
        refuse_if_late(exchange, rule)?;
        let bound = self.bound(exchange, rule, purpose);
        let slot = exchange.reserve_within(purpose, bound);
        let slot = slot.ok_or(match purpose {
            Purpose::Request => Refusal::Full,
            Purpose::Socket => Refusal::TooManySockets,
        })?;
        let Some(length) = encode(exchange.request_area(slot)) else {
            exchange.abandon(slot);
            return Err(Refusal::HeadTooLarge);
        };
        let local = exchange.local(slot);
        let candidate = Candidate {
            length,
            since_ns: now_ns,
            urgent: rule.health,
            gates: inner.gates(rule),
        };
        if let Some(seat) = inner.seats.get_mut(local) {
            *seat = Seat::default();
            seat.progress.candidate = Some(candidate);
        }
        if inner.advance(self.index, slot, now_ns) {
            return Ok(slot);
        }
        inner.let_go(slot, None);
        if let Some(exchange) = &mut inner.exchange {
            exchange.abandon(slot);
        }
        Err(Refusal::Full)
    }

    /// A permit came by mail.
    pub fn handle_admitted(&self, ticket: Ticket, permit: Permit, now_ns: u64) {
        let inner = &mut *self.inner.borrow_mut();
        let slot = inner
            .entrance
            .as_mut()
            .and_then(|entrance| entrance.line.remove(&ticket.number));
        // Nobody: they left when the permit was on its way, and its drop passes it on.
        let Some(slot) = slot else { return };
        let Some(seat) = inner.seat(slot) else { return };
        seat.progress.waits = None;
        seat.progress.keep(permit);
        let queued = inner.advance(self.index, slot, now_ns);
        if let Some(seat) = inner.seat(slot) {
            // The queue is full, which only a misbehaving app brings about: as if its worker had died.
            seat.lost |= !queued;
            seat.wake();
        }
    }
}

/// A request that cannot be begun in its time is refused while there is still time to go elsewhere.
fn refuse_if_late(exchange: &EdgeRing, rule: Rule) -> Result<(), Refusal> {
    if !rule.health && exchange.wait_ns() > rule.request_ns {
        return Err(Refusal::Full);
    }
    Ok(())
}

impl Progress {
    fn keep(&mut self, permit: Permit) {
        if let Some(place) = self.permits.iter_mut().find(|place| place.is_none()) {
            *place = Some(permit);
        }
    }
}

impl Inner {
    pub(super) fn seat(&mut self, slot: SlotId) -> Option<&mut Seat> {
        let at = slot.index().wrapping_sub(self.slot_first);
        self.seats.get_mut(at)
    }

    /// Takes a request through its gates, as far as it gets, and into the queue. False: the queue is full.
    fn advance(&mut self, app: usize, slot: SlotId, now_ns: u64) -> bool {
        let at = slot.index().wrapping_sub(self.slot_first);
        let Some(progress) = self.seats.get_mut(at).map(|seat| &mut seat.progress) else {
            return false;
        };
        let Some(candidate) = progress.candidate.take() else {
            return true;
        };
        if let Some(entrance) = &mut self.entrance {
            let passed = progress.permits.iter().flatten().count();
            for gate in candidate.gates.iter().flatten().skip(passed) {
                let ticket = Ticket {
                    app,
                    ring: entrance.ring,
                    number: entrance.next,
                };
                entrance.next += 1;
                match gate.enter(ticket, Arc::clone(&entrance.mailbox)) {
                    Some(permit) => progress.keep(permit),
                    None => {
                        entrance.line.insert(ticket.number, slot);
                        progress.waits = Some((Arc::clone(gate), ticket));
                        progress.candidate = Some(candidate);
                        return true;
                    }
                }
            }
        }
        let queued = self.exchange.as_mut().is_some_and(|exchange| {
            let Candidate {
                length,
                since_ns,
                urgent,
                ..
            } = candidate;
            exchange.submit_since(slot, length, since_ns, now_ns, urgent)
        });
        if !queued {
            progress.candidate = Some(candidate);
        }
        queued
    }

    /// The gates that a request of this rule has to pass.
    fn gates(&self, rule: Rule) -> [Option<Arc<Gate>>; 2] {
        rule.gates
            .map(|gate| self.entrance.as_ref()?.gates.find(gate?).cloned())
    }

    /// The request of this slot has been given back: out of the line, and its permits to the next, at once or when its worker lets go of it.
    pub(super) fn let_go(&mut self, slot: SlotId, worker: Option<WorkerId>) {
        let Some(seat) = self.seat(slot) else { return };
        let progress = std::mem::take(&mut seat.progress);
        if let Some((gate, ticket)) = progress.waits {
            gate.leave(ticket);
            if let Some(entrance) = &mut self.entrance {
                entrance.line.remove(&ticket.number);
            }
        }
        let runs = self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.is_running_on(slot));
        if runs {
            self.leaving.push(Leaving {
                slot,
                worker,
                _permits: progress.permits,
            });
        }
    }

    /// Passes on what cancelled requests have kept, whose workers are through, and closes what these have sent for them. After everything that can
    /// free a slot, before one is taken.
    #[inline]
    pub(super) fn dismiss(&mut self) {
        if !self.leaving.is_empty() {
            self.dismiss_those_who_are_through();
        }
    }

    fn dismiss_those_who_are_through(&mut self) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        let is_through = |leaving: &mut Leaving| !exchange.is_running_on(leaving.slot);
        let mut workers: Vec<WorkerId> = self
            .leaving
            .extract_if(.., is_through)
            .filter_map(|leaving| leaving.worker)
            .collect();
        workers.sort_unstable_by_key(|worker| worker.index);
        workers.dedup_by_key(|worker| worker.index);
        for worker in workers {
            self.sweep(Some(worker));
        }
    }

    /// Closes descriptors that the worker sent for requests which are over.
    pub(super) fn sweep(&self, worker: Option<WorkerId>) {
        let socket = worker.and_then(|worker| self.sockets.get(&worker.index));
        if let (Some(socket), Some(exchange)) = (socket, &self.exchange) {
            socket.sweep(|label| exchange.is_current(label));
        }
    }
}
