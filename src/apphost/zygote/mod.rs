//! Kind `processes`: this process imports the app once and forks the workers, which share its memory until they write to it.
//!
//! Owns the children. If importing the app started threads, forking would copy their locks without them, so the process starts itself anew (exec: no trace
//! of the import stays) and lets every worker import the app by itself after the fork.

mod anew;
mod child;
mod crew;
mod fork;
mod interrupt;
mod overdue;
mod preload;
mod quit;
mod warm;

use crate::afterwork::Afterwork;
use crate::backoff::Backoff;
use crate::ffi::{Object, Python};
use crate::hooks::Hooks;
use crate::line::{self, Descriptors, Line, WorkerSeats};
use crate::load::{self, LoadError};
use crate::milestones::Milestones;
use crate::prelude::Prelude;
use crate::worker::Exchange;
use config::Interface;
use control::Channel;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;
use sys::eventfd::EventFd;
use sys::socket::Watch;

pub use anew::resumed;
use overdue::Suspect;
pub use preload::Share;
use preload::Shared;

/// Workers of one seat that may end at once, before any was up, until the host gives up.
const DEATHS_AT_START_MAX: u32 = 4;

struct Child {
    pid: u32,
    ended: OwnedFd,
    /// What it has to say: that it is up, or why not. And which request to interrupt.
    channel: Channel,
    /// The channel has nothing more.
    silent: bool,
    /// It has imported the application, and waits at the gate if that is closed.
    loaded: bool,
    /// Seats with somebody in them.
    up: usize,
    /// Threads that were interrupted.
    suspects: Vec<Suspect>,
    /// To be killed then, its stack having been asked for.
    kill_at: Option<Instant>,
    reason: Option<&'static str>,
}

/// The seats of one worker, a thread for each, and whoever sits in them.
struct Place {
    seats: WorkerSeats,
    child: Option<Child>,
    fork_at: Option<Instant>,
    backoff: Backoff,
    /// It is not wanted any more.
    retiring: bool,
}

impl Place {
    fn new(seats: WorkerSeats) -> Place {
        Place {
            seats,
            child: None,
            fork_at: Some(Instant::now()),
            backoff: Backoff::default(),
            retiring: false,
        }
    }

    fn indexes(&self) -> impl Iterator<Item = u16> {
        self.seats.iter().map(|(seat, _)| seat.index)
    }
}

impl Child {
    /// When something is to be done about it.
    fn due(&self) -> Option<Instant> {
        let suspects = self.suspects.iter().map(|suspect| suspect.patience_until);
        suspects.chain(self.kill_at).min()
    }
}

struct Zygote<'p> {
    py: Python<'p>,
    prelude: &'p Rc<Prelude>,
    line: Line,
    spec: HostSpec,
    exchange: Exchange,
    /// `None`: every worker imports it by itself.
    application: Option<Object>,
    share: Share,
    errors: Object,
    hooks: Hooks,
    places: Vec<Place>,
    /// Holds the workers of a generation back until all of them could serve: they wait until it is rung, and nobody silences it. (The end of a pipe would
    /// not do: they would see it when we are killed, a moment before they are killed with us.) `None`: open.
    gate: Option<EventFd>,
    milestones: Milestones,
    afterwork: Afterwork,
    draining: bool,
}

/// Imports, forks, watches.
pub fn run(
    py: Python<'_>,
    prelude: &Rc<Prelude>,
    line: Line,
    spec: HostSpec,
    descriptors: Descriptors,
    share: Share,
) -> ! {
    let prepared = load::prepare(py, prelude, &spec, None);
    let errors = match prepared {
        Ok(errors) => errors,
        Err(raised) => line.fail(raised.into()),
    };
    let hooks = match Hooks::start(py, &spec) {
        Ok(hooks) => hooks,
        Err(error) => line.fail(error),
    };
    let shared = (share > Share::Nothing)
        .then(|| preload::run(py, prelude, &line, &spec, share))
        .transpose();
    let application = match shared {
        Ok(Some(Shared::Application(application))) => Some(application),
        Ok(None) => None,
        Ok(Some(Shared::Less(share))) => {
            let error = anew::start(py, spec, descriptors, share);
            line.fail(LoadError::new(
                "start",
                format!("cannot start the host anew: {error}"),
            ));
        }
        Err(error) => line.fail(error),
    };
    let Descriptors {
        segment,
        doorbells,
        seats,
    } = descriptors;
    let exchange = match Descriptors::exchange(&spec, segment, doorbells, &seats) {
        Ok(exchange) => exchange,
        Err(error) => line.fail(error),
    };
    let workers = line::by_worker(&spec, &spec.workers, seats);
    let places = workers.into_iter().map(Place::new).collect();
    let gate = spec.successor.then(|| match EventFd::new() {
        Ok(gate) => gate,
        Err(error) => line.fail(LoadError::new(
            "start",
            format!("cannot make an eventfd: {error}"),
        )),
    });
    let afterwork = Afterwork::new(spec.timeout_ms, Instant::now());
    Zygote {
        afterwork,
        py,
        prelude,
        line,
        spec,
        exchange,
        application,
        share,
        errors,
        hooks,
        places,
        gate,
        milestones: Milestones::default(),
        draining: false,
    }
    .run()
}

