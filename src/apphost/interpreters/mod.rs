//! Kind `interpreters`: each worker is an interpreter with its own GIL on a thread of its own, all in this process.
//!
//! Owns the seats. Interpreters are never ended (see `ffi::interpreter`); a worker that is stuck is interrupted, and if that does not help its seat
//! goes to a new interpreter while the old one is left behind.

mod thread;

use crate::afterwork::Afterwork;
use crate::line::{Descriptors, Line, SeatEnds};
use crate::load::LoadError;
use crate::private;
use crate::worker::{End, Exchange};
use config::Interface;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use sys::eventfd::EventFd;
use sys::socket::Watch;
use thread::{INTERRUPT_GRACE, Report, Seat};

enum Event {
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
    fn up(&self, seat: WorkerSpec) {
        self.put(Event::Up(seat));
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

/// A request that was interrupted, to be looked at again.
struct Interrupted {
    index: u16,
    turn: u64,
    at: Instant,
}

/// A host of kind `interpreters`.
pub struct Interpreters {
    line: Line,
    spec: Arc<HostSpec>,
    exchange: Exchange,
    /// By position in `spec.workers`; kept to give to successors.
    ends: Vec<SeatEnds>,
    seats: Vec<Seat>,
    /// Seats whose worker is serving.
    up: Vec<bool>,
    ended: Vec<bool>,
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
        let exchange = match Descriptors::exchange(descriptors.segment, descriptors.doorbells) {
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
        let count = spec.workers.len();
        let afterwork = Afterwork::new(spec.timeout_ms, Instant::now());
        let mut host = Interpreters {
            line,
            spec: Arc::new(spec),
            exchange,
            ends: descriptors.seats,
            seats: Vec::with_capacity(count),
            up: vec![false; count],
            ended: vec![false; count],
            announced: false,
            draining: false,
            report: mailbox.clone(),
            mailbox,
            interrupted: Vec::new(),
            afterwork,
            abandoned: 0,
        };
        for place in 0..count {
            let seat = host.start_worker(place, host.spec.workers[place]);
            host.seats.push(seat);
        }
        host
    }

    fn start_worker(&self, place: usize, seat: WorkerSpec) -> Seat {
        let ends = self.ends[place].try_clone();
        match ends
            .and_then(|ends| thread::start(&self.spec, &self.exchange, seat, ends, &self.report))
        {
            Ok(seat) => seat,
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
            let seats = self.seats.iter().map(|seat| seat.spec.index);
            for index in self
                .afterwork
                .look(Instant::now(), &self.exchange.segment, seats)
            {
                self.replace(index);
            }
            if self.draining && self.ended.iter().all(|ended| *ended) {
                self.line.send(&FromHost::Drained);
                private::clean();
                sys::process::exit_now(0);
            }
        }
    }

    fn take_order(&mut self) {
        match self.line.receive().0 {
            ToHost::Drain => self.drain(),
            ToHost::Quit => {
                private::clean();
                sys::process::exit_now(0)
            }
            ToHost::Replace { index } => self.replace(index),
            ToHost::Start { .. } | ToHost::Descriptors {} => {
                eprintln!("ringgate: a second `start` is ignored");
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        for seat in &self.seats {
            self.exchange.segment.request_drain(seat.spec.index);
        }
    }

    fn place(&self, seat: WorkerSpec) -> Option<usize> {
        self.seats.iter().position(|known| known.spec == seat)
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

    fn note_up(&mut self, seat: WorkerSpec) {
        let Some(place) = self.place(seat) else {
            return;
        };
        self.up[place] = true;
        let pid = std::process::id();
        self.line.send(&FromHost::WorkerUp {
            index: seat.index,
            incarnation: seat.incarnation,
            pid,
            interface: Interface::Wsgi,
        });
        if self.draining {
            // The order came while it was being imported.
            self.exchange.segment.request_drain(seat.index);
        }
        if !self.announced && self.up.iter().all(|up| *up) {
            self.announced = true;
            self.line.send(&FromHost::Ready);
        }
    }

    fn note_ended(&mut self, seat: WorkerSpec, end: End) {
        match (self.place(seat), end) {
            (Some(place), End::Drained) => {
                self.ended[place] = true;
                self.tell_gone(seat, "drained");
            }
            // A worker that was left behind came to its end; its successor has the seat.
            (None, _) | (_, End::Replaced) => {}
        }
    }

    fn note_failed(&mut self, seat: WorkerSpec, error: LoadError) {
        match self.place(seat) {
            Some(place) if self.draining => self.ended[place] = true,
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
        let Some(seat) = self.seats.iter().find(|seat| seat.spec.index == index) else {
            return;
        };
        // Between two requests: the one in question has ended by itself.
        let Some(turn) = seat.progress.turn() else {
            return;
        };
        if self
            .interrupted
            .iter()
            .any(|known| known.index == index && known.turn == turn)
        {
            return;
        }
        seat.interrupt(turn);
        self.interrupted.push(Interrupted {
            index,
            turn,
            at: Instant::now() + INTERRUPT_GRACE,
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
                .seats
                .iter()
                .position(|seat| seat.spec.index == interrupted.index)
            else {
                continue;
            };
            if self.seats[place].progress.turn() != Some(interrupted.turn) {
                continue;
            }
            if !self.seats[place].progress.lease.revoke() {
                // Not in Python but in our own code, e.g. waiting for the client to take bytes: that ends by itself.
                self.interrupted.push(Interrupted {
                    at: now + INTERRUPT_GRACE,
                    ..interrupted
                });
                continue;
            }
            let old = self.seats[place].spec;
            self.tell_gone(
                old,
                "stuck in a request over its time; its interpreter is left behind",
            );
            self.up[place] = false;
            if self.draining {
                self.ended[place] = true;
                continue;
            }
            self.abandoned += 1;
            if self.abandoned > ABANDONED_PER_SEAT_MAX * self.seats.len() {
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
            self.seats[place] = self.start_worker(place, successor);
        }
    }
}
