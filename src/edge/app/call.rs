//! One request in the exchange, from submission to release.
//!
//! Owns its slot: a call that is dropped unfinished cancels it, so that a client that leaves costs Python nothing it has not
//! begun. Invariant: after `settle` or a `Fault` the slot is not touched again.

use super::{App, Inner};
use crate::gate::Socket;
use crate::stats::AppStats;
use shm::handover::Label;
use shm::{Cancel, Chunk, Corrupt, EventKind, Frame, Mark, SlotId, SlotState, WorkerId};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Which head a worker sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Of the answer.
    Final,
    /// 1xx, before that.
    Informational,
    /// Fields that follow the body.
    Trailers,
    /// The WebSocket is accepted.
    Accept,
}

/// What a worker said, except for heads, which go to a closure in passing.
#[derive(Debug)]
pub enum News {
    Head(HeadKind),
    Body(Chunk),
    /// A piece of a WebSocket message.
    Message {
        binary: bool,
        last: bool,
        chunk: Chunk,
    },
    /// The app closes the WebSocket.
    Close {
        code: u16,
        reason: String,
    },
    /// The app waits for a body that streams, and of which the client may wait to be asked.
    WantBody,
    File {
        token: u64,
        offset: u64,
        length: u64,
    },
    /// The answer is complete.
    End,
    /// The worker gave the answer up.
    Abort,
    /// The worker died.
    Lost,
}

/// How a request fared, for log and statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    pub worker: Option<u16>,
    pub queue_ns: u64,
    pub app_ns: u64,
}

pub struct Call {
    app: Rc<App>,
    slot: SlotId,
    /// Submitted at, ring time.
    pub submitted_ns: u64,
    /// Time to begin the answer; `u64::MAX`: for ever.
    pub request_ns: u64,
    /// A body that did not fit the slot: handed to the worker when it asks.
    pub spool: Option<File>,
    /// The slot has been given back.
    settled: bool,
    /// Its place among the app's WebSockets, if it is one.
    _socket: Option<Socket>,
}

impl Call {
    pub(super) fn new(
        app: Rc<App>,
        slot: SlotId,
        submitted_ns: u64,
        request_ns: u64,
        socket: Option<Socket>,
    ) -> Call {
        Call {
            app,
            slot,
            submitted_ns,
            request_ns,
            spool: None,
            settled: false,
            _socket: socket,
        }
    }

    pub fn app(&self) -> &Rc<App> {
        &self.app
    }

    fn stats(&self) -> &AppStats {
        &self.app.stats.apps[self.app.index]
    }

    /// Ready when the worker has said something, or died, since the last time this was ready.
    pub fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.app.inner.borrow_mut();
        let Some(local) = inner
            .exchange
            .as_ref()
            .map(|exchange| exchange.local(self.slot))
        else {
            return Poll::Ready(());
        };
        let Some(seat) = inner.seats.get_mut(local) else {
            return Poll::Ready(());
        };
        if std::mem::take(&mut seat.news) {
            return Poll::Ready(());
        }
        match &mut seat.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The next thing the worker said; `None`: nothing new. A head is shown to `head`, which judges it. A wish for the
    /// spooled body is granted in passing.
    pub fn next(&mut self, mut head: impl FnMut(HeadKind, &[u8])) -> Result<Option<News>, Corrupt> {
        // Each pass uses up one frame, and only one wish is granted.
        loop {
            let inner = &mut *self.app.inner.borrow_mut();
            if let Some(seat) = inner.seat(self.slot)
                && !seat.progress.is_queued()
            {
                // It waits in line, or never got into the queue.
                return Ok(seat.lost.then_some(News::Lost));
            }
            let Some(exchange) = &mut inner.exchange else {
                return Err(Corrupt("no exchange"));
            };
            let news = match exchange.next_frame(self.slot)? {
                Some(Frame::Head(bytes)) => {
                    head(HeadKind::Final, bytes);
                    News::Head(HeadKind::Final)
                }
                Some(Frame::Informational(bytes)) => {
                    head(HeadKind::Informational, bytes);
                    News::Head(HeadKind::Informational)
                }
                Some(Frame::Trailers(bytes)) => {
                    head(HeadKind::Trailers, bytes);
                    News::Head(HeadKind::Trailers)
                }
                Some(Frame::Accept(bytes)) => {
                    head(HeadKind::Accept, bytes);
                    News::Head(HeadKind::Accept)
                }
                Some(Frame::Body(chunk)) => News::Body(chunk),
                Some(Frame::File {
                    token,
                    offset,
                    length,
                }) => News::File {
                    token,
                    offset,
                    length,
                },
                Some(Frame::Message {
                    binary,
                    last,
                    chunk,
                }) => News::Message {
                    binary,
                    last,
                    chunk,
                },
                Some(Frame::Close { code, reason }) => News::Close {
                    code,
                    reason: String::from_utf8_lossy(reason).into_owned(),
                },
                Some(Frame::End) => News::End,
                Some(Frame::Abort) => {
                    let local = exchange.local(self.slot);
                    let lost = inner.seats.get(local).is_some_and(|seat| seat.lost);
                    if lost { News::Lost } else { News::Abort }
                }
                Some(Frame::WantBody) => match self.spool.take() {
                    Some(spool) => {
                        inner.hand_over(self.slot, &spool)?;
                        continue;
                    }
                    None => News::WantBody,
                },
                None => {
                    let local = exchange.local(self.slot);
                    let lost = inner.seats.get(local).is_some_and(|seat| seat.lost);
                    return Ok(lost.then_some(News::Lost));
                }
            };
            return Ok(Some(news));
        }
    }