impl Zygote<'_> {
    fn run(mut self) -> ! {
        loop {
            self.fork_due();
            self.kill_due();
            let seen = self.wait();
            if seen.orders {
                self.take_order();
            }
            // Backwards: a place may be removed.
            for place in seen.places.into_iter().rev() {
                self.look_at(place);
            }
            let seats = self.places.iter().flat_map(Place::indexes);
            for index in self
                .afterwork
                .look(Instant::now(), &self.exchange.segment, seats)
            {
                self.replace(index);
            }
            if self.draining && self.places.iter().all(|place| place.child.is_none()) {
                self.hooks.note(self.py, c"exiting");
                self.line.send(&FromHost::Drained);
                sys::process::exit_now(0);
            }
        }
    }

    fn wait(&self) -> Seen {
        let mut watches = vec![Watch::read(self.line.as_fd())];
        // Two for each child, in order.
        let mut owners = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            if let Some(child) = &place.child {
                owners.push(index);
                watches.push(Watch::read(child.ended.as_fd()));
                if !child.silent {
                    owners.push(index);
                    watches.push(Watch::read(child.channel.as_fd()));
                }
            }
        }
        let due = self
            .places
            .iter()
            .flat_map(|place| {
                let child = place.child.as_ref().and_then(Child::due);
                [place.fork_at, child]
            })
            .flatten()
            .chain(self.afterwork.due())
            .min();
        let timeout_ms =
            due.map(|at| at.saturating_duration_since(Instant::now()).as_millis() as u64 + 1);
        if let Err(error) = self
            .py
            .detached(|| sys::socket::poll(&mut watches, timeout_ms))
        {
            self.line
                .fail(LoadError::new("start", format!("poll: {error}")));
        }
        let mut places: Vec<usize> = watches[1..]
            .iter()
            .zip(&owners)
            .filter(|(watch, _)| watch.readable)
            .map(|(_, owner)| *owner)
            .collect();
        places.dedup();
        Seen {
            orders: watches[0].readable,
            places,
        }
    }

    fn take_order(&mut self) {
        let (order, descriptors) = self.line.receive();
        match order {
            ToHost::Open => self.open_gate(),
            ToHost::Drain => self.drain(),
            ToHost::Quit => self.quit(),
            ToHost::Executing {} => {
                self.hooks.note(self.py, c"executing");
                self.line.send(&FromHost::HookDone);
            }
            ToHost::Replace { index } => self.replace(index),
            ToHost::Grow { workers } => {
                let segment = &self.exchange.segment;
                let more = line::more_by_worker(&self.spec, segment, &workers, descriptors);
                self.places.extend(more.into_iter().map(Place::new));
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

    fn open_gate(&mut self) {
        if self.gate.take().is_some_and(|gate| gate.ring().is_err()) {
            self.line
                .fail(LoadError::new("start", "an eventfd of our own is broken"));
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.open_gate();
        for place in &mut self.places {
            place.fork_at = None;
            for index in place.indexes() {
                self.exchange.segment.request_drain(index);
            }
        }
    }

    fn retire(&mut self, index: u16) {
        let known = |place: &Place| place.indexes().any(|each| each == index);
        let Some(at) = self.places.iter().position(known) else {
            return;
        };
        if self.places[at].child.is_none() {
            let place = self.places.remove(at);
            for (seat, _) in &place.seats {
                self.tell_gone(*seat, 0, "retired");
            }
            return;
        }
        self.places[at].retiring = true;
        for index in self.places[at].indexes() {
            self.exchange.segment.request_drain(index);
        }
    }

    fn tell_gone(&self, seat: WorkerSpec, pid: u32, reason: &str) {
        self.line.send(&FromHost::WorkerGone {
            index: seat.index,
            incarnation: seat.incarnation,
            pid,
            reason: reason.to_owned(),
        });
    }

    /// Something happened to the worker of a place.
    fn look_at(&mut self, index: usize) {
        self.hear(index);
        let Some(pid) = self.places[index].child.as_ref().map(|child| child.pid) else {
            return;
        };
        let ended = match sys::process::collect(pid) {
            Ok(None) => return,
            Ok(Some(ended)) => ended.to_string(),
            Err(error) => error.to_string(),
        };
        // Its last words.
        self.hear(index);
        let place = &mut self.places[index];
        let Some(child) = place.child.take() else {
            return;
        };
        let reason = match child.reason {
            Some(reason) => reason.to_owned(),
            None if self.draining || place.retiring => "drained".to_owned(),
            None => ended,
        };
        for (seat, _) in &self.places[index].seats {
            self.tell_gone(*seat, pid, &reason);
        }
        self.hooks.tell(self.py, c"gone", pid);
        if self.draining {
            return;
        }
        let place = &mut self.places[index];
        if place.retiring {
            self.places.remove(index);
        } else {
            for (seat, _) in &mut place.seats {
                // As the supervisor counts: no life is 0.
                seat.incarnation = seat.incarnation.wrapping_add(1).max(1);
            }
            let now = Instant::now();
            let pause = place.backoff.after(child.up > 0, now);
            if !pause.is_zero() {
                let (index, seconds) = (place.seats[0].0.index, pause.as_secs_f32());
                eprintln!(
                    "ringgate: worker {index} keeps ending; another starts in {seconds:.1} s"
                );
            }
            place.fork_at = Some(now + pause);
        }
        let hopeless = self.places[index..]
            .first()
            .is_some_and(|place| place.backoff.early_deaths() >= DEATHS_AT_START_MAX);
        let nobody = |place: &Place| place.child.as_ref().is_none_or(|child| child.up == 0);
        if hopeless && !self.milestones.is_up() && self.places.iter().all(nobody) {
            let message = format!("its workers end as soon as they start: {reason}");
            self.line.fail(LoadError::new("worker", message));
        }
    }

    /// Passes on what the worker says of itself.
    fn hear(&mut self, index: usize) {
        loop {
            let place = &mut self.places[index];
            let Some(child) = place.child.as_mut().filter(|child| !child.silent) else {
                return;
            };
            let mut watch = [Watch::read(child.channel.as_fd())];
            if sys::socket::poll(&mut watch, Some(0)).is_err() || !watch[0].readable {
                return;
            }
            match child.channel.recv::<FromHost>() {
                Ok(Some((FromHost::Ready, _))) => {
                    child.loaded = true;
                    let loaded =
                        |place: &Place| place.child.as_ref().is_some_and(|child| child.loaded);
                    if self.gate.is_some() {
                        let all = self.places.iter().all(loaded);
                        self.milestones.note_loaded(&self.line, all);
                    }
                }
                Ok(Some((message @ FromHost::Files { .. }, _))) => self.line.send(&message),
                Ok(Some((
                    message @ FromHost::WorkerUp {
                        index, interface, ..
                    },
                    _,
                ))) => {
                    child.up += 1;
                    if interface == Interface::Asgi {
                        // One event loop, and nobody in the seats of further threads.
                        place.seats.truncate(1);
                    }
                    self.line.send(&message);
                    self.note_up(index);
                }
                Ok(Some((
                    FromHost::Failed {
                        stage,
                        message,
                        traceback,
                    },
                    _,
                ))) if !self.draining && !self.milestones.is_up() => {
                    self.line.fail(LoadError {
                        stage,
                        message,
                        traceback,
                    });
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => child.silent = true,
            }
        }
    }

    fn note_up(&mut self, number: u16) {
        let retiring =
            |place: &Place| place.retiring && place.indexes().any(|index| index == number);
        if self.draining || self.places.iter().any(retiring) {
            self.exchange.segment.request_drain(number);
        }
        let all = self.places.iter().all(|place| {
            let child = place.child.as_ref();
            child.is_some_and(|child| child.up == place.seats.len())
        });
        if self.milestones.reaches_up(all) {
            self.hooks.note(self.py, c"ready");
            self.line.send(&FromHost::Ready);
        }
    }
}

struct Seen {
    orders: bool,
    /// Places whose child has something to say or has ended.
    places: Vec<usize>,
}
