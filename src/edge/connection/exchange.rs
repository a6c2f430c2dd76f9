//! A request at an app: waiting for the worker, the client and the clock at once, and passing the answer on.
//!
//! Invariants: the worker is freed as soon as its answer has been taken in, however slow the client; a client that leaves
//! cancels its request (queued: Python never sees it; running: the worker is told); the connection ends without a
//! terminator when an answer breaks off, never with one.

use super::Connection;
use super::failure::Named;
use super::input::Input;
use super::output::Output;
use super::reply::{Fault, Pull, Reply};
use super::request::Open;
use crate::app::Call;
use crate::files;
use crate::ring::Ring;
use config::LogLevel;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use uring::fs::{File, Kind};
use uring::net::Writable;

/// Pipelined bytes kept while an answer is under way; beyond, the client feels back-pressure.
const PIPELINED_MAX_BYTES: usize = 64 * 1024;

/// What happened first.
enum Event {
    News,
    Writable,
    /// The client has ended or reset the connection.
    Gone,
    Late,
}

/// How an answer ended, for the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Stay,
    Close,
    /// The client may be sending still.
    Linger,
    /// The connection is useless: nothing more can be said on it.
    Cut,
}

impl Connection {
    /// Sees a submitted request through. What waited in `out` before it leaves first.
    pub(super) async fn exchange(
        &mut self,
        mut call: Call,
        open: Open,
        input: &mut Input,
        out: &mut Output,
    ) -> Ended {
        input.own();
        let mut reply = Reply::new(open.manner, out);
        let mut heard_ns = call.submitted_ns;
        reply.blocked = match out.try_flush(&self.socket) {
            Ok(all) => !all,
            Err(error) => return self.give_up(call, open, &mut reply, Fault::Gone(error), out),
        };
        loop {
            reply.close |= self.ring.is_draining();
            let date = self.ring.date();
            let pull = reply.pull(&mut call, &self.socket, out, self.ring.common(&date));
            let full = match pull {
                Ok(Pull::Waiting) => false,
                Ok(Pull::Full) => true,
                Ok(Pull::End) => {
                    return match reply.handover.take() {
                        None => self.finish(call, open, &reply, out).await,
                        Some(handover) => {
                            Box::pin(self.hand_over(call, open, &mut reply, *handover, out)).await
                        }
                    };
                }
                Ok(Pull::File {
                    token,
                    offset,
                    length,
                }) => {
                    match self
                        .pass_file(&mut call, &mut reply, token, offset, length, out)
                        .await
                    {
                        Ok(()) => continue,
                        Err(fault) => return self.give_up(call, open, &mut reply, fault, out),
                    }
                }
                Err(fault) => return self.give_up(call, open, &mut reply, fault, out),
            };
            match out.try_flush(&self.socket) {
                Ok(all) => reply.blocked = !all,
                Err(error) => return self.give_up(call, open, &mut reply, Fault::Gone(error), out),
            }
            if full && !reply.blocked {
                continue;
            }
            match self.event(&call, &reply, full, heard_ns, input).await {
                Event::News => heard_ns = uring::now(),
                Event::Writable => {}
                Event::Gone => {
                    let gone = Fault::Gone(io::ErrorKind::ConnectionReset.into());
                    return self.give_up(call, open, &mut reply, gone, out);
                }
                Event::Late if full => {
                    let gone = Fault::Gone(io::ErrorKind::TimedOut.into());
                    return self.give_up(call, open, &mut reply, gone, out);
                }
                Event::Late => {
                    if self.has_time_left(&call, &reply, heard_ns) {
                        continue;
                    }
                    return self.overdue(call, open, &mut reply, out);
                }
            }
        }
    }

    /// Waits for whatever comes first. `full`: the edge holds all it may; only the client can help.
    async fn event(
        &self,
        call: &Call,
        reply: &Reply,
        full: bool,
        heard_ns: u64,
        input: &mut Input,
    ) -> Event {
        if full {
            Ring::arm(&self.deadline, uring::now(), self.ring.times.write_ns);
        } else {
            let from_ns = if reply.has_head() {
                heard_ns
            } else {
                call.claimed_ns(uring::now()).unwrap_or(call.submitted_ns)
            };
            Ring::arm(&self.deadline, from_ns, call.app().request_ns);
        }
        let mut writable: Option<Writable<'_>> = reply.blocked.then(|| self.socket.writable());
        poll_fn(|cx| {
            if !full && call.poll_news(cx).is_ready() {
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

    /// The deadline fired; it was armed by what was known then. Has the request been claimed since?
    fn has_time_left(&self, call: &Call, reply: &Reply, heard_ns: u64) -> bool {
        let now_ns = uring::now();
        let from_ns = if reply.has_head() {
            heard_ns
        } else {
            call.claimed_ns(now_ns).unwrap_or(call.submitted_ns)
        };
        from_ns.saturating_add(call.app().request_ns) > now_ns
    }

    /// The answer is complete: frees the worker, then sees to the client.
    async fn finish(
        &mut self,
        mut call: Call,
        open: Open,
        reply: &Reply,
        out: &mut Output,
    ) -> Ended {
        let served = call.settle(uring::now());
        if reply.excess {
            self.ring.log(
                LogLevel::Warning,
                format_args!(
                    "app {}: more body than its head allows was dropped, {}",
                    call.app().name,
                    Named(&open)
                ),
            );
        }
        let flushed = self.flush(out).await;
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
            self.ring.times.write_ns,
        )
        .await
        .map_err(Fault::Gone)?;
        reply.end_file(out);
        Ok(())
    }
}
