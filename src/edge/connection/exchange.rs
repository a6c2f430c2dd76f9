//! A request at an app: waiting for the worker, the client and the clock at once, and passing the answer on.
//!
//! Invariants: the worker is freed as soon as its answer has been taken in, however slow the client; a client that leaves
//! cancels its request (queued: Python never sees it; running: the worker is told); the connection ends without a
//! terminator when an answer breaks off, never with one.

use super::Connection;
use super::input::Input;
use super::output::Output;
use super::reply::{Fault, Pull, Reply};
use super::request::Open;
use crate::app::{Call, Served};
use crate::files;
use crate::mailbox::FromRing;
use crate::ring::Ring;
use config::LogLevel;
use shm::WorkerId;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use uring::fs::{File, Kind};
use uring::net::Writable;

/// nginx's code for a client that left before its answer.
const CLIENT_GONE: u16 = 499;
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

    /// The app took too long.
    #[cold]
    fn overdue(
        &mut self,
        mut call: Call,
        open: Open,
        reply: &mut Reply,
        out: &mut Output,
    ) -> Ended {
        let app = call.app().index;
        let name = call.app().name.clone();
        self.ring.stats.apps[app].timed_out.add(1);
        let served = call.served(uring::now());
        let stuck = call.cancel();
        if let Some(worker) = stuck {
            let request = Named(&open).to_string();
            self.ring.log(
                LogLevel::Error,
                format_args!(
                    "app {name}: worker {} ran over the time limit, {request}",
                    worker.index
                ),
            );
            let (index, incarnation) = (worker.index, worker.incarnation);
            self.ring.tell(FromRing::WorkerStuck {
                app,
                index,
                incarnation,
                request,
            });
        }
        let (status, detail) = match stuck {
            Some(_) => (504, "the application took too long"),
            None => (503, "the request waited too long for a free worker"),
        };
        self.answer_instead(open, reply, status, detail, out, (&name, served))
    }

    /// The answer cannot go on.
    #[cold]
    fn give_up(
        &mut self,
        mut call: Call,
        open: Open,
        reply: &mut Reply,
        fault: Fault,
        out: &mut Output,
    ) -> Ended {
        let app = call.app().index;
        let name = call.app().name.clone();
        let now_ns = uring::now();
        let served = call.served(now_ns);
        match fault {
            Fault::Gone(_) => {
                let left_ns = call.app().request_ns.saturating_sub(served.app_ns);
                if let Some(worker) = call.cancel() {
                    self.watch(&call, worker, left_ns, &open);
                }
                self.ring.stats.apps[app].abandoned.add(1);
                let status = if reply.has_head() && reply.status != 0 {
                    reply.status
                } else {
                    CLIENT_GONE
                };
                self.close_request(open, status, reply.body_bytes, Some((&name, served)));
                return Ended::Cut;
            }
            Fault::Lost | Fault::Aborted | Fault::Short { .. } => {
                call.settle(now_ns);
            }
            Fault::Corrupt(_) | Fault::Order(_) | Fault::Head(_) => {
                call.cancel();
            }
        }
        self.ring.stats.apps[app].broken.add(1);
        let worker = served
            .worker
            .map_or_else(String::new, |worker| format!(" worker {worker}"));
        self.ring.log(
            LogLevel::Error,
            format_args!("app {name}{worker}: {fault}, {}", Named(&open)),
        );
        self.answer_instead(
            open,
            reply,
            502,
            "the application gave no valid answer",
            out,
            (&name, served),
        )
    }

    /// The client of a running request has left. The worker has been told; if it is still at it when the request's time is
    /// over, nobody else would notice.
    fn watch(&self, call: &Call, worker: WorkerId, left_ns: u64, open: &Open) {
        let (app, ring) = (Rc::clone(call.app()), Rc::clone(&self.ring));
        let errand = app.errand(worker);
        if left_ns == u64::MAX || errand.is_none() {
            return;
        }
        let request = Named(open).to_string();
        uring::spawn(async move {
            uring::time::sleep(left_ns).await;
            if app.errand(worker) == errand {
                let (app, index, incarnation) = (app.index, worker.index, worker.incarnation);
                ring.tell(FromRing::WorkerStuck {
                    app,
                    index,
                    incarnation,
                    request,
                });
            }
        });
    }

    /// Puts a page in the place of an answer of which nothing has left; else breaks it off.
    pub(super) fn answer_instead(
        &mut self,
        open: Open,
        reply: &mut Reply,
        status: u16,
        detail: &str,
        out: &mut Output,
        app: (&str, Served),
    ) -> Ended {
        if !reply.take_back(out) {
            self.close_request(open, status, reply.body_bytes, Some(app));
            return Ended::Cut;
        }
        let manner = open.manner;
        let sent = self.page(status, detail, manner, out);
        self.close_request(open, status, sent, Some(app));
        if manner.keep_alive {
            Ended::Stay
        } else {
            Ended::Close
        }
    }
}

/// A request's name in messages: `GET /path` of its request line.
pub(super) struct Named<'a>(pub(super) &'a Open);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.0.record.line();
        let end = memchr::memrchr(b' ', line).unwrap_or(line.len());
        f.write_str(&String::from_utf8_lossy(&line[..end]))
    }
}
