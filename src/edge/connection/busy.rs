//! A connection with something to wait for: the boxed part of its life, from the first wait to the next rest.

use super::exchange::{Ended, Extras};
use super::input::Input;
use super::output::Output;
use super::request::{Open, Step};
use super::stream_body::{DRAIN_BYTES_MAX, StreamBody};
use super::submission::Upload;
use super::upload::Failed;
use super::{After, Connection, RECEIVES_PER_TURN};
use crate::app::{Call, Served};
use crate::files;
use crate::respond::Manner;
use crate::ring::Ring;
use proto::Reject;
use proto::http1::request::worth_parsing;
use std::future::Future;
use uring::time::within;

/// What the client is told when its head does not end in time.
const HEAD_TOO_SLOW: Reject = Reject::new(408, "the request head took too long");

impl Connection {
    /// Goes on from `step` until everything received is answered and sent.
    ///
    /// What is seldom and large has a box of its own, so that an app's plain answer, which is neither, fits what the allocator keeps at hand.
    #[expect(clippy::manual_async_fn, reason = "smaller: see Connection::work")]
    pub(super) fn busy(
        &mut self,
        input: &mut Input,
        out: &mut Output,
        mut step: Step,
    ) -> impl Future<Output = After> {
        async move {
            self.ring.stats.connections_active.add(1);
            let mut receives = 0;
            let after = loop {
                let ended = match step {
                    Step::Dry => match self.flush(out).await {
                        Ok(()) => break After::Rest,
                        Err(_) => break After::Close,
                    },
                    Step::Last { linger } => match self.flush_last(out).await {
                        Ok(()) if linger => break After::Linger,
                        _ => break After::Close,
                    },
                    Step::Full => match self.flush(out).await {
                        Ok(()) => {
                            // So much for this turn, though the client takes more.
                            uring::yield_now().await;
                            Ended::Stay
                        }
                        Err(_) => Ended::Cut,
                    },
                    Step::Partial => {
                        receives += 1;
                        if receives % RECEIVES_PER_TURN == 0 {
                            uring::yield_now().await;
                        }
                        self.more_head(input, out).await
                    }
                    Step::File { open, status, body } => {
                        Box::pin(self.send_body(open, status, body, out, None)).await
                    }
                    Step::Cold { open, cold } => {
                        Box::pin(self.look_for_file(open, *cold, input, out)).await
                    }
                    Step::Call { open, call } => {
                        let extras = Extras::default();
                        self.exchange(call, open, extras, input, out).await
                    }
                    Step::Stream { open, call, body } => {
                        Box::pin(self.stream(call, open, body, input, out)).await
                    }
                    Step::Socket { open, call, offer } => {
                        let extras = Extras {
                            socket: Some(offer),
                            ..Extras::default()
                        };
                        self.exchange(call, open, extras, input, out).await
                    }
                    Step::Upload { open, upload } => {
                        Box::pin(self.upload_then_call(open, &upload, input, out)).await
                    }
                };
                step = match ended {
                    Ended::Stay => self.step(input, out),
                    Ended::Close => Step::Last {
                        linger: !input.is_empty(),
                    },
                    Ended::Linger => Step::Last { linger: true },
                    Ended::Cut => break After::Close,
                    Ended::Socket(session) => break After::Socket(session),
                };
            };
            self.ring.stats.connections_active.sub(1);
            if out.is_empty() {
                self.ring.give_buffer(std::mem::take(out).into_buffer());
            }
            after
        }
    }

    /// Waits for the rest of a head. Its time runs from its first byte.
    async fn more_head(&mut self, input: &mut Input, out: &mut Output) -> Ended {
        if self.flush(out).await.is_err() {
            return Ended::Cut;
        }
        Ring::arm(&self.deadline, self.started_ns, self.ring.times().header_ns);
        let seen = input.len();
        loop {
            match within(&self.deadline, self.socket.recv()).await {
                Some(Some(Ok(chunk))) => {
                    self.received(&chunk);
                    input.push(chunk);
                    input.own();
                    if worth_parsing(input.bytes(), seen, &self.ring.site().limits) {
                        return Ended::Stay;
                    }
                }
                Some(_) => return Ended::Cut,
                None => {
                    self.reject(input.bytes(), HEAD_TOO_SLOW, out);
                    return Ended::Linger;
                }
            }
        }
    }

