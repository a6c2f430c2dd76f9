//! One client connection, HTTP/1.1: from its first byte to its close.
//!
//! At rest it is a small task: a socket, an armed receive, a deadline. What can be answered from memory is answered on
//! the spot, several pipelined requests in one send; everything that has to wait (a body, an app, a slow client, a cold file)
//! is boxed for as long as it lasts. Invariants: answers leave in the order of their requests; no receive buffer is held
//! across a wait of unknown length; every wait has a deadline, and every buffer a bound.
//!
//! Floors, ground first: `input`, `output`, `peer` | `record` | `again`, `request`, `submission` (one head: route it, answer it or say
//! what it needs) | `source`, `upload`, `stream_body`, `reply` | `handover`, `failure`, `websocket`, `exchange`, `busy`,
//! `proxied` (the PROXY header before the first request) | this file.

mod again;
mod busy;
mod exchange;
mod failure;
mod handover;
mod input;
mod output;
mod peer;
mod proxied;
mod record;
mod reply;
mod request;
mod source;
mod stream_body;
mod submission;
mod upload;
mod websocket;

#[cfg(test)]
mod tests;

pub use again::Memory;
pub use record::Record;

use crate::files;
use crate::ring::Ring;
use input::Input;
use output::Output;
use peer::Peer;
use request::{Open, Step};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use uring::net::{RecvBuf, Socket};
use uring::time::{Deadline, within};
use websocket::Session;

/// Answers that may gather before they are sent: beyond it the client has to take some first.
const OUTPUT_MAX_BYTES: usize = 256 * 1024;
/// Receives of one connection that are answered before others have a turn: one that pipelines without end has no more of it.
const RECEIVES_PER_TURN: u32 = 4;

/// Where a connection came in; shared by all of a listener.
#[derive(Debug)]
pub struct Entrance {
    /// SERVER_NAME for requests without a host.
    pub server_name: String,
    /// SERVER_PORT; 0 for a unix socket.
    pub server_port: u16,
    /// The address or path itself: ASGI's `server`.
    pub listener: String,
    /// Nothing more is accepted here.
    closed: Cell<bool>,
}

impl Entrance {
    pub fn new(address: &config::Address) -> Entrance {
        match address {
            config::Address::Tcp(address) => Entrance {
                server_name: match address.ip() {
                    ip if ip.is_unspecified() => "localhost".into(),
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                },
                server_port: address.port(),
                listener: address.ip().to_string(),
                closed: Cell::new(false),
            },
            config::Address::Unix(path) => Entrance {
                server_name: "localhost".into(),
                server_port: 0,
                listener: path.display().to_string(),
                closed: Cell::new(false),
            },
        }
    }

