//! Kind `processes`: this process imports the app once and forks the workers, which share its memory until they write to it.
//!
//! Owns the children. If importing the app started threads, forking would copy their locks without them, so the process starts itself anew (exec: no trace
//! of the import stays) and lets every worker import the app by itself after the fork.

mod anew;
mod child;

use crate::afterwork::Afterwork;
use crate::backoff::Backoff;
use crate::ffi::{Object, Python};
use crate::line::{Descriptors, Line, SeatEnds};
use crate::load::{self, LoadError};
use crate::prelude::Prelude;
use crate::worker::Exchange;
use control::Channel;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use sys::eventfd::EventFd;
use sys::socket::Watch;

pub use anew::RESUME_ARGUMENT;

/// Between the request for a stuck worker's stack and its end.
const STACK_PAUSE: Duration = Duration::from_millis(100);

struct Child {
    pid: u32,
    ended: OwnedFd,
    /// What it has to say: that it is up, or why not.
    channel: Channel,
    /// The channel has nothing more.
    silent: bool,
    /// It has imported the application, and waits at the gate if that is closed.
    loaded: bool,
    up: bool,
    born: Instant,
    /// To be killed then, its stack having been asked for.
    kill_at: Option<Instant>,
    reason: Option<&'static str>,
}

/// A seat and whoever sits in it.
struct Place {
    seat: WorkerSpec,
    ends: SeatEnds,
    child: Option<Child>,
    fork_at: Option<Instant>,
    backoff: Backoff,
    /// It is not wanted any more.
    retiring: bool,
}

/// Holds the workers of a generation back until all of them could serve: they wait for the end of a pipe.
struct Gate {
    /// The workers' side.
    closed: OwnedFd,
    /// Ours; the gate opens when it is closed here, and in every child.
    _holder: OwnedFd,
}

