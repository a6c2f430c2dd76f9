//! The worker's side of the event loop: the sleep of asyncio's loop, and what other loops call when the seat's eventfd rings.
//!
//! `select` is the `select` of a selector whose table is kept by `asgi.py`. Between two of its sleeps the loop is in a turn, and the exchange knows it.

mod methods;

use super::desk::Desk;
use crate::ffi::{Handle, Kind, Object, Python, Raised, Result};
use shm::{Wake, WorkerSeat};
use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use sys::epoll::{Epoll, READABLE, Ready, Room};

/// Longest sleep: a bound on what a lost wake-up costs.
const SLEEP_MS: u32 = 2000;
/// Pause before descriptors are passed again that the socket had no room for.
const RETRY_MS: u32 = 1;
/// asyncio's own pipe to itself: with only that registered, a busy loop need not poll at every turn.
const OWN_DESCRIPTORS: usize = 1;
/// Turns of a busy loop without a poll.
const BLIND_TURNS_MAX: u32 = 16;

/// Beyond any descriptor's number.
const WAKE: u64 = u64::MAX;
const SOCKET: u64 = u64::MAX - 1;

pub struct Selector {
    pub desk: Rc<Desk>,
    epoll: Epoll,
    room: RefCell<Room>,
    /// Descriptor to SelectorKey, `asgi.py`'s.
    keys: RefCell<Option<Object>>,
    registered: Cell<usize>,
    blind_turns: Cell<u32>,
    /// A loop that sleeps by itself was left with `lie_down`.
    lying: Cell<bool>,
    /// `turn` and `call_soon` of such a loop.
    turn: RefCell<Option<Object>>,
}

impl Selector {
    pub fn new(desk: &Rc<Desk>) -> std::io::Result<Selector> {
        let epoll = Epoll::new()?;
        epoll.add(desk.wake.as_fd().as_raw_fd(), READABLE, WAKE)?;
        epoll.add(desk.socket().as_raw_fd(), READABLE, SOCKET)?;
        Ok(Selector {
            desk: Rc::clone(desk),
            epoll,
            room: RefCell::new(Room::new()),
            keys: RefCell::default(),
            registered: Cell::new(0),
            blind_turns: Cell::new(0),
            lying: Cell::new(false),
            turn: RefCell::default(),
        })
    }

    /// Begins another turn.
    fn touch(&self) {
        self.desk.progress.begin_turn();
        if let Some(seat) = &mut *self.desk.seat.borrow_mut() {
            seat.next_turn();
        }
    }

    fn with_seat<R>(&self, work: impl FnOnce(&mut WorkerSeat) -> R) -> Option<R> {
        self.desk.seat.borrow_mut().as_mut().map(work)
    }

    fn revoked(&self, py: Python<'_>) -> Raised {
        Raised::new(
            py,
            Kind::RuntimeError,
            "this worker's loop was blocked for too long and replaced",
        )
    }

    /// `timeout_ms` `None`: for ever.
    fn select(&self, py: Python<'_>, timeout_ms: Option<u32>) -> Result<Vec<Ready>> {
        if !self.desk.hold(py) {
            return Err(self.revoked(py));
        }
        self.calm(py);
        self.touch();
        let ready = self.look_or_sleep(py, timeout_ms);
        self.desk.release();
        ready
    }

    fn look_or_sleep(&self, py: Python<'_>, timeout_ms: Option<u32>) -> Result<Vec<Ready>> {
        let busy = timeout_ms == Some(0);
        let Some(done) = self.desk.work(py, busy) else {
            return Err(self.revoked(py));
        };
        let mut ready = Vec::new();
        if busy || done {
            let blind = self.blind_turns.get() + 1;
            if self.registered.get() > OWN_DESCRIPTORS || blind > BLIND_TURNS_MAX {
                self.blind_turns.set(0);
                self.poll(py, Some(0), &mut ready)?;
            } else {
                self.blind_turns.set(blind);
            }
        } else {
            self.blind_turns.set(0);
            self.sleep(py, timeout_ms, &mut ready)?;
        }
        Ok(ready)
    }

    fn sleep(&self, py: Python<'_>, timeout_ms: Option<u32>, ready: &mut Vec<Ready>) -> Result<()> {
        let desk = &self.desk;
        desk.flush_heads();
        let claims = !desk.draining.get();
        let wake = self.with_seat(|seat| seat.lie_down(claims));
        desk.progress.end_turn();
        let timeout_ms = match wake {
            Some(Wake::Now) => 0,
            _ if desk.has_retries() => RETRY_MS,
            _ => timeout_ms.unwrap_or(SLEEP_MS).min(SLEEP_MS),
        };
        desk.release();
        let slept = self.poll(py, Some(timeout_ms), ready);
        if !desk.hold(py) {
            return Err(self.revoked(py));
        }
        desk.progress.begin_turn();
        self.with_seat(WorkerSeat::get_up);
        slept?;
        py.check_signals()?;
        match desk.work(py, false) {
            Some(_) => Ok(()),
            None => Err(self.revoked(py)),
        }
    }

    /// Polls, and does what is ours among what it finds.
    fn poll(&self, py: Python<'_>, timeout_ms: Option<u32>, ready: &mut Vec<Ready>) -> Result<()> {
        let Ok(mut room) = self.room.try_borrow_mut() else {
            return Err(Raised::new(
                py,
                Kind::RuntimeError,
                "the loop is polled already",
            ));
        };
        let room = &mut *room;
        let found = if timeout_ms == Some(0) {
            self.epoll.wait(room, Some(0))
        } else {
            let epoll = &self.epoll;
            py.detached(|| epoll.wait(room, timeout_ms))
        };
        match found {
            Ok(()) => ready.extend(room.ready()),
            Err(error) => {
                return Err(Raised::new(
                    py,
                    Kind::OSError,
                    &format!("epoll_wait: {error}"),
                ));
            }
        }
        let mut files = false;
        ready.retain(|found| match found.token {
            WAKE => {
                drop(self.desk.wake.take());
                false
            }
            SOCKET => {
                files = true;
                false
            }
            _ => true,
        });
        if files {
            self.desk.take_files(py);
        }
        Ok(())
    }

    /// An interruption that came too late must not strike what runs next.
    fn calm(&self, py: Python<'_>) {
        if self.desk.progress.interrupted.load(Ordering::Relaxed)
            && self
                .desk
                .progress
                .interrupted
                .swap(false, Ordering::Acquire)
        {
            Handle::current(py).calm(py);
        }
    }

    /// A turn of a loop that sleeps by itself.
    fn turn(&self, py: Python<'_>) -> Result<()> {
        let desk = &self.desk;
        if !desk.hold(py) {
            return Err(self.revoked(py));
        }
        self.calm(py);
        drop(desk.wake.take());
        if self.lying.replace(false) {
            self.with_seat(WorkerSeat::get_up);
            desk.progress.begin_turn();
        } else {
            self.touch();
        }
        let Some(done) = desk.work(py, false) else {
            return Err(self.revoked(py));
        };
        desk.flush_heads();
        let claims = !desk.draining.get();
        let again = if done && claims || desk.has_retries() {
            true
        } else {
            desk.progress.end_turn();
            let wake = self.with_seat(|seat| seat.lie_down(claims));
            self.lying.set(wake.is_some());
            wake == Some(Wake::Now)
        };
        desk.release();
        if again
            && let Some(runner) = desk.runner()
            && let Some(call_soon) = &runner.call_soon
            && let Some(turn) = self.turn.borrow().clone()
        {
            call_soon.call_with(&[&turn])?;
        }
        Ok(())
    }
}
