//! The edge's side of the exchange: one [`App`] per app and ring thread, one [`Call`] per request in it.
//!
//! Owns the ring thread's end of the app's segment and who waits for which slot. Invariants: a slot that was submitted is
//! either released by the call that owns it or cancelled by that call's drop; nothing read from the segment is believed.
//! Must not know HTTP or sockets of clients.

mod admission;
mod call;
mod rules;

pub use call::{Call, HeadKind, News, Served};

use crate::gate::Gates;
use crate::snapshot::AppView;
use crate::stats::RingStats;
use crate::worker_socket::WorkerSocket;
use admission::{Entrance, Leaving, Progress, Room};
use config::{Interface, InterfaceChoice, Limits, WebSocketOptions};
use control::message::AppState;
use rules::Rules;
use shm::{EdgeRing, Park, Segment, WorkerId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use sys::eventfd::EventFd;

/// Why a request did not get into the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Every slot or queue entry is taken: 503.
    Full,
    /// As many WebSockets are open as may be: 503.
    TooManySockets,
    /// No worker is up and none is coming: 503.
    Down,
    /// The head does not fit the request area: 431.
    HeadTooLarge,
}

/// A worker's work on one request, told apart from its next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    worker: WorkerId,
    slot: u32,
    since_ns: u64,
}

/// One app, as one ring thread sees it.
pub struct App {
    pub index: usize,
    pub name: String,
    /// Length of SCRIPT_NAME.
    pub mount_bytes: usize,
    // What may change while it serves; requests in the exchange keep what they came with.
    server_timing: Cell<bool>,
    websocket: Cell<WebSocketOptions>,
    rules: RefCell<Rules>,
    /// Some slots are kept for health checks.
    has_health: Cell<bool>,
    room: Cell<Room>,
    /// What its workers speak; `None` until one has said so. Those of the newest generation count.
    interface: Cell<Option<Interface>>,
    /// With `reload`: what is wrong with the code, shown instead of its answers.
    trouble: RefCell<Option<Rc<str>>>,
    shows_trouble: Cell<bool>,
    inner: RefCell<Inner>,
    stats: Arc<RingStats>,
}

struct Inner {
    /// Absent until the segment has come by mail.
    exchange: Option<EdgeRing>,
    segment: Option<Arc<Segment>>,
    request_bytes: usize,
    /// The number of this ring's first slot; the others follow it.
    slot_first: usize,
    /// By place among this ring's slots.
    seats: Vec<Seat>,
    sockets: HashMap<u16, Rc<WorkerSocket>>,
    /// By seat: rung to turn a worker's event loop.
    wakes: HashMap<u16, Arc<EventFd>>,
    state: AppState,
    /// Workers announced to the exchange: (index, incarnation).
    workers: Vec<(u16, u16)>,
    entrance: Option<Entrance>,
    leaving: Vec<Leaving>,
}

/// Gives this process the means to wake the event loop in that seat. Without them (no descriptors left) the worker looks by itself now and then.
fn set_bell(segment: &Segment, index: u16, wake: &EventFd) {
    if segment.bell(index).is_none()
        && let Ok(bell) = wake.try_clone()
    {
        segment.set_bell(index, bell);
    }
}

/// Who waits for a slot, and what has happened to it since they looked.
#[derive(Default)]
struct Seat {
    waker: Option<Waker>,
    /// The worker has published something.
    news: bool,
    /// The worker is dead.
    lost: bool,
    progress: Progress,
}

impl App {
    /// `rings`: ring threads of this edge.
    pub fn new(
        index: usize,
        app: &config::App,
        limits: &Limits,
        rings: usize,
        stats: Arc<RingStats>,
    ) -> App {
        let rules = Rules::new(&app.options);
        let inner = Inner {
            exchange: None,
            segment: None,
            request_bytes: 0,
            slot_first: 0,
            seats: Vec::new(),
            sockets: HashMap::new(),
            wakes: HashMap::new(),
            state: AppState::Starting,
            workers: Vec::new(),
            entrance: None,
            leaving: Vec::new(),
        };
        App {
            index,
            name: app.name.clone(),
            mount_bytes: app.mount.len(),
            server_timing: Cell::new(app.options.server_timing),
            websocket: Cell::new(app.options.websocket),
            has_health: Cell::new(rules.has_health()),
            rules: RefCell::new(rules),
            room: Cell::new(Room::new(limits, rings)),
            interface: Cell::new(match app.options.interface {
                InterfaceChoice::Auto => None,
                InterfaceChoice::Wsgi => Some(Interface::Wsgi),
                InterfaceChoice::Asgi => Some(Interface::Asgi),
            }),
            trouble: RefCell::new(None),
            shows_trouble: Cell::new(app.options.reload),
            inner: RefCell::new(inner),
            stats,
        }
    }

