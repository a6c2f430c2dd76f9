//! One ring thread: its start, its hooks in the loop, its mail, its end.
//!
//! Owns the runtime. Invariants: the thread reports `Up` or `Failed` once; after `Drain` it reports `Drained` once nothing is
//! left or the grace period is over; access-log lines are handed over before it ends.

use crate::accept::listen;
use crate::connection::Entrance;
use crate::doze::{Bell, Calm, Sight};
use crate::gate::Gates;
use crate::mailbox::{FromRing, Mailbox, Outbox, ToRing};
use crate::ring::{Guests, Ring};
use crate::stats::RingStats;
use config::{Address, LogLevel};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use sys::eventfd::EventFd;
use uring::fs::Directory;
use uring::time::Deadline;
use uring::{Doorbell, Park, Poller, Runtime};

/// How often the loop's own figures are shown to the control thread.
const FIGURES_NS: u64 = 250_000_000;

/// What a ring thread is started with. Everything later comes by mail.
#[derive(Debug)]
pub struct Spec {
    pub ring: usize,
    pub config: Arc<config::Config>,
    /// The ring's eventfd.
    pub doorbell: OwnedFd,
    pub mailbox: Arc<Mailbox>,
    pub outbox: Outbox,
    pub stats: Arc<RingStats>,
    /// Each app's, shared by all ring threads.
    pub gates: Vec<Arc<Gates>>,
    /// The CPU to be pinned to.
    pub cpu: Option<usize>,
    /// An earlier edge process may have left requests in the segments: take them over and clear them.
    pub recover: bool,
}

/// Starts the thread. It reports `FromRing::Up` or `FromRing::Failed`.
pub fn spawn(spec: Spec) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("ring-{}", spec.ring))
        .spawn(move || run(spec))
}

fn run(spec: Spec) {
    let outbox = spec.outbox.clone();
    let ring = spec.ring;
    let failed = |message: String| {
        outbox.send(FromRing::Failed { ring, message });
    };
    if let Some(cpu) = spec.cpu
        && let Err(error) = sys::cpu::pin(cpu)
    {
        return failed(format!("cannot pin a ring thread to CPU {cpu}: {error}"));
    }
    // One connection's bug ends that connection, with its message in the error log; the others go on.
    let options = uring::Options {
        isolate_panics: true,
        ..uring::Options::default()
    };
    // What it sleeps through outside of its ring may end a tick late; then no timer for it is the next that the processor is interrupted for.
    sys::clock::set_timer_slack(sys::clock::tick_ns());
    let mut runtime = match Runtime::real(options) {
        Ok(runtime) => runtime,
        Err(error) => return failed(error.to_string()),
    };
    if let Err(error) = runtime.block_on(live(spec)) {
        failed(error.to_string());
    }
}

/// The thread's root task: from the first report to the order to end.
async fn live(spec: Spec) -> io::Result<()> {
    let ring = Rc::new(Ring::new(spec.ring, spec.config, spec.stats, spec.outbox)?);
    let bell = Bell::new(EventFd::from_fd(spec.doorbell.try_clone()?));
    Doorbell::from_fd(spec.doorbell);
    let house = look_outside(&ring, spec.mailbox, &spec.gates, spec.recover, Some(bell));
    ring.tell(FromRing::Up { ring: ring.index });
    poll_fn(|cx| house.poll_end(cx.waker())).await;
    if ring.is_draining() {
        ring.tell(FromRing::Drained { ring: ring.index });
    }
    ring.access.borrow_mut().flush();
    ring.tally.borrow_mut().flush();
    Ok(())
}

/// Makes the loop look at the exchanges and the mail. Without a `bell` it never dozes, as in the simulation, whose clock must not be waited for.
pub(crate) fn look_outside(
    ring: &Rc<Ring>,
    mailbox: Arc<Mailbox>,
    gates: &[Arc<Gates>],
    recover: bool,
    bell: Option<Bell>,
) -> Rc<House> {
    for (app, gates) in ring.apps.iter().zip(gates) {
        let mailbox = Arc::clone(&mailbox);
        app.set_gates(Arc::clone(gates), mailbox, ring.index);
    }
    let house = Rc::new(House::new(Rc::clone(ring), recover));
    uring::set_poller(Box::new(Outside {
        house: Rc::clone(&house),
        mailbox,
        mail: VecDeque::new(),
        bell,
        calm: Calm::default(),
        polls: 0,
        figures_due_ns: 0,
        stalls: 0,
    }));
    house
}

/// What the mail changes.
pub(crate) struct House {
    ring: Rc<Ring>,
    /// Come before `Go`.
    waiting: RefCell<Vec<(Rc<Entrance>, OwnedFd)>>,
    entrances: RefCell<Vec<(Address, Rc<Entrance>)>>,
    open: Cell<bool>,
    recover: bool,
    quit: Cell<bool>,
    /// When a drain's patience ends: with requests, with connections at rest, with WebSockets.
    grace: Deadline,
    rest: Deadline,
    sockets: Deadline,
    root: RefCell<Option<Waker>>,
}

