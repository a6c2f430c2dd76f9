//! One request and everybody who waits for it: the task that runs the application, futures of `receive` and `send`.
//!
//! The wire is borrowed for moments only, never while Python code runs that could come back here. Invariant: a request is registered with its desk
//! as long as its slot may have news or its task runs.

use super::desk::Desk;
use super::http;
use super::message::{Message, Refusal, Sent};
use super::websocket;
use super::wire::{Fault, Incoming, Stage, Wire};
use crate::ffi::{Exception, Kind, Object, Python, Raised, Result};
use shm::Finish;
use std::cell::{Cell, RefCell, RefMut};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// How the application's task ended.
pub enum Ended {
    Returned,
    Raised(Exception),
    Cancelled,
}

/// What a `send` has to wait for.
pub enum Progress {
    /// Nothing: everything is in the response ring.
    Through,
    /// Room in it.
    Waits,
    /// The file of this path.
    Opens(Object),
}

pub struct Request {
    pub desk: Rc<Desk>,
    pub slot: u32,
    pub websocket: bool,
    /// Method and target, for the log.
    line: Vec<u8>,
    wire: RefCell<Wire>,
    /// Futures that `receive` waits for; their results mean nothing but "look again".
    receivers: RefCell<Vec<Object>>,
    /// Those of `send`.
    senders: RefCell<Vec<Object>>,
    task: RefCell<Option<Object>>,
    /// We have cancelled the task.
    cancelled: Cell<bool>,
}

impl Request {
    pub fn new(desk: &Rc<Desk>, slot: u32, websocket: bool, line: Vec<u8>, wire: Wire) -> Request {
        Request {
            desk: Rc::clone(desk),
            slot,
            websocket,
            line,
            wire: RefCell::new(wire),
            receivers: RefCell::default(),
            senders: RefCell::default(),
            task: RefCell::default(),
            cancelled: Cell::new(false),
        }
    }

