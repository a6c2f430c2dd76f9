//! A request at an app: waiting for the worker, the client and the clock at once, and passing the answer on.
//!
//! Invariants: the worker is freed as soon as its answer has been taken in, however slow the client; a client that leaves
//! cancels its request (queued: Python never sees it; running: the worker is told); the connection ends without a
//! terminator when an answer breaks off, never with one.

use super::Connection;
use super::failure::Named;
use super::input::Input;
use super::output::Output;
use super::reply::{Asks, Fault, Pull, Reply};
use super::request::Open;
use super::stream_body::StreamBody;
use super::websocket::Session;
use crate::app::{Call, Served};
use crate::files;
use crate::ring::Ring;
use config::LogLevel;
use proto::Reject;
use proto::websocket::handshake::Offer;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use uring::fs::{File, Kind};
use uring::net::Writable;

/// Pipelined bytes kept while an answer is under way; beyond, the client feels back-pressure.
const PIPELINED_MAX_BYTES: usize = 64 * 1024;
const BODY_TOO_SLOW: Reject = Reject::new(408, "the request body took too long");

/// What happened first.
enum Event {
    News,
    Writable,
    /// More of a body that streams.
    Input,
    /// The client has ended or reset the connection.
    Gone,
    Late,
}

/// Whose time is over.
enum Late {
    App,
    /// It takes nothing of what it is sent.
    Client,
    /// It sends nothing of what it announced.
    Body,
}

/// How an exchange goes on.
struct Pace {
    /// The edge holds all it may; only the client can help.
    full: bool,
    /// The worker last said something.
    heard_ns: u64,
    /// The client last took something, or had nothing to take.
    moved_ns: u64,
}

/// How an answer ended, for the connection.
pub(super) enum Ended {
    Stay,
    Close,
    /// The client may be sending still.
    Linger,
    /// The connection is useless: nothing more can be said on it.
    Cut,
    /// HTTP is over.
    Socket(Box<Session>),
}

/// What a request has beside its head.
#[derive(Default)]
pub(super) struct Extras<'a> {
    pub body: Option<&'a mut StreamBody>,
    pub socket: Option<Box<Offer>>,
}

