//! Kind `interpreters`: each worker is an interpreter with its own GIL on a thread of its own, all in this process.
//!
//! Owns the seats. Nobody takes a request before all have imported the application: a sibling that fails then costs nothing, and no interpreter is
//! created beside one that serves (save when more are asked for). Interpreters are never ended (see `ffi::interpreter`); a worker that is stuck is interrupted, and if that does not help its seat
//! goes to a new interpreter while the old one is left behind.

mod hooked;
mod overdue;
mod thread;

use crate::afterwork::Afterwork;
use crate::ffi::Handle;
use crate::gate::Gate;
use crate::line::{self, Descriptors, Line, SeatEnds, WorkerSeats};
use crate::load::LoadError;
use crate::milestones::Milestones;
use crate::private;
use crate::threads::{Place, Report, Seen};
use crate::worker::{End, Exchange};
use config::Interface;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use overdue::Interrupted;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use sys::eventfd::EventFd;
use sys::socket::Watch;
use thread::Seat;

enum Event {
    Loaded(WorkerSpec),
    Spare(WorkerSpec),
    Files(FromHost),
    Up(WorkerSpec),
    Ended(WorkerSpec, End),
    Failed(WorkerSpec, LoadError),
    Refused(String),
}

/// Events of the worker threads, for the main thread.
struct Mailbox {
    events: Mutex<Vec<Event>>,
    bell: EventFd,
}

impl Mailbox {
    fn put(&self, event: Event) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
        if self.bell.ring().is_err() {
            eprintln!("ringgate: an eventfd of our own is broken");
        }
    }
}

impl Report for Mailbox {
    fn loaded(&self, seat: WorkerSpec) {
        self.put(Event::Loaded(seat));
    }
    fn files(&self, message: FromHost) {
        self.put(Event::Files(message));
    }
    fn up(&self, seat: WorkerSpec, _: Interface) {
        self.put(Event::Up(seat));
    }
    fn spare(&self, seat: WorkerSpec) {
        self.put(Event::Spare(seat));
    }
    fn ended(&self, seat: WorkerSpec, end: End) {
        self.put(Event::Ended(seat, end));
    }
    fn failed(&self, seat: WorkerSpec, error: LoadError) {
        self.put(Event::Failed(seat, error));
    }
    fn refused(&self, module: &str) {
        self.put(Event::Refused(module.to_owned()));
    }
}

/// A seat and whoever sits in it.
struct Held {
    seat: Seat,
    /// Kept to give to successors.
    ends: SeatEnds,
    /// The seat of the thread that made its interpreter.
    leader: u16,
    loaded: bool,
    /// Its worker is serving.
    up: bool,
    ended: bool,
    /// It is not wanted any more.
    retiring: bool,
}

/// A host of kind `interpreters`.
pub struct Interpreters {
    line: Line,
    spec: Arc<HostSpec>,
    exchange: Exchange,
    places: Vec<Held>,
    gate: Arc<Gate>,
    milestones: Milestones,
    draining: bool,
    mailbox: Arc<Mailbox>,
    report: Arc<dyn Report>,
    interrupted: Vec<Interrupted>,
    afterwork: Afterwork,
    /// Workers left behind in their requests.
    abandoned: usize,
    /// The main interpreter, where the hooks of the server are, if there are any.
    hooked: Option<Handle>,
}

impl Interpreters {
    /// The calling thread is attached to no interpreter. `hooked`: the main one, if hooks are to be called there.
    pub fn start(
        line: Line,
        spec: HostSpec,
        descriptors: Descriptors,
        hooked: Option<Handle>,
    ) -> Interpreters {
        let exchange = match Descriptors::exchange(
            &spec,
            descriptors.segment,
            descriptors.doorbells,
            &descriptors.seats,
        ) {
            Ok(exchange) => exchange,
            Err(error) => line.fail(error),
        };
        let bell = match EventFd::new() {
            Ok(bell) => bell,
            Err(error) => line.fail(LoadError::new(
                "start",
                format!("cannot make an eventfd: {error}"),
            )),
        };
        let mailbox = Arc::new(Mailbox {
            events: Mutex::new(Vec::new()),
            bell,
        });
        let workers = line::by_worker(&spec, &spec.workers, descriptors.seats);
        let afterwork = Afterwork::new(spec.timeout_ms, Instant::now());
        let mut host = Interpreters {
            line,
            spec: Arc::new(spec),
            exchange,
            places: Vec::new(),
            gate: Arc::default(),
            milestones: Milestones::default(),
            draining: false,
            report: mailbox.clone(),
            mailbox,
            interrupted: Vec::new(),
            afterwork,
            abandoned: 0,
            hooked,
        };
        for seats in workers {
            host.add(seats);
        }
        host
    }

