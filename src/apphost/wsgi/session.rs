//! The request in work, shared between the worker's loop and the Python objects that act on it (input, start_response, write).
//!
//! One per worker, reused for every request; objects carry the serial number of theirs, so one that an application keeps beyond its request can do
//! nothing to the next. All borrows are short but for those in `push`, `wait` and `receive_body`, which give the GIL up: another thread of the
//! application that comes in meanwhile finds [`Stop::Concurrent`].

use super::response::{Response, Stage};
use crate::ffi::{Kind, Object, Python, Raised, Result};
use crate::forked;
use crate::lease::{Denied, Lease};
use shm::handover::{LABEL_BYTES, Label};
use shm::{Claim, EventKind, Finish, WaitSpace, WriteError};
use std::cell::{Cell, RefCell, RefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How long one wait lasts before its reason is looked at again.
const WAIT: Duration = Duration::from_secs(1);

/// Pause before looking again whether another thread has left the request.
const LINGER: Duration = Duration::from_millis(1);

/// Why nothing more can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The client is gone, or its deadline passed.
    Cancelled,
    /// The seat was given to a successor.
    Revoked,
    /// The request was answered already.
    Over,
    /// Another thread is at it.
    Concurrent,
    /// start_response was not called.
    NoHead,
    /// The head does not fit the exchange.
    TooLong,
    /// A descriptor could not be passed.
    Handover,
}

impl Stop {
    fn text(self) -> &'static str {
        match self {
            Stop::Cancelled => "the client is gone",
            Stop::Revoked if forked::is_copy() => forked::REFUSAL,
            Stop::Revoked => "this request ran too long and its worker was replaced",
            Stop::Over => "the request is over",
            Stop::Concurrent => "another thread is using this request",
            Stop::NoHead => "write() was called before start_response()",
            Stop::TooLong => "the response headers are too long",
            Stop::Handover => "the file could not be handed over",
        }
    }

    pub fn raise(self, py: Python<'_>) -> Raised {
        let kind = match self {
            Stop::Cancelled => Kind::ConnectionAborted,
            Stop::NoHead => Kind::AssertionError,
            Stop::Handover => Kind::OSError,
            Stop::Revoked | Stop::Over | Stop::Concurrent | Stop::TooLong => Kind::RuntimeError,
        };
        Raised::new(py, kind, self.text())
    }
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Stop {
        match denied {
            Denied::Busy => Stop::Concurrent,
            Denied::Revoked => Stop::Revoked,
        }
    }
}

/// The seat was taken away while Python code ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked;

/// The connection to the edge for one request.
struct Link {
    claim: Option<Claim>,
    /// The last token given to a file.
    token: u64,
}

pub struct Session {
    link: RefCell<Link>,
    /// This worker's socket: descriptors travel on it.
    socket: OwnedFd,
    response: RefCell<Response>,
    pub body: RefCell<super::input::Body>,
    /// The callable that start_response returns.
    pub write: RefCell<Option<Object>>,
    serial: Cell<u64>,
    lease: Arc<Lease>,
}

impl Session {
    /// `tolerant`: of hop-by-hop headers.
    pub fn new(socket: OwnedFd, lease: Arc<Lease>, tolerant: bool) -> Session {
        Session {
            link: RefCell::new(Link {
                claim: None,
                token: 0,
            }),
            socket,
            response: RefCell::new(Response::new(tolerant)),
            body: RefCell::new(super::input::Body::new()),
            write: RefCell::new(None),
            serial: Cell::new(0),
            lease,
        }
    }

    /// Takes a request up. Returns its serial number.
    pub fn begin(&self, claim: Claim, head_only: bool) -> u64 {
        self.link.borrow_mut().claim = Some(claim);
        self.response.borrow_mut().reset(head_only);
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        serial
    }

    /// Objects of the request find it over from now on.
    pub fn end(&self) {
        self.serial.set(self.serial.get() + 1);
        self.body.borrow_mut().clear();
    }

    /// Refuses objects of an earlier request.
    #[inline]
    pub fn check(&self, serial: u64) -> std::result::Result<(), Stop> {
        if self.serial.get() == serial {
            Ok(())
        } else {
            Err(Stop::Over)
        }
    }