    /// What the worker was asked, as it stands now: the worker could have changed it.
    pub fn asked(&self) -> Vec<u8> {
        let inner = self.app.inner.borrow();
        inner
            .exchange
            .as_ref()
            .map_or_else(Vec::new, |exchange| exchange.request_copy(self.slot))
    }

    /// Lets `use_bytes` send or copy a piece of the body where it lies.
    pub fn with_bytes<T>(&self, chunk: Chunk, use_bytes: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let inner = self.app.inner.borrow();
        let exchange = inner.exchange.as_ref()?;
        Some(use_bytes(exchange.bytes(self.slot, chunk)))
    }

    /// Everything before the mark has left.
    pub fn consume(&self, mark: Mark) {
        if let Some(exchange) = &mut self.app.inner.borrow_mut().exchange {
            exchange.consume(self.slot, mark);
        }
    }

    // Events for the worker. Nothing is shown before `commit`; after an `Err` or a short count `poll_news` tells when there is room.

    /// Adds an event; false: not now.
    pub fn push_event(&self, kind: EventKind, payload: &[u8]) -> bool {
        let inner = &mut *self.app.inner.borrow_mut();
        let exchange = inner.exchange.as_mut();
        exchange.is_some_and(|exchange| exchange.push_event(self.slot, kind, payload).is_ok())
    }

    /// Adds what there is room for of `bytes`, in events of kind `part` (the last one `end`, if there is one), and says how much.
    pub fn push_bytes(&self, part: EventKind, end: Option<EventKind>, bytes: &[u8]) -> usize {
        let inner = &mut *self.app.inner.borrow_mut();
        let exchange = inner.exchange.as_mut();
        exchange.map_or(0, |exchange| {
            exchange.push_bytes(self.slot, part, end, bytes)
        })
    }

    /// Shows the worker what was added.
    pub fn commit(&self) {
        if let Some(exchange) = &mut self.app.inner.borrow_mut().exchange {
            exchange.commit_events(self.slot);
        }
    }

    /// Tells the worker that the client is gone, and why. False: there was no room; the cancellation alone has to do.
    pub fn disconnect(&self, code: u16, reason: &str) -> bool {
        let told = self.push_event(EventKind::Disconnect, &shm::event::disconnect(code, reason));
        if told {
            self.commit();
        }
        told
    }

    /// The descriptor the worker sent under `token`.
    pub fn file(&self, token: u64) -> Option<OwnedFd> {
        let inner = self.app.inner.borrow();
        let exchange = inner.exchange.as_ref()?;
        let worker = exchange.worker_of(self.slot)?;
        let label = Label {
            slot: self.slot.index() as u32,
            ticket: exchange.ticket(self.slot),
            token,
        };
        inner.sockets.get(&worker.index)?.take(label).ok().flatten()
    }