    /// A worker with a thread for each of the seats.
    fn add(&mut self, seats: WorkerSeats) {
        let specs = seats.iter().map(|(spec, ends)| (*spec, ends));
        let started = self.start_worker(specs);
        let leader = started.first().map_or(0, |seat| seat.spec.index);
        let ends = seats.into_iter().map(|(_, ends)| ends);
        self.places
            .extend(started.into_iter().zip(ends).map(|(seat, ends)| Held {
                seat,
                ends,
                leader,
                loaded: false,
                up: false,
                ended: false,
                retiring: false,
            }));
    }

    fn start_worker<'a>(
        &self,
        seats: impl Iterator<Item = (WorkerSpec, &'a SeatEnds)>,
    ) -> Vec<Seat> {
        let places: std::io::Result<Vec<Place>> = seats
            .map(|(seat, ends)| {
                Ok(Place {
                    seat,
                    ends: ends.try_clone()?,
                    seen: Seen::default(),
                })
            })
            .collect();
        let places = places.inspect(|places| {
            // Further seats are those of its threads.
            if let Some(first) = places.first() {
                self.tell_hooks(c"forking", Some(first.seat.index));
                self.tell_hooks(c"begun", Some(first.seat.index));
            }
        });
        match places.and_then(|places| {
            thread::start(&self.spec, &self.exchange, places, &self.gate, &self.report)
        }) {
            Ok(seats) => seats,
            Err(error) => self.line.fail(LoadError::new(
                "start",
                format!("cannot start a worker thread: {error}"),
            )),
        }
    }

    pub fn run(mut self) -> ! {
        loop {
            let mailbox = self.mailbox.clone();
            let mut watches = [
                Watch::read(self.line.as_fd()),
                Watch::read(mailbox.bell.as_fd()),
            ];
            let timeout = self
                .interrupted
                .iter()
                .map(|interrupted| interrupted.at)
                .chain(self.afterwork.due())
                .min();
            let timeout_ms = timeout
                .map(|at| at.saturating_duration_since(Instant::now()).as_millis() as u64 + 1);
            if let Err(error) = sys::socket::poll(&mut watches, timeout_ms) {
                self.line
                    .fail(LoadError::new("start", format!("poll: {error}")));
            }
            let [orders, events] = watches.map(|watch| watch.readable);
            if events {
                self.take_events();
            }
            if orders {
                self.take_order();
            }
            self.look_at_interrupted();
            let seats = self.places.iter().map(|place| place.seat.spec.index);
            for index in self
                .afterwork
                .look(Instant::now(), &self.exchange.segment, seats)
            {
                self.replace(index);
            }
            if self.draining && self.places.iter().all(|place| place.ended) {
                self.tell_hooks(c"exiting", None);
                self.line.send(&FromHost::Drained);
                private::clean();
                sys::process::exit_now(0);
            }
        }
    }

