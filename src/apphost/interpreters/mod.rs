//! Kind `interpreters`: each worker is an interpreter with its own GIL on a thread of its own, all in this process.
//!
//! Owns the seats. Nobody takes a request before all have imported the application: a sibling that fails then costs nothing, and no interpreter is
//! created beside one that serves (save when more are asked for). Interpreters are never ended (see `ffi::interpreter`); a worker that is stuck is interrupted, and if that does not help its seat
//! goes to a new interpreter while the old one is left behind.

mod thread;

use crate::afterwork::Afterwork;
use crate::gate::Gate;
use crate::line::{Descriptors, Line, SeatEnds};
use crate::load::LoadError;
use crate::private;
use crate::threads::{Place, Report, Seen};
use crate::worker::{End, Exchange};
use config::Interface;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use sys::eventfd::EventFd;
use sys::socket::Watch;
use thread::{INTERRUPT_GRACE, Seat};

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

/// Interpreters left behind (20 to 35 MB each, perhaps with a thread that computes for ever) before the process is given up.
const ABANDONED_PER_SEAT_MAX: usize = 4;

/// How long a live event loop may take to turn when it is asked to.
const LOOP_GRACE: Duration = Duration::from_secs(1);

/// A request that was interrupted, to be looked at again.
struct Interrupted {
    index: u16,
    turn: u64,
    at: Instant,
    /// Of an event loop that was only asked to turn so far: false.
    told: bool,
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
    announced: bool,
    draining: bool,
    mailbox: Arc<Mailbox>,
    report: Arc<dyn Report>,
    interrupted: Vec<Interrupted>,
    afterwork: Afterwork,
    /// Workers left behind in their requests.
    abandoned: usize,
}

impl Interpreters {
    pub fn start(line: Line, spec: HostSpec, descriptors: Descriptors) -> Interpreters {
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
        let threads = spec.options.seats_per_worker();
        let afterwork = Afterwork::new(spec.timeout_ms, Instant::now());
        let workers = spec.workers.clone();
        let mut host = Interpreters {
            line,
            spec: Arc::new(spec),
            exchange,
            places: Vec::with_capacity(workers.len()),
            gate: Arc::default(),
            announced: false,
            draining: false,
            report: mailbox.clone(),
            mailbox,
            interrupted: Vec::new(),
            afterwork,
            abandoned: 0,
        };
        let mut seats = workers.into_iter().zip(descriptors.seats).peekable();
        while seats.peek().is_some() {
            host.add(seats.by_ref().take(threads).collect());
        }
        host
    }