    /// The wire; an exception where somebody has it already (a finaliser that runs while we allocate).
    pub fn wire(&self, py: Python<'_>) -> Result<RefMut<'_, Wire>> {
        self.wire
            .try_borrow_mut()
            .map_err(|_| Raised::new(py, Kind::RuntimeError, "this request is being used already"))
    }

    pub fn is_live(&self) -> bool {
        self.wire.try_borrow().is_ok_and(|wire| wire.is_live())
    }

    /// Whether there is a head that waits for its body.
    pub fn is_begun(&self) -> bool {
        self.wire
            .try_borrow()
            .is_ok_and(|wire| wire.stage == Stage::Begun)
    }

    pub fn forfeit(&self) {
        if let Ok(mut wire) = self.wire.try_borrow_mut() {
            wire.forfeit();
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    // What the application does.

    /// `send(message)`.
    pub fn send(&self, py: Python<'_>, message: &Object) -> Result<Progress> {
        let desk = &*self.desk;
        let (message, kind) = Message::of(message)
            .and_then(|message| Ok((message, message.required_text(&desk.keys.kind)?)))
            .map_err(|refusal| refusal.raise(py))?;
        // One that cannot be encoded is no type that we know.
        let name = kind.as_utf8().unwrap_or_default();
        let mut wire = self.wire(py)?;
        if !self.websocket && wire.gone.is_some() {
            return Err(Refusal::from(Fault::Gone).raise(py));
        }
        let before = wire.stage;
        let sent = if self.websocket {
            websocket::send(desk, &mut wire, name, message)
        } else {
            http::send(py, desk, &mut wire, name, message)
        };
        self.progress(py, wire, before, sent)
    }

    /// The file of a `pathsend`, opened aside; `None`: it could not be.
    pub fn opened(&self, py: Python<'_>, file: Option<(OwnedFd, u64)>) -> Result<Progress> {
        let mut wire = self.wire(py)?;
        let before = wire.stage;
        let is_late = file.is_some() && wire.gone.is_some();
        let sent = http::opened(&self.desk, &mut wire, file);
        if is_late {
            return Err(Refusal::from(Fault::Gone).raise(py));
        }
        self.progress(py, wire, before, sent)
    }

    /// What follows from a message that was handled.
    #[inline]
    fn progress(
        &self,
        py: Python<'_>,
        wire: RefMut<'_, Wire>,
        before: Stage,
        sent: Sent,
    ) -> Result<Progress> {
        let desk = &*self.desk;
        let (after, retry) = (wire.stage, wire.retry);
        let progress = match &wire.opening {
            Some(path) => Progress::Opens(path.clone()),
            None if wire.is_drained() => Progress::Through,
            None => Progress::Waits,
        };
        drop(wire);
        if retry {
            desk.retry_soon(self.slot);
        }
        if after == Stage::Begun && before != Stage::Begun {
            desk.note_head(py, self)?;
        }
        if after == Stage::Over && before != Stage::Over {
            self.wake_receivers(py);
        }
        sent.map(|()| progress).map_err(|refusal| refusal.raise(py))
    }

    /// Whether a `send` that had to wait may go on: everything has left.
    pub fn is_sent(&self, py: Python<'_>) -> Result<bool> {
        let wire = self.wire(py)?;
        if wire.gone.is_some() && !self.websocket {
            return Err(Refusal::from(Fault::Gone).raise(py));
        }
        Ok(wire.is_drained())
    }

    /// The next event for `receive`, if there is one.
    pub fn receive(&self, py: Python<'_>) -> Result<Option<Object>> {
        let desk = &*self.desk;
        let mut wire = self.wire(py)?;
        let mut payload = desk.take_scratch();
        let incoming = if !self.websocket {
            if wire.gone.is_none() && wire.stage != Stage::Over {
                wire.next_body(&mut payload)
            } else {
                wire.note_gone(false);
                drop(wire);
                return desk.events.disconnect(py).map(Some);
            }
        } else if !wire.connected {
            wire.connected = true;
            drop(wire);
            return desk.events.connect(py).map(Some);
        } else {
            wire.note_gone(true);
            match wire.next_message(&mut payload) {
                None if wire.gone.is_some() || wire.stage == Stage::Over => {
                    let (code, reason) = match &wire.gone {
                        Some(gone) => (gone.code, gone.reason.clone()),
                        None => (1006, Vec::new()),
                    };
                    drop(wire);
                    return desk.events.closed(py, code, &reason).map(Some);
                }
                incoming => incoming,
            }
        };
        drop(wire);
        let event = match incoming {
            None => Ok(None),
            Some(Incoming::Body { more }) => desk.events.body(py, &payload, more).map(Some),
            Some(Incoming::Text) => desk.events.text(py, &payload).map(Some),
            Some(Incoming::Binary) => desk.events.binary(py, &payload).map(Some),
        };
        desk.give_scratch(payload);
        event
    }

    /// A future that is resolved when `receive` should look again.
    pub fn receiver(&self) -> Result<Object> {
        self.waiter(&self.receivers)
    }

    pub fn sender(&self) -> Result<Object> {
        self.waiter(&self.senders)
    }

    fn waiter(&self, waiters: &RefCell<Vec<Object>>) -> Result<Object> {
        let future = self.desk.future()?;
        if let Ok(mut waiters) = waiters.try_borrow_mut() {
            waiters.push(future.clone());
        }
        Ok(future)
    }

    /// The waiter was cancelled or has what it wanted.
    pub fn forget_waiter(&self, future: &Object) {
        for waiters in [&self.receivers, &self.senders] {
            if let Ok(mut waiters) = waiters.try_borrow_mut() {
                waiters.retain(|other| !other.is_same(future));
            }
        }
    }

    fn wake_receivers(&self, py: Python<'_>) {
        self.wake(py, &self.receivers);
    }

    fn wake(&self, py: Python<'_>, waiters: &RefCell<Vec<Object>>) {
        let Ok(mut waiters) = waiters.try_borrow_mut() else {
            return;
        };
        if waiters.is_empty() {
            return;
        }
        let futures = std::mem::take(&mut *waiters);
        drop(waiters);
        for future in futures {
            self.desk.resolve(py, &future);
        }
    }

    // What the edge does.

    /// The slot has news: events, room, the client's end.
    pub fn news(&self, py: Python<'_>) {
        let Ok(mut wire) = self.wire.try_borrow_mut() else {
            return;
        };
        let gone_before = wire.gone.is_some() && !wire.is_live();
        let gone = wire.note_gone(self.websocket);
        let timed_out = gone && wire.gone.as_ref().is_some_and(|gone| gone.timed_out);
        let waited = !wire.is_drained();
        let drained = match wire.pump(self.desk.socket()) {
            Ok(drained) => drained,
            Err(_) => {
                wire.finish(Finish::Abort, self.desk.socket());
                true
            }
        };
        if wire.retry {
            self.desk.retry_soon(self.slot);
        }
        drop(wire);
        if gone || (drained && waited) {
            self.wake(py, &self.senders);
        }
        self.wake_receivers(py);
        if timed_out && !gone_before {
            self.time_out(py);
        }
    }

    /// The request ran over its time and has had its 504: says where it stands, and cancels it.
    #[cold]
    fn time_out(&self, py: Python<'_>) {
        let Some(task) = self.task() else {
            return;
        };
        let stack = self
            .desk
            .script(py, c"stack_of", &[&task])
            .and_then(|stack| stack.to_text());
        let headline = format!(
            "{} ran over its time and is cancelled; it was here:\n{}",
            self.shown(),
            stack.unwrap_or_else(|raised| raised.take().line())
        );
        self.desk.report(py, headline.trim_end(), None);
        self.cancel(py);
    }

    /// Cancels the application's task.
    pub fn cancel(&self, py: Python<'_>) {
        let Some(task) = self.task() else {
            return;
        };
        self.cancelled.set(true);
        drop(self.desk.outside(py, || task.call_member(c"cancel", &[])));
    }

    /// The server goes away: a WebSocket is closed with 1012 (RFC 6455 section 7.4, "service restart").
    pub fn go_away(&self, py: Python<'_>) {
        if let Ok(mut wire) = self.wire.try_borrow_mut()
            && self.websocket
            && wire.stage == Stage::Talking
        {
            wire.close(1012, "", self.desk.socket());
        }
        self.wake(py, &self.senders);
        self.wake_receivers(py);
    }

    /// Lets the head leave that was begun a while ago.
    pub fn flush_head(&self) {
        if let Ok(mut wire) = self.wire.try_borrow_mut()
            && wire.flush_head(self.desk.socket()).is_err()
        {
            wire.finish(Finish::Abort, self.desk.socket());
        }
    }

    pub fn take_spool(&self, py: Python<'_>, file: OwnedFd, ticket: u32) {
        if let Ok(mut wire) = self.wire.try_borrow_mut()
            && wire.ticket() == Some(ticket)
        {
            wire.take_spool(file);
        }
        self.wake_receivers(py);
    }

    // The task.

    pub fn task(&self) -> Option<Object> {
        self.task.borrow().clone()
    }

    pub fn set_task(&self, task: Object) {
        *self.task.borrow_mut() = Some(task);
    }

    /// The application is through.
    pub fn conclude(&self, py: Python<'_>, ended: Ended) {
        let task = self.task.borrow_mut().take();
        let Ok(wire) = self.wire.try_borrow() else {
            return;
        };
        let over = wire.stage == Stage::Over;
        if over && matches!(ended, Ended::Returned) && wire.is_drained() {
            drop(wire);
            drop(task);
            return;
        }
        let (gone, stage) = (wire.gone.is_some(), wire.stage);
        drop(wire);
        let failed = match ended {
            Ended::Returned => {
                if !over {
                    let missing = match (self.websocket, stage) {
                        (true, Stage::Talking) => None,
                        (true, _) => Some("neither accepted nor refused the WebSocket"),
                        (false, Stage::Open) => Some("started no response"),
                        (false, _) => Some("did not finish its response"),
                    };
                    if let Some(missing) = missing {
                        let text =
                            format!("{}: the application returned and {missing}", self.shown());
                        self.desk.report(py, &text, None);
                    }
                }
                false
            }
            Ended::Cancelled => {
                if !self.cancelled.get() && !gone {
                    let text = format!("{}: the application's task was cancelled", self.shown());
                    self.desk.report(py, &text, None);
                }
                true
            }
            Ended::Raised(exception) => {
                if !(gone && self.desk.is_disconnect(py, &exception)) {
                    let text = format!("error in {}", self.shown());
                    self.desk.report(py, &text, Some(exception));
                }
                true
            }
        };
        if !over {
            self.end(failed);
        }
        drop(task);
    }

    /// Ends what the application left open: 500 if nothing was said, else a cut that the client can see (A4, A21).
    fn end(&self, failed: bool) {
        let desk = &*self.desk;
        let Ok(mut wire) = self.wire.try_borrow_mut() else {
            return;
        };
        if self.websocket && wire.stage == Stage::Talking {
            let (code, reason) = if failed {
                (1011, "internal error")
            } else {
                (1000, "")
            };
            wire.close(code, reason, desk.socket());
        } else if wire.is_unsaid() {
            wire.trailers = false;
            if websocket::refuse(&mut wire, 500, &desk.error_page, desk).is_err() {
                wire.finish(Finish::Abort, desk.socket());
            }
        } else {
            wire.finish(Finish::Abort, desk.socket());
        }
    }
}