    // What the mail brings.

    /// Serves by new settings; `gates` are theirs.
    pub fn turn_to(&self, app: &config::App, limits: &Limits, rings: usize, gates: Arc<Gates>) {
        let options = &app.options;
        self.server_timing.set(options.server_timing);
        self.websocket.set(options.websocket);
        self.shows_trouble.set(options.reload);
        let rules = Rules::new(options);
        self.has_health.set(rules.has_health());
        self.rules.replace(rules);
        self.room.set(Room::new(limits, rings));
        self.turn_to_gates(gates);
    }

    pub fn attach(&self, segment: Arc<Segment>, ring: usize) {
        let inner = &mut *self.inner.borrow_mut();
        inner.request_bytes = segment.layout().request_bytes as usize;
        inner.slot_first = ring * segment.layout().slots_per_ring() as usize;
        for (&index, wake) in &inner.wakes {
            set_bell(&segment, index, wake);
        }
        let exchange = EdgeRing::new(Arc::clone(&segment), ring);
        inner.segment = Some(segment);
        inner.seats = (0..exchange.capacity()).map(|_| Seat::default()).collect();
        inner.exchange = Some(exchange);
    }

    pub fn worker_socket(&self, index: u16, socket: WorkerSocket, wake: Arc<EventFd>) {
        let inner = &mut *self.inner.borrow_mut();
        inner.sockets.insert(index, Rc::new(socket));
        if let Some(segment) = &inner.segment {
            set_bell(segment, index, &wake);
        }
        inner.wakes.insert(index, wake);
    }

    /// Takes in the new view: the state, and workers that are up now.
    pub fn handle_view(&self, view: &AppView) {
        if let Some(newest) = view.workers.iter().max_by_key(|worker| worker.generation) {
            self.interface.set(Some(newest.interface));
        }
        let trouble = self.shows_trouble.get() && view.state == AppState::Failed;
        *self.trouble.borrow_mut() = trouble.then(|| view.message.as_str().into());
        let inner = &mut *self.inner.borrow_mut();
        inner.state = view.state;
        let Some(exchange) = &mut inner.exchange else {
            return;
        };
        for worker in &view.workers {
            let id = (worker.index, worker.incarnation);
            if !inner.workers.contains(&id) {
                inner.workers.retain(|other| other.0 != id.0);
                inner.workers.push(id);
                exchange.worker_up(worker.index, worker.incarnation);
            }
        }
        inner.dismiss();
    }

    /// Clients are told queue and app time.
    pub fn server_timing(&self) -> bool {
        self.server_timing.get()
    }

    /// How WebSockets are to be, that open now.
    pub fn websocket(&self) -> WebSocketOptions {
        self.websocket.get()
    }

    /// What is shown instead of the application's answers, in development.
    #[inline]
    pub fn trouble(&self) -> Option<Rc<str>> {
        self.trouble.borrow().clone()
    }

    /// A worker is dead: its requests are lost, and those who wait for them are told.
    pub fn handle_worker_gone(&self, index: u16, incarnation: u16) {
        let inner = &mut *self.inner.borrow_mut();
        inner.workers.retain(|other| *other != (index, incarnation));
        let Some(exchange) = &mut inner.exchange else {
            return;
        };
        for slot in exchange.worker_gone(index, incarnation) {
            if let Some(seat) = inner.seats.get_mut(exchange.local(slot)) {
                seat.lost = true;
                seat.wake();
            }
        }
        inner.dismiss();
    }

    /// Every living worker has been announced after a restart of the edge.
    pub fn settle(&self) {
        if let Some(exchange) = &mut self.inner.borrow_mut().exchange {
            exchange.settle();
        }
        self.inner.borrow_mut().dismiss();
    }