    /// Connections that are waiting already are taken in, and those that have come stay. The caller wakes whoever accepts.
    pub fn close(&self) {
        self.closed.set(true);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

pub struct Connection {
    ring: Rc<Ring>,
    entrance: Rc<Entrance>,
    socket: Socket,
    deadline: Deadline,
    peer: Peer,
    /// First byte of the request in work, ring time.
    started_ns: u64,
    age: Age,
}

/// What the first request has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Not looked for yet.
    New,
    /// It did not come with the connection.
    Silent,
    /// It has come: from now on the connection rests by the keep-alive time.
    Begun,
}

/// What a connection does next.
enum After {
    /// Waits for the next request.
    Rest,
    /// Closes.
    Close,
    /// Closes, but the client may be sending still: reading on for a while keeps the kernel from resetting the connection
    /// before the answer is read (RFC 9112 9.6).
    Linger,
    /// Speaks HTTP no more.
    Socket(Box<Session>),
}

enum Turn {
    Now(After),
    /// There is something to wait for.
    Busy(Input, Output, Step),
}

/// Serves a connection to its end. The caller has counted it (`Ring::admit`).
pub fn serve(ring: Rc<Ring>, entrance: Rc<Entrance>, socket: Socket) -> Serve {
    let peer = match ring.site().proxy {
        None => Peer::default(),
        Some(_) => Peer::awaited(),
    };
    let connection = Connection {
        ring,
        entrance,
        socket,
        deadline: Deadline::new(),
        peer,
        started_ns: 0,
        age: Age::New,
    };
    if connection.ring.access.borrow().is_on() {
        // Every line names the client, also one that has reset the connection by then.
        connection.peer();
    }
    Serve(Life::Rest(connection))
}

// With the allocator's own 16 bytes, what an idle connection holds beside its entries in the executor.
const _: () = assert!(size_of::<Serve>() <= 64);

/// Future of [`serve`]: written by hand, because this is what an idle connection consists of, and an `async` block would
/// keep room for whatever it ever awaits (kernel-notes/idle-connections.md).
pub struct Serve(Life);

enum Life {
    Rest(Connection),
    Busy(Pin<Box<dyn Future<Output = Next>>>),
    Over,
}

/// What follows the work.
enum Next {
    Rest(Connection),
    Socket(Connection, Box<Session>),
    Over,
}

impl Future for Serve {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Each pass consumes a receive, or ends in a wait.
        let mut receives = 0;
        loop {
            match &mut self.0 {
                Life::Rest(connection) => {
                    if receives == RECEIVES_PER_TURN {
                        return pin!(uring::yield_now()).poll(cx);
                    }
                    receives += 1;
                    let turn = match ready!(connection.poll_rest(cx)) {
                        Some(chunk) => connection.turn(chunk),
                        None => Turn::Now(After::Close),
                    };
                    match turn {
                        Turn::Now(After::Rest) => connection.rest(),
                        Turn::Now(_) => self.0 = Life::Over,
                        Turn::Busy(input, out, step) => {
                            let Life::Rest(connection) = std::mem::replace(&mut self.0, Life::Over)
                            else {
                                unreachable!("just looked at");
                            };
                            self.0 = Life::Busy(Box::pin(connection.work(input, out, step)));
                        }
                    }
                }
                Life::Busy(work) => match ready!(work.as_mut().poll(cx)) {
                    Next::Rest(mut connection) => {
                        connection.rest();
                        self.0 = Life::Rest(connection);
                    }
                    Next::Socket(connection, session) => {
                        self.0 = Life::Busy(Box::pin(connection.work_as_socket(session)));
                    }
                    Next::Over => self.0 = Life::Over,
                },
                Life::Over => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ring.discharge();
    }
}

impl Connection {
    /// The client's address, asked for when it is first needed; `None` on a unix socket, and for a client that had gone by then.
    fn peer(&self) -> Option<SocketAddr> {
        self.peer.address(&self.socket)
    }

    /// Begins to wait for a request.
    fn rest(&mut self) {
        let ns = if self.age == Age::Begun {
            self.ring.times().idle_ns
        } else {
            self.ring.times().header_ns
        };
        Ring::arm(&self.deadline, uring::now(), ns);
    }

    /// A request's first bytes; `None`: the connection is over. A client that never speaks is closed without a word.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<RecvBuf>> {
        if self.age == Age::New {
            self.age = Age::Silent;
            // The first request has mostly come with the connection, because the listener defers accepting until there is
            // data: nothing is armed for a connection of one request.
            if let Poll::Ready(first) = self.socket.recv_now() {
                self.begin();
                return Poll::Ready(first.and_then(Result::ok));
            }
            self.rest();
        }
        let chunk = match self.socket.poll_recv(cx) {
            Poll::Ready(Some(Ok(chunk))) => Some(chunk),
            Poll::Ready(_) => None,
            Poll::Pending if self.ring.ends_rest() => None,
            Poll::Pending => return self.deadline.poll_expired(cx).map(|()| None),
        };
        self.begin();
        Poll::Ready(chunk)
    }

    fn begin(&mut self) {
        self.age = Age::Begun;
        self.started_ns = uring::now();
    }

