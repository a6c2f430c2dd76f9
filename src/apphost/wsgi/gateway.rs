//! One worker's gateway: serves claimed requests with one application, one after another.
//!
//! Owns the objects that requests reuse. Invariant: between requests the session holds no claim. The lease is held on entry and on return of `serve`,
//! unless the outcome is `Revoked`.

use super::early_hints::{EarlyHints, Hints};
use super::environ::{Constants, Environ};
use super::file_wrapper::{Factory, Wrap};

use super::input::Input;
use super::responder::{Responder, StartResponse, Write};
use super::response::Stage;
use super::session::{Revoked, Session, Stop, Ticket};
use super::trouble::{Trouble, no_head, not_bytes};
use crate::ffi::{Instance, Kind, Object, Python, Raised, Result, Type};
use crate::lease::Lease;
use crate::prelude::Prelude;
use shm::{Claim, Finish};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

/// What a gateway needs to know.
pub struct Setting<'a> {
    pub application: Object,
    pub errors: Object,
    pub socket: OwnedFd,
    pub lease: Arc<Lease>,
    pub server_software: &'a str,
    pub root_path: &'a str,
    pub tolerant: bool,
    pub multithread: bool,
    pub worker: u16,
}

/// How a request ended for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    Served,
    /// The seat is a successor's; the worker must not touch it again.
    Revoked,
}

/// The callables of a request, kept for the next one if the application let go of them.
struct Callables {
    responder: Instance<Responder>,
    start_response: Object,
}

pub struct Gateway {
    application: Object,
    environ: Environ,
    session: Rc<Session>,
    prelude: Rc<Prelude>,
    errors: Object,
    responders: Type<Responder>,
    inputs: Type<Input>,
    wrappers: Instance<Factory>,
    hints: Instance<Hints>,
    callables: Callables,
    input: Instance<Input>,
    close: Object,
    /// Method and target of the request in work, for the log.
    line: Vec<u8>,
}

impl Gateway {
    pub fn new(py: Python<'_>, prelude: Rc<Prelude>, setting: Setting<'_>) -> Result<Gateway> {
        let session = Rc::new(Session::new(
            setting.socket,
            setting.lease,
            setting.tolerant,
        ));
        let (responders, inputs) = (Type::new(py)?, Type::new(py)?);
        let wrappers = Type::<Factory>::new(py)?.instance(Factory::new(py)?)?;
        let hints = Type::new(py)?.instance(Hints(Ticket::new(&session)))?;
        let constants = Constants {
            errors: &setting.errors,
            file_wrapper: &wrappers.bind::<Wrap>()?,
            early_hints: &hints.bind::<EarlyHints>()?,
            server_software: setting.server_software,
            root_path: setting.root_path,
            multithread: setting.multithread,
            worker: setting.worker,
        };
        Ok(Gateway {
            environ: Environ::new(py, &constants)?,
            callables: Callables::new(&responders, &session)?,
            input: inputs.instance(Input(Ticket::new(&session)))?,
            close: py.interned(c"close")?,
            line: Vec::with_capacity(256),
            application: setting.application,
            errors: setting.errors,
            session,
            prelude,
            responders,
            inputs,
            wrappers,
            hints,
        })
    }

    /// Serves one request, whatever the application does.
    pub fn serve(&mut self, py: Python<'_>, claim: Claim) -> Outcome {
        let outcome = match self.call(py, claim) {
            Ok(outcome) => outcome,
            // Only what must not fail did: no memory for an environ, a garbled request area.
            Err(trouble) => self.fail(py, trouble),
        };
        if outcome == Outcome::Revoked {
            self.session.forfeit();
        }
        self.session.end();
        outcome
    }

    fn call(&mut self, py: Python<'_>, claim: Claim) -> std::result::Result<Outcome, Trouble> {
        self.renew()?;
        let queued_ns = claim.queued_ns();
        let (environ, body, head_only) = match shm::request::decode(claim.request()) {
            Ok(decoded) => {
                self.line.clear();
                self.line.extend_from_slice(decoded.request.method);
                self.line.push(b' ');
                self.line.extend_from_slice(decoded.request.target);
                let environ = self
                    .environ
                    .build(py, &decoded, self.input.object(), queued_ns);
                (environ, decoded.body, decoded.request.method == b"HEAD")
            }
            Err(_) => {
                self.report(py, "the edge sent a request that cannot be read", None);
                claim.finish(Finish::Abort);
                return Ok(Outcome::Served);
            }
        };
        let serial = self.session.begin(claim, head_only);
        let environ = environ?;
        self.session.body.borrow_mut().set(body);
        self.input.value().0.serial.set(serial);
        self.callables.responder.value().0.serial.set(serial);
        self.hints.value().0.serial.set(serial);
        let result = self.session.outside(py, || {
            self.application
                .call_with(&[environ.object(), &self.callables.start_response])
        });
        let outcome = match result {
            Err(Revoked) => Outcome::Revoked,
            Ok(Err(raised)) => self.fail(py, raised.into()),
            Ok(Ok(result)) => self.answer(py, &result),
        };
        // What the application left in its environ goes now, outside of the request's time.
        drop(environ);
        Ok(outcome)
    }