    fn take_order(&mut self) {
        let (order, descriptors) = self.line.receive();
        match order {
            ToHost::Open => self.gate.open(),
            ToHost::Drain => self.drain(),
            ToHost::Quit => self.quit(),
            ToHost::Executing {} => {
                self.tell_hooks(c"executing", None);
                self.line.send(&FromHost::HookDone);
            }
            ToHost::Replace { index } => self.replace(index),
            ToHost::Grow { workers } => {
                let segment = &self.exchange.segment;
                for seats in line::more_by_worker(&self.spec, segment, &workers, descriptors) {
                    self.add(seats);
                }
                self.tell_count();
            }
            ToHost::Retire { index } => {
                self.retire(index);
                self.tell_count();
            }
            ToHost::Start { .. } | ToHost::Descriptors {} | ToHost::Interrupt { .. } => {
                eprintln!("ringgate: an order out of place is ignored");
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.gate.open();
        for place in &self.places {
            self.exchange.segment.request_drain(place.seat.spec.index);
        }
    }

    fn retire(&mut self, index: u16) {
        for place in self.places.iter_mut().filter(|place| place.leader == index) {
            place.retiring = true;
            self.exchange.segment.request_drain(place.seat.spec.index);
        }
    }

    fn place(&self, seat: WorkerSpec) -> Option<usize> {
        self.places.iter().position(|place| place.seat.spec == seat)
    }

    fn take_events(&mut self) {
        if self.mailbox.bell.take().is_err() {
            eprintln!("ringgate: an eventfd of our own is broken");
        }
        let events = std::mem::take(
            &mut *self
                .mailbox
                .events
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for event in events {
            match event {
                Event::Loaded(seat) => self.note_loaded(seat),
                Event::Spare(seat) => self.places.retain(|held| held.seat.spec != seat),
                Event::Files(message) => self.line.send(&message),
                Event::Up(seat) => self.note_up(seat),
                Event::Ended(seat, end) => self.note_ended(seat, end),
                Event::Failed(seat, error) => self.note_failed(seat, error),
                Event::Refused(module) => {
                    // Before the first worker is up the probe has judged already.
                    if self.milestones.is_up() {
                        self.line.send(&FromHost::LateRefusal { module });
                    }
                }
            }
        }
    }

    fn note_loaded(&mut self, seat: WorkerSpec) {
        for place in &mut self.places {
            place.loaded |= place.leader == seat.index;
        }
        let all = self.places.iter().all(|place| place.loaded);
        self.milestones.note_loaded(&self.line, all);
    }

    fn note_up(&mut self, seat: WorkerSpec) {
        let Some(place) = self.place(seat) else {
            return;
        };
        self.places[place].up = true;
        let retiring = self.places[place].retiring;
        let pid = std::process::id();
        self.line.send(&FromHost::WorkerUp {
            index: seat.index,
            incarnation: seat.incarnation,
            pid,
            interface: self.places[place].seat.seen.progress.interface(),
        });
        if self.draining || retiring {
            // The order came while it was being imported.
            self.exchange.segment.request_drain(seat.index);
        }
        let all = self.places.iter().all(|place| place.up);
        if self.milestones.reaches_up(all) {
            self.tell_hooks(c"ready", None);
            self.line.send(&FromHost::Ready);
        }
    }

    fn note_ended(&mut self, seat: WorkerSpec, end: End) {
        match (self.place(seat), end) {
            (Some(place), End::Drained) => {
                self.tell_gone(seat, "drained");
                if self.places[place].retiring && !self.draining {
                    self.places.remove(place);
                } else {
                    self.places[place].ended = true;
                }
            }
            // A worker that was left behind came to its end; its successor has the seat.
            (None, _) | (_, End::Replaced) => {}
        }
    }

    fn note_failed(&mut self, seat: WorkerSpec, error: LoadError) {
        match self.place(seat) {
            Some(place) if self.draining => self.places[place].ended = true,
            // The others serve on.
            Some(_) if self.milestones.is_up() => {
                self.places.retain(|place| place.leader != seat.index);
                let WorkerSpec { index, incarnation } = seat;
                self.line.send(&FromHost::SeatLost {
                    index,
                    incarnation,
                    message: error.with_traceback(),
                });
            }
            _ => self.line.fail(error),
        }
    }

    fn tell_gone(&self, seat: WorkerSpec, reason: &str) {
        self.tell_hooks(c"left", Some(seat.index));
        let pid = std::process::id();
        self.line.send(&FromHost::WorkerGone {
            index: seat.index,
            incarnation: seat.incarnation,
            pid,
            reason: reason.to_owned(),
        });
    }
}
