//! Answers that fail: late, broken, or without anybody left to take them. What the client is told, who else hears of it.
//!
//! Invariant: a call that comes in here is given back.

use super::Connection;
use super::exchange::Ended;
use super::output::Output;
use super::reply::{Fault, Reply};
use super::request::Open;
use crate::app::{Call, Served};
use crate::mailbox::FromRing;
use config::LogLevel;
use shm::WorkerId;
use std::rc::Rc;

/// nginx's code for a client that left before its answer.
const CLIENT_GONE: u16 = 499;

impl Connection {
    /// The app took too long.
    #[cold]
    pub(super) fn overdue(
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
    pub(super) fn give_up(
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
