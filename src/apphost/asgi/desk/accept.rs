//! A claimed request becomes a scope, a call and a task; a task that is done becomes the end of its request.

use super::super::call::{Call, Done, ReceiveMethod, SendMethod};
use super::super::request::{Ended, Request};
use super::super::wire::{Intake, Wire};
use super::Desk;
use crate::ffi::{Exception, Object, Python, Result};
use crate::forked;
use shm::request::{Body, FLAG_EXPECT_CONTINUE, FLAG_TE_TRAILERS, FLAG_WEBSOCKET, decode};
use shm::{Claim, Finish};
use std::rc::Rc;

impl Desk {
    /// Takes up a request: calls the application and runs its first step.
    pub fn accept(self: &Rc<Desk>, py: Python<'_>, claim: Claim) {
        let queued_ns = claim.queued_ns();
        let slot = claim.slot();
        let decoded = match decode(claim.request()) {
            Ok(decoded) => decoded,
            Err(_) => {
                self.report(py, "the edge sent a request that cannot be read", None);
                claim.finish(Finish::Abort);
                return;
            }
        };
        let flags = decoded.request.flags;
        let websocket = flags & FLAG_WEBSOCKET != 0;
        let head_only = decoded.request.method == b"HEAD";
        let line = [decoded.request.method, b" ", decoded.request.target].concat();
        let intake = match decoded.body {
            Body::Inline { offset, len } => Intake::Inline { offset, len },
            Body::File { len } => Intake::File {
                len,
                position: 0,
                file: None,
                asked: false,
            },
            Body::Stream => Intake::Stream {
                ask: flags & FLAG_EXPECT_CONTINUE != 0,
            },
        };
        let scope = self.scopes.borrow_mut().build(py, &decoded, queued_ns);
        let mut wire = Wire::new(claim, intake);
        wire.head_only = head_only;
        wire.takes_trailers = flags & FLAG_TE_TRAILERS != 0;
        let request = Rc::new(Request::new(self, slot, websocket, line, wire));
        let started = scope.and_then(|scope| self.start(py, &request, scope));
        match started {
            Ok(()) => {}
            Err(raised) => {
                let exception = raised.take();
                if !self.revoked.get() {
                    request.conclude(py, Ended::Raised(exception));
                }
            }
        }
        if self.revoked.get() {
            request.forfeit();
            return;
        }
        if request.is_live() {
            self.enter(&request);
            if request.is_begun()
                && let Err(raised) = self.note_head(py, &request)
            {
                self.report(py, "cannot plan a flush", Some(raised.take()));
            }
        }
    }

    fn start(self: &Rc<Desk>, py: Python<'_>, request: &Rc<Request>, scope: Object) -> Result<()> {
        let call = self.calls.instance(Call(Rc::clone(request)))?;
        let (receive, send) = (call.bind::<ReceiveMethod>()?, call.bind::<SendMethod>()?);
        let runner = self.runner().expect("there is a loop when requests come");
        let task = self.outside(py, || -> Result<Object> {
            let mut coroutine = self.application.call_with(&[&scope, &receive, &send])?;
            drop(scope);
            if !coroutine.is_exactly(&self.coroutine) {
                coroutine = self.script(py, c"as_coroutine", &[&coroutine])?;
            }
            match &runner.eager {
                Some(eager) => {
                    let task = eager.start(py, &coroutine)?;
                    if forked::is_copy() {
                        task.call_member(c"result", &[])?;
                    }
                    Ok(task)
                }
                None => runner.create_task.call_with(&[&coroutine]),
            }
        });
        let Some(task) = task else {
            return Ok(());
        };
        let task = task?;
        if let Some(eager) = &runner.eager
            && eager.done.call_with(&[&task])?.is_true()?
        {
            self.conclude(py, request, eager.exception.call_with(&[&task]));
            return Ok(());
        }
        request.set_task(task.clone());
        self.tasks
            .borrow_mut()
            .insert(Rc::as_ptr(request), Rc::clone(request));
        task.attribute(&self.names.add_done_callback)?
            .call_with(&[&call.bind::<Done>()?])?;
        Ok(())
    }

    /// `exception`: what the method of that name said of the task.
    fn conclude(&self, py: Python<'_>, request: &Request, exception: Result<Object>) {
        let ended = match exception {
            Ok(exception) if exception.is_none() => Ended::Returned,
            Ok(exception) => Ended::Raised(Exception::from_object(exception)),
            // CancelledError.
            Err(raised) => {
                drop(raised);
                Ended::Cancelled
            }
        };
        request.conclude(py, ended);
    }
}

/// The task of a request is done; called by the loop.
pub fn task_done(py: Python<'_>, request: &Rc<Request>, task: &Object) {
    let desk = &request.desk;
    if forked::is_copy() {
        forked::leave(py, task.call_member(c"result", &[]).err());
    }
    desk.tasks.borrow_mut().remove(&Rc::as_ptr(request));
    if !desk.hold(py) {
        return;
    }
    let exception = task
        .attribute(&desk.names.exception)
        .and_then(|exception| exception.call());
    desk.conclude(py, request, exception);
    desk.leave_slot(request);
    desk.look_quiet(py);
    desk.release();
}