    /// New callables where the application kept the old ones.
    fn renew(&mut self) -> Result<()> {
        let kept = !self.callables.start_response.is_unshared()
            || self
                .session
                .write
                .borrow()
                .as_ref()
                .is_none_or(|write| !write.is_unshared());
        if kept {
            self.callables = Callables::new(&self.responders, &self.session)?;
        }
        if !self.input.object().is_unshared() {
            self.input = self.inputs.instance(Input(Ticket::new(&self.session)))?;
        }
        Ok(())
    }

    /// Sends what the application returned, and closes it (W24).
    fn answer(&mut self, py: Python<'_>, result: &Object) -> Outcome {
        let sent = self.send(py, result);
        let mut outcome = match sent {
            Ok(()) => Outcome::Served,
            Err(trouble) => self.fail(py, trouble),
        };
        // Lists and tuples have no close().
        if outcome == Outcome::Served && result.list_len().is_none() && result.tuple_len().is_none()
        {
            outcome = self.close(py, result);
        }
        outcome
    }

    fn close(&self, py: Python<'_>, result: &Object) -> Outcome {
        let closed = self
            .session
            .outside(py, || match result.optional_attribute(&self.close)? {
                Some(close) => close.call().map(drop),
                None => Ok(()),
            });
        match closed {
            Ok(Ok(())) => Outcome::Served,
            Ok(Err(raised)) => {
                self.report(
                    py,
                    &format!("close() failed after {}", self.request()),
                    Some(raised),
                );
                Outcome::Served
            }
            Err(Revoked) => Outcome::Revoked,
        }
    }

    fn send(&self, py: Python<'_>, result: &Object) -> std::result::Result<(), Trouble> {
        if let Some(count) = result.list_len().or_else(|| result.tuple_len()) {
            self.send_blocks(py, result, count)?;
        } else if let Some(file) = self.wrappers.value().file_in(result) {
            if !self.send_file(py, file)? {
                self.send_iterable(py, result)?;
            }
        } else {
            if result.is_text() || result.as_bytes().is_some() {
                let hint = "the application returned a single string, not an iterable of bytes: put it into a list";
                return Err(Raised::new(py, Kind::TypeError, hint).into());
            }
            self.send_iterable(py, result)?;
        }
        self.conclude(py)
    }