impl House {
    fn new(ring: Rc<Ring>, recover: bool) -> House {
        House {
            ring,
            waiting: RefCell::default(),
            entrances: RefCell::default(),
            open: Cell::new(false),
            recover,
            quit: Cell::new(false),
            grace: Deadline::new(),
            rest: Deadline::new(),
            sockets: Deadline::new(),
            root: RefCell::default(),
        }
    }

    fn handle(&self, message: ToRing) {
        let ring = &self.ring;
        match message {
            ToRing::Listener { address, socket } => {
                let entrance = Rc::new(Entrance::new(&address));
                let mut entrances = self.entrances.borrow_mut();
                entrances.push((address, Rc::clone(&entrance)));
                if self.open.get() {
                    listen(ring, entrance, socket);
                } else {
                    self.waiting.borrow_mut().push((entrance, socket));
                }
            }
            ToRing::Unlisten { address } => {
                let mut entrances = self.entrances.borrow_mut();
                let gone = entrances.extract_if(.., |(known, _)| *known == address);
                gone.for_each(|(_, entrance)| entrance.close());
                let mut waiting = self.waiting.borrow_mut();
                waiting.retain(|(entrance, _)| !entrance.is_closed());
                uring::wake_all();
            }
            ToRing::App { app, segment } => {
                if let Some(app) = ring.apps.get(app) {
                    app.attach(segment, ring.index);
                }
            }
            ToRing::WorkerSocket {
                app,
                index,
                socket,
                wake,
            } => {
                if let Some(app) = ring.apps.get(app) {
                    app.worker_socket(index, socket, wake);
                }
            }
            ToRing::WorkerGone {
                app,
                index,
                incarnation,
            } => {
                if let Some(app) = ring.apps.get(app) {
                    app.handle_worker_gone(index, incarnation);
                }
            }
            ToRing::Snapshot(snapshot) => {
                for (app, view) in ring.apps.iter().zip(&snapshot.apps) {
                    app.handle_view(view);
                }
            }
            ToRing::Admitted { ticket, permit } => {
                if let Some(app) = ring.apps.get(ticket.app) {
                    app.handle_admitted(ticket, permit, uring::now());
                }
            }
            ToRing::Site {
                config,
                directories,
                gates,
                log,
            } => {
                let directories = directories.into_iter().map(Directory::from_fd);
                if let Err(error) = ring.turn_to(&config, directories.collect(), &gates, log) {
                    ring.log(
                        LogLevel::Error,
                        format_args!("the new configuration cannot be used: {error}"),
                    );
                }
                let ring = ring.index;
                self.ring.tell(FromRing::Turned { ring, log });
            }
            ToRing::Go => {
                self.open.set(true);
                if self.recover {
                    ring.apps.iter().for_each(|app| app.settle());
                }
                for (entrance, socket) in self.waiting.take() {
                    listen(ring, entrance, socket);
                }
            }
            ToRing::LookAgain => {
                ring.look_again();
                uring::wake_all();
            }
            ToRing::Drain { grace_ms, patience } => {
                self.waiting.take();
                ring.drain(Guests {
                    at_rest: patience.rest_ms > 0,
                    sockets: patience.sockets_ms > 0,
                });
                let deadlines = [
                    (&self.grace, grace_ms),
                    (&self.rest, patience.rest_ms),
                    (&self.sockets, patience.sockets_ms),
                ];
                for (deadline, ms) in deadlines {
                    deadline.set_after(ms.saturating_mul(1_000_000));
                }
                uring::wake_all();
            }
            ToRing::Quit => self.quit.set(true),
        }
        if let Some(root) = self.root.take() {
            root.wake();
        }
    }

    /// Ready when the thread is to end.
    fn poll_end(&self, waker: &Waker) -> Poll<()> {
        let ring = &self.ring;
        let empty = ring.is_draining() && ring.is_empty();
        let mut context = std::task::Context::from_waker(waker);
        self.end_patience(&mut context);
        if self.quit.get() || empty || self.grace.poll_expired(&mut context).is_ready() {
            return Poll::Ready(());
        }
        *self.root.borrow_mut() = Some(waker.clone());
        ring.when_empty(waker);
        Poll::Pending
    }

    /// While it drains: those that were allowed to stay for a while are told when it is over.
    fn end_patience(&self, cx: &mut std::task::Context<'_>) {
        let guests = self.ring.guests();
        let mut left = guests;
        for (deadline, may_stay) in [
            (&self.rest, &mut left.at_rest),
            (&self.sockets, &mut left.sockets),
        ] {
            if *may_stay && deadline.poll_expired(cx).is_ready() {
                *may_stay = false;
            }
        }
        if (left.at_rest, left.sockets) != (guests.at_rest, guests.sockets) {
            self.ring.drain(left);
            uring::wake_all();
        }
    }
}