    /// Who runs it, if somebody does.
    pub fn worker(&self) -> Option<WorkerId> {
        self.app
            .inner
            .borrow()
            .exchange
            .as_ref()?
            .worker_of(self.slot)
    }

    /// When a worker took it; `None` while it is queued (or if the slot is broken).
    pub fn claimed_ns(&self, now_ns: u64) -> Option<u64> {
        let inner = self.app.inner.borrow();
        let exchange = inner.exchange.as_ref()?;
        match exchange.state(self.slot) {
            Ok(SlotState::Queued) | Err(_) => None,
            Ok(SlotState::Claimed(_) | SlotState::Done(_)) => Some(
                exchange
                    .times(self.slot, now_ns)
                    .claimed_ns
                    .clamp(self.submitted_ns, now_ns),
            ),
        }
    }

    /// How it fared so far.
    pub fn served(&self, now_ns: u64) -> Served {
        let inner = self.app.inner.borrow();
        let Some(exchange) = &inner.exchange else {
            return Served::default();
        };
        let worker = exchange.worker_of(self.slot).map(|worker| worker.index);
        let times = exchange.times(self.slot, now_ns);
        let claimed = if times.claimed_ns == 0 {
            now_ns
        } else {
            times.claimed_ns
        };
        let last = if times.last_ns == 0 {
            now_ns
        } else {
            times.last_ns
        };
        Served {
            worker,
            queue_ns: claimed.saturating_sub(self.submitted_ns),
            app_ns: if worker.is_some() {
                last.saturating_sub(claimed)
            } else {
                0
            },
        }
    }

    /// The answer has been taken in, or the worker is dead: gives the slot back.
    pub fn settle(&mut self, now_ns: u64) -> Served {
        let served = self.served(now_ns);
        let worker = self.worker();
        self.end(worker, |inner, slot| {
            if let Some(exchange) = &mut inner.exchange {
                exchange.release(slot);
            }
            // All that came was asked for, unless it was lost half-way.
            if inner.seat(slot).is_some_and(|seat| seat.lost) {
                inner.sweep(worker);
            }
        });
        let stats = self.stats();
        if let Some(worker) = worker {
            stats.served(worker, served.queue_ns);
        }
        stats.queue_time.record(served.queue_ns);
        stats.app_time.record(served.app_ns);
        served
    }

    /// Nobody wants the answer any more. Returns who is running it.
    pub fn cancel(&mut self) -> Option<WorkerId> {
        let worker = self.worker();
        let mut running = false;
        self.end(worker, |inner, slot| {
            if let Some(exchange) = &mut inner.exchange {
                running = exchange.cancel(slot) == Cancel::Running;
            }
            if !running {
                inner.sweep(worker);
            }
        });
        worker.filter(|_| running)
    }

    fn end(&mut self, worker: Option<WorkerId>, give_back: impl FnOnce(&mut Inner, SlotId)) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let inner = &mut *self.app.inner.borrow_mut();
        if let Some(local) = inner
            .exchange
            .as_ref()
            .map(|exchange| exchange.local(self.slot))
            && let Some(seat) = inner.seats.get_mut(local)
        {
            seat.waker = None;
        }
        give_back(inner, self.slot);
        inner.let_go(self.slot, worker);
        self.app.stats.apps[self.app.index].in_flight.sub(1);
    }
}

impl Inner {
    fn hand_over(&self, slot: SlotId, spool: &File) -> Result<(), Corrupt> {
        let exchange = self.exchange.as_ref().ok_or(Corrupt("no exchange"))?;
        let worker = exchange
            .worker_of(slot)
            .ok_or(Corrupt("a wish from nobody"))?;
        let socket = self
            .sockets
            .get(&worker.index)
            .ok_or(Corrupt("a worker without a socket"))?;
        let label = Label {
            slot: slot.index() as u32,
            ticket: exchange.ticket(slot),
            token: 0,
        };
        socket
            .give(label, spool.as_fd())
            .map_err(|_| Corrupt("the worker's socket takes no descriptor"))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cancel();
    }
}