    /// A list or tuple: all of it is there already, so its size is known (W26) and it leaves at once.
    fn send_blocks(
        &self,
        py: Python<'_>,
        result: &Object,
        count: usize,
    ) -> std::result::Result<(), Trouble> {
        let mut total = 0;
        for index in 0..count {
            let block = result.item(index)?;
            total += block.as_bytes().ok_or_else(|| not_bytes(py, &block))?.len() as u64;
        }
        if total == 0 {
            return Ok(());
        }
        {
            let mut response = self.session.response()?;
            if response.stage == Stage::Open {
                return Err(no_head(py).into());
            }
            response.set_length(total);
        }
        for index in 0..count {
            let block = result.item(index)?;
            self.session
                .push(py, block.as_bytes().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Any iterable: each block leaves before the application computes the next (W22).
    fn send_iterable(&self, py: Python<'_>, result: &Object) -> std::result::Result<(), Trouble> {
        let session = &self.session;
        let iterator = session.outside(py, || result.iterator())??;
        while let Some(block) = session.outside(py, || iterator.next(py))?? {
            let bytes = block.as_bytes().ok_or_else(|| not_bytes(py, &block))?;
            if bytes.is_empty() {
                continue;
            }
            if session.response()?.stage == Stage::Open {
                return Err(no_head(py).into());
            }
            session.push(py, bytes)?;
            let (complete, overrun, head_only) = {
                let response = session.response()?;
                (response.is_complete(), response.overrun, response.head_only)
            };
            if overrun {
                return Err(Trouble::Overrun);
            }
            if complete {
                // The client has all of it before the application is asked whether there is more.
                session.finish(Finish::End);
                if head_only {
                    return Ok(());
                }
            } else {
                session.flush();
                if session.is_cancelled() {
                    return Err(Stop::Cancelled.into());
                }
            }
        }
        Ok(())
    }

    /// A wrapped file. `false`: it must be read.
    fn send_file(&self, py: Python<'_>, file: &Object) -> std::result::Result<bool, Trouble> {
        let session = &self.session;
        let found = session.outside(py, || self.prelude.call(py, c"descriptor", &[file]))??;
        if found.is_none() {
            return Ok(false);
        }
        let number = found.item(0)?.to_isize()?;
        let (offset, available) = (
            found.item(1)?.to_isize()? as u64,
            found.item(2)?.to_isize()? as u64,
        );
        let mut response = session.response()?;
        if response.stage == Stage::Open {
            return Err(no_head(py).into());
        }
        if response.stage == Stage::Ready {
            response.set_length(available);
            session.push_head(py, &mut response)?;
        }
        let wanted = response
            .length
            .map_or(available, |length| available.min(length - response.sent));
        let bodiless = response.is_bodiless();
        drop(response);
        if wanted > 0 && !bodiless {
            let copy = sys::socket::duplicate_number(number as i32).map_err(|_| Stop::Handover)?;
            session.push_file(py, copy.as_fd(), offset, wanted)?;
        }
        Ok(true)
    }

    /// After the last block.
    fn conclude(&self, py: Python<'_>) -> std::result::Result<(), Trouble> {
        let session = &self.session;
        let mut response = session.response()?;
        match response.stage {
            Stage::Finished => {
                return if response.overrun {
                    Err(Trouble::Overrun)
                } else {
                    Ok(())
                };
            }
            Stage::Open => return Err(no_head(py).into()),
            Stage::Ready => {
                if !response.head_only {
                    response.set_length(0);
                }
                session.push_head(py, &mut response)?;
            }
            Stage::Sent => {}
        }
        if let Some(promised) = response.length
            && response.sent < promised
            && !response.is_bodiless()
        {
            return Err(Trouble::Short {
                promised,
                sent: response.sent,
            });
        }
        let overrun = response.overrun;
        drop(response);
        session.finish(Finish::End);
        if overrun {
            Err(Trouble::Overrun)
        } else {
            Ok(())
        }
    }

    /// Logs what went wrong and ends the response: 500 if nothing of it has left, else a cut that the client can see (W31).
    fn fail(&self, py: Python<'_>, trouble: Trouble) -> Outcome {
        let request = self.request();
        match trouble {
            Trouble::Stop(Stop::Revoked) => return Outcome::Revoked,
            Trouble::Stop(Stop::Cancelled) => {}
            Trouble::Stop(stop) => {
                let raised = stop.raise(py);
                self.report(py, &format!("error in {request}"), Some(raised));
            }
            // The application let our own "the client is gone" through: nothing to tell.
            Trouble::Raised(raised)
                if raised.is(Kind::ConnectionAborted) && self.session.is_cancelled() =>
            {
                drop(raised)
            }
            Trouble::Raised(raised) => {
                self.report(py, &format!("error in {request}"), Some(raised))
            }
            Trouble::Short { promised, sent } => {
                let text = format!(
                    "{request}: Content-Length said {promised} bytes, the application sent {sent}; the connection is cut"
                );
                self.report(py, &text, None);
            }
            Trouble::Overrun => {
                let text = format!(
                    "{request}: the application sent more bytes than Content-Length said; the rest is dropped"
                );
                self.report(py, &text, None);
                // The client has got what it was promised.
                self.session.finish(Finish::End);
                return Outcome::Served;
            }
        }
        let nothing_left = self
            .session
            .response()
            .is_ok_and(|response| matches!(response.stage, Stage::Open | Stage::Ready));
        if nothing_left && self.send_error_page(py).is_ok() {
            self.session.finish(Finish::End);
        } else {
            self.session.finish(Finish::Abort);
        }
        Outcome::Served
    }

    fn send_error_page(&self, py: Python<'_>) -> std::result::Result<(), Stop> {
        const PAGE: &[u8] = b"Internal Server Error\n";
        {
            let mut response = self.session.response()?;
            let head = response
                .begin_head(500, b"Internal Server Error")
                .and_then(|()| response.add_header(b"Content-Type", b"text/plain; charset=utf-8"));
            head.map_err(|_| Stop::TooLong)?;
            response.end_head();
            response.set_length(PAGE.len() as u64);
        }
        self.session.push(py, PAGE)
    }

    fn request(&self) -> String {
        /// Longest request line in a log entry, in bytes.
        const SHOWN_MAX: usize = 512;
        self.line[..self.line.len().min(SHOWN_MAX)]
            .escape_ascii()
            .to_string()
    }

    /// One entry in the log, with the traceback of an exception.
    #[cold]
    fn report(&self, py: Python<'_>, headline: &str, raised: Option<Raised>) {
        let error = raised.map(Raised::take);
        let told = || -> Result<()> {
            let none = py.none();
            let error = error.as_ref().map_or(&none, crate::ffi::Exception::object);
            self.prelude
                .call(py, c"tell", &[&self.errors, &py.text(headline)?, error])
                .map(drop)
        };
        if let Err(raised) = told() {
            eprintln!("{headline} ({})", raised.take().line());
        }
    }
}

impl Callables {
    fn new(responders: &Type<Responder>, session: &Rc<Session>) -> Result<Callables> {
        let responder = responders.instance(Responder(Ticket::new(session)))?;
        let start_response = responder.bind::<StartResponse>()?;
        *session.write.borrow_mut() = Some(responder.bind::<Write>()?);
        Ok(Callables {
            responder,
            start_response,
        })
    }
}