    /// Runs Python code from the worker's loop, the lease let go meanwhile.
    #[inline]
    pub fn outside<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> Result<T>,
    ) -> std::result::Result<Result<T>, Revoked> {
        self.lease.release();
        let result = work();
        loop {
            match self.lease.hold() {
                Ok(()) => return Ok(result),
                Err(Denied::Revoked) if forked::is_copy() => forked::leave(py, result.err()),
                Err(Denied::Revoked) => return Err(Revoked),
                // A thread that the application left behind is still writing; it needs the GIL to leave.
                Err(Denied::Busy) => py.detached(|| std::thread::sleep(LINGER)),
            }
        }
    }

    /// For a call from Python that touches shared memory.
    pub fn inside<R>(
        &self,
        work: impl FnOnce() -> std::result::Result<R, Stop>,
    ) -> std::result::Result<R, Stop> {
        self.lease.hold()?;
        let result = work();
        self.lease.release();
        result
    }

    /// The request is a successor's to answer: nothing of it is touched again, not even to give it up.
    pub fn forfeit(&self) {
        if let Ok(mut link) = self.link.try_borrow_mut() {
            std::mem::forget(link.claim.take());
        }
    }

    /// What was said of the response so far.
    #[inline]
    pub fn response(&self) -> std::result::Result<RefMut<'_, Response>, Stop> {
        self.response.try_borrow_mut().map_err(|_| Stop::Concurrent)
    }

    fn link(&self) -> std::result::Result<RefMut<'_, Link>, Stop> {
        self.link.try_borrow_mut().map_err(|_| Stop::Concurrent)
    }

    /// Whether the answer still goes somewhere.
    pub fn is_cancelled(&self) -> bool {
        self.link
            .try_borrow()
            .is_ok_and(|link| link.claim.as_ref().is_some_and(Claim::cancelled))
    }

    /// Sends one block: the head before the first one, nothing for an empty one. What Content-Length does not cover is cut.
    pub fn push(&self, py: Python<'_>, block: &[u8]) -> std::result::Result<(), Stop> {
        if block.is_empty() {
            return Ok(());
        }
        let mut response = self.response()?;
        match response.stage {
            Stage::Open => return Err(Stop::NoHead),
            Stage::Ready => self.push_head(py, &mut response)?,
            Stage::Sent => {}
            // Everything that was promised has left; anything more is an overrun.
            Stage::Finished => {
                response.overrun = !response.is_bodiless();
                return Ok(());
            }
        }
        if response.is_bodiless() {
            return Ok(());
        }
        let admitted = response.admit(block.len());
        let mut rest = &block[..admitted];
        let mut link = self.link()?;
        let claim = link.claim.as_mut().ok_or(Stop::Over)?;
        loop {
            let written = claim.write_body(rest);
            rest = &rest[written..];
            response.sent += written as u64;
            if rest.is_empty() {
                return Ok(());
            }
            wait(py, claim)?;
        }
    }

    /// Sends the head if there is one that has not left.
    pub fn push_head(
        &self,
        py: Python<'_>,
        response: &mut Response,
    ) -> std::result::Result<(), Stop> {
        self.write_whole(py, |claim| claim.write_head(response.head()))?;
        response.stage = Stage::Sent;
        Ok(())
    }

    /// Sends the encoded head of an interim response.
    pub fn push_informational(&self, py: Python<'_>, head: &[u8]) -> std::result::Result<(), Stop> {
        self.write_whole(py, |claim| claim.write_informational(head))
    }

    fn write_whole(
        &self,
        py: Python<'_>,
        write: impl Fn(&mut Claim) -> std::result::Result<(), WriteError>,
    ) -> std::result::Result<(), Stop> {
        let mut link = self.link()?;
        let claim = link.claim.as_mut().ok_or(Stop::Over)?;
        loop {
            match write(claim) {
                Ok(()) => return Ok(()),
                Err(WriteError::Full) => wait(py, claim)?,
                Err(WriteError::TooLong) => return Err(Stop::TooLong),
            }
        }
    }

    /// Sends `length` bytes from `offset` of a file as body.
    pub fn push_file(
        &self,
        py: Python<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u64,
    ) -> std::result::Result<(), Stop> {
        let mut link = self.link()?;
        link.token += 1;
        let token = link.token;
        let claim = link.claim.as_mut().ok_or(Stop::Over)?;
        let label = Label {
            slot: claim.slot(),
            ticket: claim.ticket(),
            token,
        }
        .encode();
        let socket = self.socket.as_fd();
        py.detached(|| sys::socket::send_with_fds(socket, &label, &[file]))
            .map_err(|_| Stop::Handover)?;
        loop {
            match claim.write_file(token, offset, length) {
                Ok(()) => break,
                Err(WriteError::Full) => wait(py, claim)?,
                Err(WriteError::TooLong) => return Err(Stop::TooLong),
            }
        }
        if let Ok(mut response) = self.response.try_borrow_mut() {
            response.sent += length;
        }
        Ok(())
    }

    /// Lets the edge have everything that was pushed.
    #[inline]
    pub fn flush(&self) {
        if let Ok(mut link) = self.link.try_borrow_mut()
            && let Some(claim) = link.claim.as_mut()
        {
            claim.flush();
        }
    }

    /// Ends the response. Nothing happens if it has ended.
    #[inline]
    pub fn finish(&self, how: Finish) {
        let Ok(mut link) = self.link.try_borrow_mut() else {
            return;
        };
        if let Some(claim) = link.claim.take() {
            claim.finish(how);
        }
        if let Ok(mut response) = self.response.try_borrow_mut() {
            response.stage = Stage::Finished;
        }
    }

    /// Looks at the bytes of the request area.
    pub fn with_request<R>(&self, look: impl FnOnce(&[u8]) -> R) -> std::result::Result<R, Stop> {
        let link = self.link()?;
        let claim = link.claim.as_ref().ok_or(Stop::Over)?;
        Ok(look(claim.request()))
    }

    /// The next part of a body that streams, in `out`; true: the last one, perhaps empty. Waits for it.
    pub fn receive_part(
        &self,
        py: Python<'_>,
        first: bool,
        out: &mut Vec<u8>,
    ) -> std::result::Result<bool, Stop> {
        let mut link = self.link()?;
        let claim = link.claim.as_mut().ok_or(Stop::Over)?;
        if first && waits_to_be_asked(claim) {
            claim.want_body().map_err(|_| Stop::Handover)?;
        }
        loop {
            match claim.next_event(out) {
                Ok(Some(EventKind::Body)) if !out.is_empty() => return Ok(false),
                Ok(Some(EventKind::BodyEnd)) => return Ok(true),
                Ok(Some(EventKind::Disconnect)) | Err(_) => return Err(Stop::Cancelled),
                Ok(Some(_)) => {}
                Ok(None) => match py.detached(|| claim.wait_event(WAIT)) {
                    WaitSpace::Retry | WaitSpace::TimedOut => {}
                    WaitSpace::Cancelled => return Err(Stop::Cancelled),
                },
            }
        }
    }

    /// Asks the edge for the file that holds the request body, and waits for it.
    pub fn receive_body(&self, py: Python<'_>) -> std::result::Result<OwnedFd, Stop> {
        let mut link = self.link()?;
        let claim = link.claim.as_mut().ok_or(Stop::Over)?;
        loop {
            match claim.want_body() {
                Ok(()) => break,
                Err(WriteError::Full) => wait(py, claim)?,
                Err(WriteError::TooLong) => return Err(Stop::TooLong),
            }
        }
        let wanted = Label {
            slot: claim.slot(),
            ticket: claim.ticket(),
            token: 0,
        };
        let socket = self.socket.as_fd();
        loop {
            match py
                .detached(|| receive(socket))
                .map_err(|_| Stop::Handover)?
            {
                Some((label, file)) if label == wanted => return Ok(file),
                // For a request that was cancelled before it arrived.
                Some(_) => {}
                None if claim.cancelled() => return Err(Stop::Cancelled),
                None => {}
            }
        }
    }
}

