//! One client connection, HTTP/1.1: from its first byte to its close.
//!
//! At rest it is a small task: a socket, an armed receive, a deadline. What can be answered from memory is answered on
//! the spot, several pipelined requests in one send; everything that has to wait (a body, an app, a slow client, a cold file)
//! is boxed for as long as it lasts. Invariants: answers leave in the order of their requests; no receive buffer is held
//! across a wait of unknown length; every wait has a deadline, and every buffer a bound.
//!
//! Floors, ground first: `input`, `output`, `record` | `request`, `submission` (one head: route it, answer it or say
//! what it needs) | `upload`, `reply` | `handover`, `failure`, `exchange`, `busy` | this file.

mod busy;
mod exchange;
mod failure;
mod handover;
mod input;
mod output;
mod record;
mod reply;
mod request;
mod submission;
mod upload;

#[cfg(test)]
mod tests;

pub use record::Record;

use crate::ring::Ring;
use input::Input;
use output::Output;
use request::Step;
use std::cell::OnceCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use uring::net::{RecvBuf, Socket};
use uring::time::{Deadline, within};

/// Answers that may gather before they are sent: beyond it the client has to take some first.
const OUTPUT_MAX_BYTES: usize = 256 * 1024;

/// Where a connection came in; shared by all of a listener.
#[derive(Debug)]
pub struct Entrance {
    /// SERVER_NAME for requests without a host.
    pub server_name: String,
    /// SERVER_PORT; 0 for a unix socket.
    pub server_port: u16,
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
            },
            config::Address::Unix(_) => Entrance {
                server_name: "localhost".into(),
                server_port: 0,
            },
        }
    }
}

pub struct Connection {
    ring: Rc<Ring>,
    entrance: Rc<Entrance>,
    socket: Socket,
    deadline: Deadline,
    /// As [`Connection::peer`] found it.
    peer: OnceCell<Option<SocketAddr>>,
    /// First byte of the request in work, ring time.
    started_ns: u64,
    /// The first request has come: from now on the connection rests by the keep-alive time.
    begun: bool,
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Waits for the next request.
    Rest,
    /// Closes.
    Close,
    /// Closes, but the client may be sending still: reading on for a while keeps the kernel from resetting the connection
    /// before the answer is read (RFC 9112 9.6).
    Linger,
}

enum Turn<'a> {
    Now(After),
    Busy(Pin<Box<dyn Future<Output = After> + 'a>>),
}

/// Serves a connection to its end. The caller has counted it (`Ring::admit`).
///
/// Not an `async fn`: that would keep its arguments beside the connection made of them, for as long as it lives.
pub fn serve(
    ring: Rc<Ring>,
    entrance: Rc<Entrance>,
    socket: Socket,
) -> impl Future<Output = ()> + 'static {
    let deadline = Deadline::new();
    let mut connection = Connection {
        ring,
        entrance,
        socket,
        deadline,
        peer: OnceCell::new(),
        started_ns: 0,
        begun: false,
    };
    if connection.ring.access.borrow().is_on() {
        // Every line names the client, also one that has reset the connection by then.
        connection.peer();
    }
    async move {
        while let Some(chunk) = connection.rest().await {
            let after = match connection.turn(chunk) {
                Turn::Now(after) => after,
                Turn::Busy(work) => work.await,
            };
            match after {
                After::Rest => {}
                After::Close => break,
                After::Linger => {
                    Box::pin(connection.linger()).await;
                    break;
                }
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
        *self.peer.get_or_init(|| self.socket.peer().ok().flatten())
    }

    /// Waits for a request's first bytes; `None`: the connection is over. A client that never speaks is closed without a word.
    async fn rest(&mut self) -> Option<RecvBuf> {
        let ns = if self.begun {
            self.ring.times.idle_ns
        } else {
            self.ring.times.header_ns
        };
        // A first request has mostly come with the connection (the listener defers accepting until there is data).
        if !self.begun
            && let Poll::Ready(first) = self.socket.recv_now()
        {
            self.begun = true;
            self.started_ns = uring::now();
            return first.and_then(Result::ok);
        }
        Ring::arm(&self.deadline, uring::now(), ns);
        let chunk = poll_fn(|cx| match self.socket.poll_recv(cx) {
            Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Some(chunk)),
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending if self.ring.is_draining() => Poll::Ready(None),
            Poll::Pending => self.deadline.poll_expired(cx).map(|()| None),
        })
        .await;
        self.begun = true;
        self.started_ns = uring::now();
        chunk
    }

    /// Answers at once what can be answered at once.
    fn turn(&mut self, chunk: RecvBuf) -> Turn<'_> {
        self.received(&chunk);
        let mut input = Input::of(chunk);
        let mut out = Output::new(self.ring.take_buffer());
        let step = self.step(&mut input, &mut out);
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
                    Ok(false) => Turn::Busy(Box::pin(self.busy(input, out, step))),
                    Err(_) => Turn::Now(After::Close),
                }
            }
            step => Turn::Busy(Box::pin(self.busy(input, out, step))),
        }
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
        Ring::arm(&self.deadline, uring::now(), self.ring.times.write_ns);
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
            if left == 0 || self.ring.is_draining() {
                break;
            }
        }
    }
}
