//! One worker's life: claim a request, serve it, sleep when there is none, leave when asked to.
//!
//! The same for an interpreter's thread and for a process. The GIL is kept while the queue has work, and given up around sleep.

use crate::asgi::{self, AsgiWorker};
use crate::ffi::{Handle, Kind, Object, Python};
use crate::lease::Lease;
use crate::line::SeatEnds;
use crate::load::{self, LoadError, Speaks};
use crate::prelude::Prelude;
use crate::wsgi::{Gateway, Outcome, Setting};
use config::Interface;
use control::message::HostSpec;
use shm::{Segment, WorkerSeat};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use sys::eventfd::EventFd;

/// Longest sleep: a bound on what a lost wake-up costs.
const PARK: Duration = Duration::from_secs(2);

/// The parts of the exchange that all workers of a host share.
#[derive(Clone)]
pub struct Exchange {
    pub segment: Arc<Segment>,
    pub doorbells: Arc<[EventFd]>,
}

/// What a worker shows to its host.
#[derive(Default)]
pub struct Progress {
    pub lease: Arc<Lease>,
    /// Odd while the application is being called; counts calls.
    turns: AtomicU64,
    /// An exception was raised into the call in work and may not have arrived yet.
    pub interrupted: AtomicBool,
    /// The application speaks ASGI; known once there is a worker.
    asgi: AtomicBool,
}

impl Progress {
    /// The call in work, if any.
    pub fn turn(&self) -> Option<u64> {
        let turns = self.turns.load(Ordering::Acquire);
        (turns % 2 == 1).then_some(turns)
    }

    fn step(&self) {
        self.turns.fetch_add(1, Ordering::Release);
    }

    /// An event loop begins a turn, whether or not it has ended the one before.
    pub fn begin_turn(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store((turns + 1) | 1, Ordering::Release);
    }

    /// An event loop goes to sleep.
    pub fn end_turn(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns + (turns & 1), Ordering::Release);
    }

    /// What the application speaks, once there is a worker.
    pub fn interface(&self) -> Interface {
        if self.asgi.load(Ordering::Acquire) {
            Interface::Asgi
        } else {
            Interface::Wsgi
        }
    }

    /// Moves whenever anything moves.
    pub fn mark(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }
}

/// Why a worker's life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Drained,
    /// Its seat was given to a successor while it was stuck.
    Replaced,
}

/// A worker ready to serve.
pub enum Worker {
    Wsgi(Box<WsgiWorker>),
    Asgi(AsgiWorker),
}

/// Called when everything is ready, right before the seat is taken: tells so, and waits until it may be.
pub type AtGate<'a> = &'a dyn Fn(Python<'_>) -> Result<(), LoadError>;

/// One that serves requests one after another.
pub struct WsgiWorker {
    seat: WorkerSeat,
    gateway: Gateway,
    progress: Arc<Progress>,
}

impl Worker {
    /// Takes the seat. From here on requests may be claimed.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a worker is made of, named at its two places of making"
    )]
    pub fn new(
        py: Python<'_>,
        prelude: &Rc<Prelude>,
        spec: &HostSpec,
        exchange: &Exchange,
        seat: control::message::WorkerSpec,
        ends: SeatEnds,
        application: Object,
        errors: Object,
        progress: Arc<Progress>,
        at_gate: AtGate<'_>,
    ) -> Result<Worker, LoadError> {
        let speaks = load::speaks(py, prelude, &application, spec.options.interface)?;
        if speaks != Speaks::Wsgi {
            progress.asgi.store(true, Ordering::Release);
            return AsgiWorker::new(
                py,
                asgi::Setting {
                    prelude,
                    spec,
                    exchange,
                    seat,
                    ends,
                    application,
                    legacy: speaks == Speaks::AsgiLegacy,
                    errors,
                    progress,
                    at_gate,
                },
            )
            .map(Worker::Asgi);
        }
        let gateway = Gateway::new(
            py,
            prelude.clone(),
            Setting {
                application,
                errors,
                socket: ends.socket,
                lease: progress.lease.clone(),
                server_software: &spec.server_software,
                root_path: &spec.options.root_path,
                tolerant: spec.options.tolerate_hop_by_hop,
                multithread: spec.multithread,
                worker: seat.index,
            },
        )?;
        at_gate(py)?;
        let seat = WorkerSeat::attach(
            exchange.segment.clone(),
            seat.index,
            seat.incarnation,
            spec.generation,
            exchange.doorbells.clone(),
        )
        .map_err(|corrupt| {
            LoadError::new(
                "worker",
                format!("cannot take seat {}: {corrupt}", seat.index),
            )
        })?;
        Ok(Worker::Wsgi(Box::new(WsgiWorker {
            seat,
            gateway,
            progress,
        })))
    }

    /// Serves until drained or replaced.
    pub fn run(self, py: Python<'_>) -> End {
        match self {
            Worker::Wsgi(worker) => worker.run(py),
            Worker::Asgi(worker) => worker.run(py),
        }
    }
}

impl WsgiWorker {
    fn run(mut self, py: Python<'_>) -> End {
        if self.progress.lease.hold().is_err() {
            std::mem::forget(self.seat);
            return End::Replaced;
        }
        while !self.seat.should_drain() && !sys::signal::term_noted() {
            let Some(claim) = self.seat.try_claim() else {
                let seat = &mut self.seat;
                py.detached(|| seat.park(PARK));
                if self.asks_to_leave(py) {
                    break;
                }
                continue;
            };
            self.progress.step();
            let outcome = self.gateway.serve(py, claim);
            self.progress.step();
            if self.progress.interrupted.swap(false, Ordering::Acquire) {
                // It must not strike the next request.
                Handle::current(py).calm(py);
            }
            if outcome == Outcome::Revoked {
                // Its record is the successor's.
                std::mem::forget(self.seat);
                return End::Replaced;
            }
        }
        End::Drained
    }

    /// Lets Python-level signal handlers run that came due during the sleep. One of the application's own may ask the process to end.
    fn asks_to_leave(&self, py: Python<'_>) -> bool {
        match py.check_signals() {
            Ok(()) => false,
            // Any other exception out of a handler belongs to no request and goes nowhere.
            Err(raised) => raised.is(Kind::SystemExit),
        }
    }
}
