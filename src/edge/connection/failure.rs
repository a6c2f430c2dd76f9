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
use crate::ring::Ring;
use config::LogLevel;
use proto::Reject;
use proto::websocket::close;
use shm::WorkerId;
use shm::event::{CODE_LEFT, CODE_TIMEOUT};
use std::rc::Rc;

/// nginx's code for a client that left before its answer.
const CLIENT_GONE: u16 = 499;
/// An event loop that has not turned for so long after it was woken is blocked.
const BLOCKED_NS: u64 = 2_000_000_000;

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
        // Asked before the worker hears of it: it may be through with the request at once.
        let worker = call.worker();
        let turn = worker.and_then(|worker| call.app().turn(worker));
        if turn.is_some() {
            call.disconnect(CODE_TIMEOUT, "");
        }
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
            match turn {
                Some(turn) => self.watch_loop(&call, worker, turn, request),
                None => stuck_at(&self.ring, app, worker, request),
            }
        }
        let (status, detail) = match worker.or(stuck) {
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
                let left_ns = call.request_ns.saturating_sub(served.app_ns);
                let looped = self.say_gone(&call, reply);
                if let Some(worker) = call.cancel()
                    && !looped
                {
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
            Fault::Body(reject) => {
                self.say_gone(&call, reply);
                call.cancel();
                return self.refuse_body(open, reply, reject, out, (&name, served));
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

    /// The body broke its rules while the app had the request already.
    fn refuse_body(
        &mut self,
        mut open: Open,
        reply: &mut Reply,
        reject: Reject,
        out: &mut Output,
        app: (&str, Served),
    ) -> Ended {
        open.manner.keep_alive = false;
        match self.answer_instead(open, reply, reject.status, reject.reason, out, app) {
            Ended::Cut => Ended::Cut,
            _ => Ended::Linger,
        }
    }

    /// Tells a worker with an event loop that nobody wants the answer. True: it has one.
    fn say_gone(&self, call: &Call, reply: &Reply) -> bool {
        let looped = call
            .worker()
            .is_some_and(|worker| call.app().turn(worker).is_some());
        if looped {
            let code = match reply.asks.socket {
                Some(_) => close::ABNORMAL,
                None => CODE_LEFT,
            };
            call.disconnect(code, "");
        }
        looped
    }

    /// A worker with an event loop has been told to give a request up. A loop that has not turned since is blocked, with
    /// everything else that runs on it.
    fn watch_loop(&self, call: &Call, worker: WorkerId, turn: u64, request: String) {
        let (app, ring) = (Rc::clone(call.app()), Rc::clone(&self.ring));
        uring::spawn(async move {
            uring::time::sleep(BLOCKED_NS).await;
            if app.turn(worker) == Some(turn) {
                stuck_at(&ring, app.index, worker, request);
            }
        });
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
                stuck_at(&ring, app.index, worker, request);
            }
        });
    }

    /// Puts a page in the place of an answer of which nothing has left; else breaks it off.
    pub(super) fn answer_instead(
        &mut self,
        mut open: Open,
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
        let mut manner = open.manner;
        manner.keep_alive &= !reply.body_is_far;
        let at = out.position();
        let sent = self.page(status, detail, manner, out);
        self.note_answer(&mut open, out.since(at));
        self.close_request(open, status, sent, Some(app));
        if manner.keep_alive {
            Ended::Stay
        } else {
            Ended::Close
        }
    }
}

fn stuck_at(ring: &Ring, app: usize, worker: WorkerId, request: String) {
    ring.tell(FromRing::WorkerStuck {
        app,
        index: worker.index,
        incarnation: worker.incarnation,
        request,
    });
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