    /// Sends the body of a static answer whose head waits in `out`.
    pub(super) async fn send_body(
        &mut self,
        open: Open,
        status: u16,
        body: files::Body,
        out: &mut Output,
        app: Option<(&str, Served)>,
    ) -> Ended {
        let sent = match self.flush_before_body(out).await {
            Ok(()) => {
                body.send(&self.socket, out.waiting(), self.ring.times().write_ns)
                    .await
            }
            Err(error) => Err(error),
        };
        out.forget();
        self.ring.stats.static_requests.add(1);
        let keep_alive = open.manner.keep_alive;
        let length = if sent.is_ok() { body.length() } else { 0 };
        self.close_request(open, status, length, app);
        match sent {
            Err(_) => Ended::Cut,
            Ok(()) if keep_alive => Ended::Stay,
            Ok(()) => Ended::Close,
        }
    }

    /// Earlier answers that are more than a head's worth go first.
    async fn flush_before_body(&mut self, out: &mut Output) -> std::io::Result<()> {
        const HEAD_MAX_BYTES: usize = 64 * 1024;
        if out.len() > HEAD_MAX_BYTES {
            self.flush(out).await
        } else {
            Ok(())
        }
    }

    /// Waits for the disk, then answers as if it had been in the cache.
    async fn look_for_file(
        &mut self,
        mut open: Open,
        cold: files::Cold,
        input: &mut Input,
        out: &mut Output,
    ) -> Ended {
        input.own();
        if self.flush(out).await.is_err() {
            return Ended::Cut;
        }
        let ready = cold.wait().await;
        let (site, date, at) = (self.ring.site(), self.ring.date(), out.position());
        let answer = ready.answer(site.common(&date), open.manner, out.buffer());
        self.note_answer(&mut open, out.since(at));
        match answer {
            files::Answer::Whole { status, body_bytes } => {
                let keep_alive = open.manner.keep_alive;
                self.ring.stats.static_requests.add(1);
                self.close_request(open, status, body_bytes, None);
                if keep_alive {
                    Ended::Stay
                } else {
                    Ended::Close
                }
            }
            files::Answer::Body { status, body } => {
                self.send_body(open, status, body, out, None).await
            }
            files::Answer::Cold(_) => Ended::Cut,
        }
    }

    /// An exchange in which the body streams. A body that the app has left is read to its end for the next request's sake, if
    /// that is near.
    async fn stream(
        &mut self,
        call: Call,
        open: Open,
        mut body: Box<StreamBody>,
        input: &mut Input,
        out: &mut Output,
    ) -> Ended {
        let extras = Extras {
            body: Some(&mut body),
            ..Extras::default()
        };
        match self.exchange(call, open, extras, input, out).await {
            Ended::Stay if body.is_complete() => Ended::Stay,
            // The client was told so, or was never asked for the rest.
            Ended::Stay if body.is_far() => Ended::Linger,
            Ended::Stay => self.skip_body(body, input, out).await,
            Ended::Close if body.is_complete() => Ended::Close,
            Ended::Close => Ended::Linger,
            ended => ended,
        }
    }

    async fn skip_body(
        &mut self,
        mut body: Box<StreamBody>,
        input: &mut Input,
        out: &mut Output,
    ) -> Ended {
        if self.flush(out).await.is_err() {
            return Ended::Cut;
        }
        let bytes_max = body.length().saturating_add(DRAIN_BYTES_MAX);
        Ring::arm(&self.deadline, uring::now(), self.ring.times().body_ns);
        loop {
            match body.skip(input) {
                Ok(true) => return Ended::Stay,
                Ok(false) if body.length() > bytes_max => return Ended::Linger,
                Ok(false) => {}
                Err(_) => return Ended::Linger,
            }
            match within(&self.deadline, self.socket.recv()).await {
                Some(Some(Ok(chunk))) => {
                    self.received(&chunk);
                    input.push(chunk);
                }
                Some(_) => return Ended::Cut,
                None => return Ended::Linger,
            }
        }
    }

    async fn upload_then_call(
        &mut self,
        mut open: Open,
        upload: &Upload,
        input: &mut Input,
        out: &mut Output,
    ) -> Ended {
        match self.take_in(upload, open.manner, input, out).await {
            Ok(call) => {
                let extras = Extras::default();
                self.exchange(call, open, extras, input, out).await
            }
            Err(Failed::Gone) => {
                self.close_request(open, 499, 0, None);
                Ended::Cut
            }
            Err(Failed::Answer(status, detail, complete)) => {
                let keep_alive = open.manner.keep_alive && complete;
                let at = out.position();
                let sent = self.page(
                    status,
                    detail,
                    Manner {
                        keep_alive,
                        ..open.manner
                    },
                    out,
                );
                self.note_answer(&mut open, out.since(at));
                self.close_request(open, status, sent, None);
                match (keep_alive, complete) {
                    (true, _) => Ended::Stay,
                    (false, true) => Ended::Close,
                    (false, false) => Ended::Linger,
                }
            }
        }
    }
}