    // The loop's hooks.

    /// Wakes the calls whose worker has said something.
    #[inline]
    pub fn poll(&self) {
        let inner = &mut *self.inner.borrow_mut();
        let Some(exchange) = &mut inner.exchange else {
            return;
        };
        let (seats, first) = (&mut inner.seats, inner.slot_first);
        exchange.dirty(|slot| {
            if let Some(seat) = seats.get_mut(slot.index().wrapping_sub(first)) {
                seat.wake();
            }
        });
        inner.dismiss();
    }

    /// Wakes the workers that the turn's submissions need. `more`: the next turn comes at once.
    #[inline]
    pub fn wake_workers(&self, now_ns: u64, more: bool) {
        if let Some(exchange) = &mut self.inner.borrow_mut().exchange
            && !(more && exchange.holds_wakes(now_ns))
        {
            exchange.wake_workers(now_ns);
        }
    }

    pub fn before_park(&self, now_ns: u64) -> Park {
        self.inner
            .borrow_mut()
            .exchange
            .as_mut()
            .map_or(Park::Sleep, |exchange| exchange.before_park(now_ns))
    }

    pub fn doze_ns(&self) -> Option<u64> {
        self.inner
            .borrow()
            .exchange
            .as_ref()
            .and_then(EdgeRing::doze_ns)
    }

    /// False: something is to be done first.
    pub fn before_doze(&self, now_ns: u64, ns: u64) -> bool {
        self.inner
            .borrow_mut()
            .exchange
            .as_mut()
            .is_none_or(|exchange| exchange.before_doze(now_ns, ns))
    }

    pub fn after_park(&self) {
        if let Some(exchange) = &mut self.inner.borrow_mut().exchange {
            exchange.after_park();
        }
    }

    /// What a worker is at: a value that stays the same as long as it works on the same request, `None` if it does not.
    pub fn errand(&self, worker: WorkerId) -> Option<Errand> {
        let record = self.inner.borrow().segment.as_ref()?.worker(worker.index)?;
        let slot = record.slot?;
        (record.incarnation == worker.incarnation).then_some(Errand {
            worker,
            slot,
            since_ns: record.since_ns,
        })
    }

    /// What its workers speak, as far as is known.
    #[inline]
    pub fn interface(&self) -> Option<Interface> {
        self.interface.get()
    }

    #[inline]
    pub fn is_asgi(&self) -> bool {
        self.interface.get() == Some(Interface::Asgi)
    }

    /// When the event loop of a worker began its present (or last) turn; `None` for a worker without one.
    pub fn turn(&self, worker: WorkerId) -> Option<u64> {
        let record = self.inner.borrow().segment.as_ref()?.worker(worker.index)?;
        (record.looped && record.incarnation == worker.incarnation).then_some(record.since_ns)
    }

    // Requests: see also `admission`.

    /// Slots that are not free.
    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        self.inner
            .borrow()
            .exchange
            .as_ref()
            .map_or(0, EdgeRing::in_use)
    }

    /// Whether a body travels inside its slot, behind a head of `head_bytes` on the wire; else it is spooled to a file.
    ///
    /// The encoded head holds the wire's bytes, path and query a second time, and 4 bytes per field more: never 3 times as much.
    pub fn fits_inline(&self, head_bytes: usize, body_bytes: u64) -> bool {
        body_bytes <= self.inline_room(head_bytes) as u64
    }

    /// The longest body that does.
    pub fn inline_room(&self, head_bytes: usize) -> usize {
        let head_max = 3 * head_bytes + FIXED_ROOM_BYTES;
        self.inner.borrow().request_bytes.saturating_sub(head_max)
    }
}

/// The fixed part of an encoded head, addresses and padding, generously.
const FIXED_ROOM_BYTES: usize = 1024;

impl Inner {
    /// Waiting makes sense while a worker lives or is about to.
    fn refuse_if_down(&self, live_workers: usize) -> Result<(), Refusal> {
        match self.state {
            AppState::Failed | AppState::Backoff if live_workers == 0 => Err(Refusal::Down),
            _ => Ok(()),
        }
    }
}

impl Seat {
    fn wake(&mut self) {
        self.news = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