/// Whether the client waits to be asked for its body.
fn waits_to_be_asked(claim: &Claim) -> bool {
    shm::request::decode(claim.request())
        .is_ok_and(|decoded| decoded.request.flags & shm::request::FLAG_EXPECT_CONTINUE != 0)
}

/// Waits until the edge has taken something out of the response ring.
fn wait(py: Python<'_>, claim: &mut Claim) -> std::result::Result<(), Stop> {
    match py.detached(|| claim.wait_space(WAIT)) {
        WaitSpace::Retry | WaitSpace::TimedOut => Ok(()),
        WaitSpace::Cancelled => Err(Stop::Cancelled),
    }
}

/// The next file on the worker's socket; `None` if nothing came for a while.
fn receive(socket: BorrowedFd<'_>) -> std::io::Result<Option<(Label, OwnedFd)>> {
    let mut watch = [sys::socket::Watch::read(socket)];
    sys::socket::poll(&mut watch, Some(WAIT.as_millis() as u64))?;
    if !watch[0].readable {
        return Ok(None);
    }
    let mut packet = [0; LABEL_BYTES + 1];
    let mut files = Vec::new();
    let count = sys::socket::recv_with_fds(socket, &mut packet, &mut files)?;
    if count == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let label = Label::decode(&packet[..count]);
    Ok(label.zip(files.pop()))
}

/// What every Python object of a request holds.
pub struct Ticket {
    pub session: std::rc::Rc<Session>,
    pub serial: Cell<u64>,
}

impl Ticket {
    pub fn new(session: &std::rc::Rc<Session>) -> Ticket {
        Ticket {
            session: session.clone(),
            serial: Cell::new(0),
        }
    }

    /// The session, if this object's request is the one in work.
    #[inline]
    pub fn session(&self, py: Python<'_>) -> Result<&Session> {
        match self.session.check(self.serial.get()) {
            Ok(()) => Ok(&self.session),
            Err(stop) => Err(stop.raise(py)),
        }
    }
}