impl Connection {
    /// Sees a submitted request through. What waited in `out` before it leaves first.
    #[expect(clippy::manual_async_fn, reason = "smaller: see Connection::work")]
    pub(super) fn exchange(
        &mut self,
        mut call: Call,
        mut open: Open,
        extras: Extras<'_>,
        input: &mut Input,
        out: &mut Output,
    ) -> impl Future<Output = Ended> {
        async move {
            let Extras { mut body, socket } = extras;
            let asks = Asks {
                socket,
                trailers: open.trailers,
                timing: call.app().server_timing(),
                head: !self.ring.access.borrow().wanted().response.is_empty(),
            };
            if body.is_none() {
                input.own();
            }
            let site = self.ring.site();
            let mut reply = Reply::new(open.manner, asks, out);
            let mut pace = Pace {
                full: false,
                heard_ns: call.submitted_ns,
                moved_ns: uring::now(),
            };
            reply.blocked = match out.try_flush(&self.socket) {
                Ok(all) => !all,
                Err(error) => return self.give_up(call, open, &mut reply, Fault::Gone(error), out),
            };
            // Nobody has been woken for it: there is nothing to read yet, and `event` hears of what comes.
            let mut fresh = true;
            loop {
                // A head that has left has said whether the connection ends: the client goes by that.
                reply.close |= self.ring.is_draining() && !reply.has_head();
                if let Some(body) = &mut body {
                    if let Err(reject) = body.pump(&call, input, uring::now()) {
                        return self.give_up(call, open, &mut reply, Fault::Body(reject), out);
                    }
                    reply.body_is_far = body.is_far();
                    input.own();
                }
                let pull = if std::mem::take(&mut fresh) {
                    Ok(Pull::Waiting)
                } else {
                    let date = self.ring.date();
                    reply.pull(&mut call, &self.socket, out, site.common(&date))
                };
                if let Some(head) = reply.head.take() {
                    self.note_answer(&mut open, &head);
                }
                pace.full = match pull {
                    Ok(Pull::Waiting) => false,
                    Ok(Pull::Full) => true,
                    Ok(Pull::WantBody) => {
                        let Some(body) = &mut body else {
                            let fault = Fault::Order("a wish for a body that is not there");
                            return self.give_up(call, open, &mut reply, fault, out);
                        };
                        if body.ask(uring::now()) {
                            reply.tell_to_go_on(out);
                        }
                        continue;
                    }
                    Ok(Pull::Accepted) => {
                        let options = call.app().websocket();
                        let offer = reply.asks.socket;
                        let session = Session::new(call, open, offer, &options, input, out);
                        return Ended::Socket(Box::new(session));
                    }
                    Ok(Pull::End) => {
                        return match reply.handover.take() {
                            None => {
                                let served = self.settle(&mut call, &open, &reply);
                                let flushed = self.flush(out).await;
                                self.finish(&call, open, &reply, served, flushed)
                            }
                            Some(handover) => {
                                Box::pin(self.hand_over(call, open, &mut reply, *handover, out))
                                    .await
                            }
                        };
                    }
                    Ok(Pull::File {
                        token,
                        offset,
                        length,
                    }) => {
                        let passed =
                            self.pass_file(&mut call, &mut reply, token, offset, length, out);
                        match Box::pin(passed).await {
                            Ok(()) => continue,
                            Err(fault) => return self.give_up(call, open, &mut reply, fault, out),
                        }
                    }
                    Err(fault) => return self.give_up(call, open, &mut reply, fault, out),
                };
                let was_blocked = reply.blocked;
                match out.try_flush(&self.socket) {
                    Ok(all) => reply.blocked = !all,
                    Err(error) => {
                        return self.give_up(call, open, &mut reply, Fault::Gone(error), out);
                    }
                }
                if reply.blocked && !was_blocked {
                    pace.moved_ns = uring::now();
                }
                if pace.full && !reply.blocked {
                    continue;
                }
                let body = body.as_deref();
                let wants = body.is_some_and(StreamBody::wants);
                let (due_ns, _) = self.due(&call, &reply, &pace, body);
                // Whoever is answered next uses it, while it is in the processor's cache.
                if let Some(buffer) = out.lend() {
                    self.ring.give_buffer(buffer);
                }
                let event = self.event(&call, &reply, &pace, due_ns, wants, input);
                let event = event.await;
                out.ensure(|| self.ring.take_buffer());
                match event {
                    Event::News => pace.heard_ns = uring::now(),
                    Event::Writable => pace.moved_ns = uring::now(),
                    Event::Input => {}
                    Event::Gone => {
                        let gone = Fault::Gone(io::ErrorKind::ConnectionReset.into());
                        return self.give_up(call, open, &mut reply, gone, out);
                    }
                    Event::Late => {
                        // It was armed by what was known then; the request may have been claimed since.
                        let fault = match self.due(&call, &reply, &pace, body) {
                            (due_ns, _) if due_ns > uring::now() => continue,
                            (_, Late::App) => return self.overdue(call, open, &mut reply, out),
                            (_, Late::Client) => Fault::Gone(io::ErrorKind::TimedOut.into()),
                            (_, Late::Body) => Fault::Body(BODY_TOO_SLOW),
                        };
                        return self.give_up(call, open, &mut reply, fault, out);
                    }
                }
            }
        }
    }