    /// A worker with a thread for each of the seats.
    fn add(&mut self, seats: Vec<(WorkerSpec, SeatEnds)>) {
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

    pub fn run(mut self, term: &EventFd) -> ! {
        loop {
            let mailbox = self.mailbox.clone();
            let mut watches = [
                Watch::read(self.line.as_fd()),
                Watch::read(mailbox.bell.as_fd()),
                Watch::read(term.as_fd()),
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
            let [orders, events, term_rung] = watches.map(|watch| watch.readable);
            if events {
                self.take_events();
            }
            if orders {
                self.take_order();
            }
            if term_rung && !self.draining {
                self.drain();
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
                self.line.send(&FromHost::Drained);
                private::clean();
                sys::process::exit_now(0);
            }
        }
    }

    fn take_order(&mut self) {
        let (order, descriptors) = self.line.receive();
        match order {
            ToHost::Drain => self.drain(),
            ToHost::Quit => {
                private::clean();
                sys::process::exit_now(0)
            }
            ToHost::Replace { index } => self.replace(index),
            ToHost::Grow { workers } => {
                let ends = SeatEnds::pairs(descriptors);
                for (worker, ends) in workers.iter().zip(&ends) {
                    ends.make_known(&self.exchange.segment, worker.index);
                }
                let threads = self.spec.options.seats_per_worker();
                let mut seats = workers.into_iter().zip(ends).peekable();
                while seats.peek().is_some() {
                    self.add(seats.by_ref().take(threads).collect());
                }
            }
            ToHost::Retire { index } => self.retire(index),
            ToHost::Start { .. } | ToHost::Descriptors {} => {
                eprintln!("ringgate: a second `start` is ignored");
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
                    if self.announced {
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
        if self.places.iter().all(|place| place.loaded) {
            self.gate.open();
        }
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
        if !self.announced && self.places.iter().all(|place| place.up) {
            self.announced = true;
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
            Some(_) if self.announced => {
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
        let pid = std::process::id();
        self.line.send(&FromHost::WorkerGone {
            index: seat.index,
            incarnation: seat.incarnation,
            pid,
            reason: reason.to_owned(),
        });
    }

    /// A request ran over its time.
    fn replace(&mut self, index: u16) {
        let known = |place: &&Held| place.seat.spec.index == index;
        let Some(Held { seat, .. }) = self.places.iter().find(known) else {
            return;
        };
        let progress = &seat.seen.progress;
        let looped = progress.interface() == Interface::Asgi;
        // Between two requests: the one in question has ended by itself. A loop is asked to turn: one that does is not stuck, whatever its requests
        // wait for.
        let Some(turn) = progress.turn().or(looped.then(|| progress.mark())) else {
            return;
        };
        if self
            .interrupted
            .iter()
            .any(|known| known.index == index && known.turn == turn)
        {
            return;
        }
        if looped {
            self.exchange.segment.unpark(index);
        } else {
            seat.interrupt(turn);
        }
        let grace = if looped { LOOP_GRACE } else { INTERRUPT_GRACE };
        self.interrupted.push(Interrupted {
            index,
            turn,
            at: Instant::now() + grace,
            told: !looped,
        });
    }

    /// Gives the seats of workers that did not heed the interruption to new ones.
    fn look_at_interrupted(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.interrupted)
            .into_iter()
            .partition(|interrupted| interrupted.at <= now);
        self.interrupted = later;
        let due: Vec<Interrupted> = due;
        for interrupted in due {
            let Some(place) = self
                .places
                .iter()
                .position(|place| place.seat.spec.index == interrupted.index)
            else {
                continue;
            };
            let seat = &self.places[place].seat;
            if seat.seen.progress.mark() != interrupted.turn {
                continue;
            }
            if !interrupted.told {
                seat.interrupt(interrupted.turn);
                self.interrupted.push(Interrupted {
                    at: now + INTERRUPT_GRACE,
                    told: true,
                    ..interrupted
                });
                continue;
            }
            if !self.places[place].seat.seen.progress.lease.revoke() {
                // Not in Python but in our own code, e.g. waiting for the client to take bytes: that ends by itself.
                self.interrupted.push(Interrupted {
                    at: now + INTERRUPT_GRACE,
                    ..interrupted
                });
                continue;
            }
            let old = self.places[place].seat.spec;
            self.tell_gone(
                old,
                "stuck in a request over its time; its interpreter is left behind",
            );
            self.places[place].up = false;
            if self.draining {
                self.places[place].ended = true;
                continue;
            }
            self.abandoned += 1;
            if self.abandoned > ABANDONED_PER_SEAT_MAX * self.places.len() {
                let message = format!(
                    "{} requests ran over their time and could not be stopped; each keeps an interpreter, so the process is given up",
                    self.abandoned
                );
                self.line.fail(LoadError::new("worker", message));
            }
            let successor = WorkerSpec {
                index: old.index,
                incarnation: old.incarnation.wrapping_add(1),
            };
            if self.places[place].retiring {
                self.places.remove(place);
                continue;
            }
            // Its interpreter's other threads go on; the successor has one of its own.
            let ends = &self.places[place].ends;
            if let Some(seat) = self.start_worker(std::iter::once((successor, ends))).pop() {
                self.places[place].leader = successor.index;
                self.places[place].seat = seat;
            }
        }
    }
}