/// What the loop looks at beside its ring: the exchanges, the mailbox, the clock.
struct Outside {
    house: Rc<House>,
    mailbox: Arc<Mailbox>,
    mail: VecDeque<ToRing>,
    bell: Option<Bell>,
    calm: Calm,
    /// Tasks polled when it last wanted to doze: unchanged, everything they pushed is with the kernel, and the thread may block outside of the ring.
    polls: u64,
    figures_due_ns: u64,
    /// Turns that ran too long, as last said.
    stalls: u64,
}

impl Outside {
    /// How long the thread may be deaf to everything but its doorbell.
    fn doze_ns(&mut self) -> Option<u64> {
        self.bell.as_ref()?;
        let (apps, stats) = (&self.house.ring.apps, &self.house.ring.stats);
        let sights = apps.iter().zip(&stats.apps).map(|(app, stats)| Sight {
            requests: stats.requests.value(),
            in_flight: stats.in_flight.value(),
            doze_ns: app.doze_ns(),
        });
        self.calm.look(stats.requests.value(), sights)
    }

    /// Blocks outside of the ring, and comes back to look at everything.
    fn doze(&mut self, ns: u64) -> Park {
        let polls = uring::stats().polls;
        if std::mem::replace(&mut self.polls, polls) != polls {
            return Park::Stay;
        }
        let Some(bell) = &self.bell else {
            return Park::Stay;
        };
        // Before the exchanges lie down: what is rung for afterwards must be heard.
        bell.silence();
        let now_ns = uring::now();
        let mut apps = self.house.ring.apps.iter();
        let ready = apps.all(|app| app.before_doze(now_ns, ns));
        if ready && !self.mailbox.is_waiting() {
            bell.wait(self.log_due_ns().map_or(ns, |due_ns| due_ns.min(ns)));
        }
        Park::Stay
    }

    /// How long what is for the control thread may still wait.
    fn log_due_ns(&self) -> Option<u64> {
        let ring = &self.house.ring;
        let (lines_ns, numbers_ns) = (ring.access.borrow().due_ns(), ring.tally.borrow().due_ns());
        let due_ns = lines_ns.into_iter().chain(numbers_ns).min()?;
        Some(due_ns.saturating_sub(uring::now()))
    }
}

impl Poller for Outside {
    fn poll(&mut self) {
        let ring = &self.house.ring;
        for app in &ring.apps {
            app.poll();
        }
        if self.mailbox.is_waiting() {
            self.mailbox.take(&mut self.mail);
            while let Some(message) = self.mail.pop_front() {
                self.house.handle(message);
            }
        }
        let now_ns = uring::now();
        ring.access.borrow_mut().flush_due(now_ns);
        ring.tally.borrow_mut().flush_due(now_ns);
        if now_ns >= self.figures_due_ns {
            self.figures_due_ns = now_ns + FIGURES_NS;
            let figures = uring::stats();
            ring.stats.turns.set(figures.turns);
            ring.stats.turn_max_ns.set(figures.turn_longest_ns);
            let fresh = figures.stalls - self.stalls;
            if fresh > 0 {
                self.stalls = figures.stalls;
                ring.log(
                    LogLevel::Debug,
                    format_args!(
                        "{fresh} turns of the loop took too long; the longest so far: {} ms",
                        figures.turn_longest_ns / 1_000_000
                    ),
                );
            }
        }
    }

    fn turn_end(&mut self, more: bool) {
        let now_ns = uring::now();
        for app in &self.house.ring.apps {
            app.wake_workers(now_ns, more);
        }
    }

    fn before_park(&mut self) -> Park {
        if let Some(ns) = self.doze_ns() {
            return self.doze(ns);
        }
        let ring = &self.house.ring;
        let mut park = shm::Park::Sleep;
        let now_ns = uring::now();
        for app in &ring.apps {
            park = park.min(app.before_park(now_ns));
        }
        if self.mailbox.is_waiting() {
            return Park::Stay;
        }
        let due_ns = self.log_due_ns();
        match (park, due_ns) {
            (shm::Park::Stay, _) => Park::Stay,
            (shm::Park::Nap(ns), None) => Park::Nap(ns),
            (shm::Park::Nap(ns), Some(due_ns)) => Park::Nap(ns.min(due_ns)),
            (shm::Park::Sleep, Some(due_ns)) => Park::Nap(due_ns),
            (shm::Park::Sleep, None) => Park::Sleep,
        }
    }

    fn after_park(&mut self) {
        for app in &self.house.ring.apps {
            app.after_park();
        }
    }
}