    /// When somebody's time is over (`u64::MAX`: nobody's), and whose.
    fn due(
        &self,
        call: &Call,
        reply: &Reply,
        pace: &Pace,
        body: Option<&StreamBody>,
    ) -> (u64, Late) {
        let times = self.ring.times();
        let request_ns = call.request_ns;
        let started = || call.claimed_ns(uring::now()).unwrap_or(call.submitted_ns);
        if !call.app().is_asgi() {
            return match reply.has_head() {
                _ if pace.full => (pace.moved_ns.saturating_add(times.write_ns), Late::Client),
                true => (pace.heard_ns.saturating_add(request_ns), Late::App),
                false => (started().saturating_add(request_ns), Late::App),
            };
        }
        // Once it has begun to answer, an app that speaks ASGI may take its time: its loop has other requests to serve.
        let mut due = (u64::MAX, Late::App);
        if let Some(body) = body.filter(|body| body.waits_for_client()) {
            due = (body.heard_ns.saturating_add(times.body_ns), Late::Body);
        }
        // Nor is it its fault that the client does not send.
        if !reply.has_head() && due.0 == u64::MAX {
            let from_ns = body.map_or(0, |body| body.heard_ns).max(started());
            due = (from_ns.saturating_add(request_ns), Late::App);
        }
        let client_ns = pace.moved_ns.saturating_add(times.write_ns);
        if reply.blocked && client_ns < due.0 {
            due = (client_ns, Late::Client);
        }
        due
    }

    /// Waits for whatever comes first.
    async fn event(
        &self,
        call: &Call,
        reply: &Reply,
        pace: &Pace,
        due_ns: u64,
        wants: bool,
        input: &mut Input,
    ) -> Event {
        Ring::arm(&self.deadline, 0, due_ns);
        let mut writable: Option<Writable<'_>> = reply.blocked.then(|| self.socket.writable());
        poll_fn(|cx| {
            if !pace.full && call.poll_news(cx).is_ready() {
                return Poll::Ready(Event::News);
            }
            if let Some(writable) = &mut writable
                && Pin::new(writable).poll(cx).is_ready()
            {
                return Poll::Ready(Event::Writable);
            }
            while input.len() < PIPELINED_MAX_BYTES {
                match self.socket.poll_recv(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        self.received(&chunk);
                        input.push(chunk);
                        if wants {
                            return Poll::Ready(Event::Input);
                        }
                        input.own();
                    }
                    Poll::Ready(_) => return Poll::Ready(Event::Gone),
                    Poll::Pending => break,
                }
            }
            self.deadline.poll_expired(cx).map(|()| Event::Late)
        })
        .await
    }

    /// The answer is complete: frees the worker.
    fn settle(&self, call: &mut Call, open: &Open, reply: &Reply) -> Served {
        let served = call.settle(uring::now());
        if reply.excess {
            self.ring.log(
                LogLevel::Warning,
                format_args!(
                    "app {}: more body than its head allows was dropped, {}",
                    call.app().name,
                    Named(open)
                ),
            );
        }
        served
    }

    /// It has left, or the client is gone.
    fn finish(
        &self,
        call: &Call,
        open: Open,
        reply: &Reply,
        served: Served,
        flushed: io::Result<()>,
    ) -> Ended {
        self.close_request(
            open,
            reply.status,
            reply.body_bytes,
            Some((&call.app().name, served)),
        );
        match flushed {
            Err(_) => Ended::Cut,
            Ok(()) if reply.close => Ended::Close,
            Ok(()) => Ended::Stay,
        }
    }

    /// Sends a piece that the app left in a file.
    async fn pass_file(
        &mut self,
        call: &mut Call,
        reply: &mut Reply,
        token: u64,
        offset: u64,
        length: u64,
        out: &mut Output,
    ) -> Result<(), Fault> {
        let file = call
            .file(token)
            .ok_or(Fault::Order("a file that never came"))?;
        let file = File::from_fd(file);
        let stat = file
            .stat()
            .map_err(|_| Fault::Order("a file that is none"))?;
        let end = offset
            .checked_add(length)
            .ok_or(Fault::Order("a file beyond all bounds"))?;
        if stat.kind != Kind::Regular || stat.size < end {
            return Err(Fault::Order(
                "a file that is shorter than announced, or no plain file",
            ));
        }
        self.flush(out).await.map_err(Fault::Gone)?;
        files::send_file(
            &self.socket,
            b"",
            &file,
            offset,
            length,
            self.ring.times().write_ns,
        )
        .await
        .map_err(Fault::Gone)?;
        reply.end_file(out);
        Ok(())
    }
}