impl Place {
    fn new(seat: WorkerSpec, ends: SeatEnds) -> Place {
        Place {
            seat,
            ends,
            child: None,
            fork_at: Some(Instant::now()),
            backoff: Backoff::default(),
            retiring: false,
        }
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
    errors: Object,
    places: Vec<Place>,
    /// `None`: open.
    gate: Option<Gate>,
    afterwork: Afterwork,
    announced: bool,
    draining: bool,
}

/// Imports, forks, watches. With `preload` false the import is the workers'.
pub fn run(
    py: Python<'_>,
    prelude: &Rc<Prelude>,
    line: Line,
    spec: HostSpec,
    descriptors: Descriptors,
    term: &EventFd,
    preload: bool,
) -> ! {
    let prepared = load::prepare(py, prelude, &spec, None);
    let errors = match prepared {
        Ok(errors) => errors,
        Err(raised) => line.fail(raised.into()),
    };
    let application = if preload {
        let loaded = load::application(py, prelude, &spec.target);
        load::report_files(py, prelude, &spec, &|message| line.send(&message));
        match loaded {
            Ok(application) => Some(application),
            Err(raised) => line.fail(raised.into()),
        }
    } else {
        None
    };
    if application.is_some() && sys::process::thread_count().unwrap_or(1) > 1 {
        let error = anew::start(py, spec, descriptors);
        line.fail(LoadError::new(
            "start",
            format!("cannot start the host anew: {error}"),
        ));
    }
    let Descriptors {
        segment,
        doorbells,
        seats,
    } = descriptors;
    let exchange = match Descriptors::exchange(segment, doorbells) {
        Ok(exchange) => exchange,
        Err(error) => line.fail(error),
    };
    let places = spec.workers.iter().zip(seats);
    let places = places.map(|(seat, ends)| Place::new(*seat, ends)).collect();
    let gate = spec.successor.then(|| match sys::socket::pipe() {
        Ok((closed, _holder)) => Gate { closed, _holder },
        Err(error) => line.fail(LoadError::new(
            "start",
            format!("cannot make a pipe: {error}"),
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
        errors,
        places,
        gate,
        announced: false,
        draining: false,
    }
    .run(term)
}

impl Zygote<'_> {
    fn run(mut self, term: &EventFd) -> ! {
        loop {
            self.fork_due();
            self.kill_due();
            let seen = self.wait(term);
            if seen.orders {
                self.take_order();
            }
            if seen.term && !self.draining {
                self.drain();
            }
            // Backwards: a place may be removed.
            for place in seen.places.into_iter().rev() {
                self.look_at(place);
            }
            let seats = self.places.iter().map(|place| place.seat.index);
            for index in self
                .afterwork
                .look(Instant::now(), &self.exchange.segment, seats)
            {
                self.replace(index);
            }
            if self.draining && self.places.iter().all(|place| place.child.is_none()) {
                self.line.send(&FromHost::Drained);
                sys::process::exit_now(0);
            }
        }
    }

    fn wait(&self, term: &EventFd) -> Seen {
        let mut watches = vec![Watch::read(self.line.as_fd()), Watch::read(term.as_fd())];
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
                [
                    place.fork_at,
                    place.child.as_ref().and_then(|child| child.kill_at),
                ]
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
        let mut places: Vec<usize> = watches[2..]
            .iter()
            .zip(&owners)
            .filter(|(watch, _)| watch.readable)
            .map(|(_, owner)| *owner)
            .collect();
        places.dedup();
        Seen {
            orders: watches[0].readable,
            term: watches[1].readable,
            places,
        }
    }

    fn take_order(&mut self) {
        let (order, descriptors) = self.line.receive();
        match order {
            ToHost::Drain => self.drain(),
            ToHost::Quit => sys::process::exit_now(0),
            ToHost::Replace { index } => self.replace(index),
            ToHost::Grow { workers } => {
                let ends = SeatEnds::pairs(descriptors);
                let new = workers.into_iter().zip(ends);
                self.places
                    .extend(new.map(|(seat, ends)| Place::new(seat, ends)));
            }
            ToHost::Retire { index } => self.retire(index),
            ToHost::Start { .. } | ToHost::Descriptors {} => {
                eprintln!("ringgate: a second `start` is ignored");
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.gate = None;
        for place in &mut self.places {
            place.fork_at = None;
            self.exchange.segment.request_drain(place.seat.index);
        }
    }

    fn retire(&mut self, index: u16) {
        let known = |place: &Place| place.seat.index == index;
        let Some(at) = self.places.iter().position(known) else {
            return;
        };
        if self.places[at].child.is_none() {
            let place = self.places.remove(at);
            self.tell_gone(place.seat, 0, "retired");
            return;
        }
        self.places[at].retiring = true;
        self.exchange.segment.request_drain(index);
    }

    fn tell_gone(&self, seat: WorkerSpec, pid: u32, reason: &str) {
        self.line.send(&FromHost::WorkerGone {
            index: seat.index,
            incarnation: seat.incarnation,
            pid,
            reason: reason.to_owned(),
        });
    }

    /// Asks a worker whose request ran over its time for its stack, and kills it soon after.
    fn replace(&mut self, index: u16) {
        let Some(child) = self
            .places
            .iter_mut()
            .find(|place| place.seat.index == index)
            .and_then(|place| place.child.as_mut())
        else {
            return;
        };
        if child.kill_at.is_some() {
            return;
        }
        signal(child.pid, sys::process::stack_signal());
        child.kill_at = Some(Instant::now() + STACK_PAUSE);
        child.reason = Some("killed: a request ran over its time");
    }

    fn kill_due(&mut self) {
        let now = Instant::now();
        for child in self
            .places
            .iter_mut()
            .filter_map(|place| place.child.as_mut())
        {
            if child.kill_at.is_some_and(|at| at <= now) {
                child.kill_at = None;
                signal(child.pid, sys::process::SIGKILL);
            }
        }
    }

    fn fork_due(&mut self) {
        let now = Instant::now();
        for index in 0..self.places.len() {
            if self.places[index].fork_at.is_some_and(|at| at <= now) {
                self.places[index].fork_at = None;
                self.fork(index);
            }
        }
    }

    fn fork(&mut self, index: usize) {
        let (ours, theirs) = match Channel::pair() {
            Ok(pair) => pair,
            Err(error) => self.line.fail(LoadError::new(
                "start",
                format!("cannot make a socket for a worker: {error}"),
            )),
        };
        let parent = std::process::id();
        // By way of the os module, so that everybody who registered for it hears of the fork.
        let forked = self
            .py
            .import(c"os")
            .and_then(|os| os.call_member(c"fork", &[])?.to_isize());
        match forked {
            Ok(0) => {
                drop(ours);
                self.live(index, parent, theirs)
            }
            Ok(pid) => {
                let pid = pid as u32;
                match sys::process::pidfd(pid) {
                    Ok(ended) => {
                        self.places[index].child = Some(Child {
                            pid,
                            ended,
                            channel: ours,
                            silent: false,
                            loaded: false,
                            up: false,
                            born: Instant::now(),
                            kill_at: None,
                            reason: None,
                        });
                    }
                    Err(error) => self.line.fail(LoadError::new(
                        "start",
                        format!("cannot watch a worker: {error}"),
                    )),
                }
            }
            Err(raised) => self.line.fail(LoadError::new(
                "start",
                format!("cannot fork a worker: {}", raised.take().line()),
            )),
        }
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
        let seat = place.seat;
        self.tell_gone(seat, pid, &reason);
        let place = &mut self.places[index];
        if self.draining {
            return;
        }
        if place.retiring {
            self.places.remove(index);
        } else {
            place.seat.incarnation = seat.incarnation.wrapping_add(1);
            place.fork_at = Some(Instant::now() + place.backoff.died(child.born.elapsed()));
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
                    if self.places.iter().all(loaded) {
                        self.gate = None;
                    }
                }
                Ok(Some((message @ FromHost::Files { .. }, _))) => self.line.send(&message),
                Ok(Some((message @ FromHost::WorkerUp { .. }, _))) => {
                    child.up = true;
                    let number = place.seat.index;
                    self.line.send(&message);
                    self.note_up(number);
                }
                Ok(Some((
                    FromHost::Failed {
                        stage,
                        message,
                        traceback,
                    },
                    _,
                ))) if !self.draining && !self.announced => {
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
        let retiring = |place: &Place| place.seat.index == number && place.retiring;
        if self.draining || self.places.iter().any(retiring) {
            self.exchange.segment.request_drain(number);
        }
        let all = self
            .places
            .iter()
            .all(|place| place.child.as_ref().is_some_and(|child| child.up));
        if all && !self.announced {
            self.announced = true;
            self.line.send(&FromHost::Ready);
        }
    }
}

struct Seen {
    orders: bool,
    term: bool,
    /// Places whose child has something to say or has ended.
    places: Vec<usize>,
}

fn signal(pid: u32, number: i32) {
    if let Err(error) = sys::process::kill(pid, number) {
        eprintln!("ringgate: cannot signal worker {pid}: {error}");
    }
}