    /// Answers at once what can be answered at once.
    fn turn(&mut self, chunk: RecvBuf) -> Turn {
        self.received(&chunk);
        let mut input = Input::of(chunk);
        let mut out = Output::new(self.ring.take_buffer());
        let mut step = self.step(&mut input, &mut out);
        while let Step::File { open, status, body } = step {
            step = match self.try_file(open, status, body, &mut out) {
                Ok(Some(last)) if last => Step::Last {
                    linger: !input.is_empty(),
                },
                Ok(Some(_)) => self.step(&mut input, &mut out),
                Ok(None) => return Turn::Now(After::Close),
                Err(file) => return Turn::Busy(input, out, file),
            };
        }
        match step {
            Step::Dry | Step::Last { linger: false } => {
                let last = matches!(step, Step::Last { .. });
                let flushed = if last {
                    out.try_flush_last(&self.socket)
                } else {
                    out.try_flush(&self.socket)
                };
                match flushed {
                    Ok(true) => {
                        self.ring.give_buffer(out.into_buffer());
                        Turn::Now(if last { After::Close } else { After::Rest })
                    }
                    Ok(false) => Turn::Busy(input, out, step),
                    Err(_) => Turn::Now(After::Close),
                }
            }
            step => Turn::Busy(input, out, step),
        }
    }

    /// Sends a file whose head waits in `out`, if all of it leaves at once: then the box of a busy connection is not needed, which would
    /// cost more than the calls. Some: it has left, and true if it was the connection's last answer; `None`: the connection has failed.
    fn try_file(
        &mut self,
        open: Open,
        status: u16,
        mut body: files::Body,
        out: &mut Output,
    ) -> Result<Option<bool>, Step> {
        let sent = body.try_send(&self.socket, out.waiting());
        if let Ok((head, false)) = sent {
            out.advance(head);
            return Err(Step::File { open, status, body });
        }
        out.forget();
        self.ring.stats.static_requests.add(1);
        let keep_alive = open.manner.keep_alive;
        let length = if sent.is_ok() { body.length() } else { 0 };
        self.close_request(open, status, length, None);
        Ok(sent.is_ok().then_some(!keep_alive))
    }

    /// What cannot be done at once, and what has to follow it.
    ///
    /// This future is allocated for every request that an app answers: in an `async fn` it would hold each argument twice.
    #[expect(clippy::manual_async_fn, reason = "half the size, as said above")]
    fn work(mut self, mut input: Input, mut out: Output, step: Step) -> impl Future<Output = Next> {
        async move {
            let after = self.busy(&mut input, &mut out, step).await;
            drop((input, out));
            match after {
                After::Rest => Next::Rest(self),
                After::Socket(session) => Next::Socket(self, session),
                After::Close => Next::Over,
                After::Linger => {
                    self.linger().await;
                    Next::Over
                }
            }
        }
    }

    /// The rest of its life, in a box of its own: a WebSocket at rest does not keep the room of what came before it.
    async fn work_as_socket(mut self, session: Box<Session>) -> Next {
        if let After::Linger = session.run(&self).await {
            self.linger().await;
        }
        Next::Over
    }

    fn received(&self, chunk: &RecvBuf) {
        self.ring.stats.bytes_in.add(chunk.len() as u64);
    }

    /// Sends everything that waits.
    async fn flush(&self, out: &mut Output) -> io::Result<()> {
        while !out.try_flush(&self.socket)? {
            self.room().await?;
        }
        Ok(())
    }

    /// As `flush`, before the connection is closed.
    async fn flush_last(&self, out: &mut Output) -> io::Result<()> {
        while !out.try_flush_last(&self.socket)? {
            self.room().await?;
        }
        Ok(())
    }

    /// Waits until the client has taken some of what it was sent.
    async fn room(&self) -> io::Result<()> {
        Ring::arm(&self.deadline, uring::now(), self.ring.times().write_ns);
        within(&self.deadline, self.socket.writable())
            .await
            .ok_or(io::ErrorKind::TimedOut)?
    }

    /// Says that no more comes, and reads what the client still sends, for a bounded time and a bounded amount.
    async fn linger(&mut self) {
        const LINGER_NS: u64 = 2_000_000_000;
        const LINGER_BYTES: usize = 4 * 1024 * 1024;
        if self.socket.shutdown(uring::net::Shutdown::Write).is_err() {
            return;
        }
        self.deadline.set_after(LINGER_NS);
        let mut left = LINGER_BYTES;
        while let Some(Some(Ok(chunk))) = within(&self.deadline, self.socket.recv()).await {
            left = left.saturating_sub(chunk.len());
            if left == 0 || self.ring.ends_rest() {
                break;
            }
        }
    }
}
