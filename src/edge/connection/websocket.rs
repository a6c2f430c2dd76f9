//! A connection that has become a WebSocket: between client and app until either closes, leaves or dies.
//!
//! At rest it holds no buffer: a socket, a slot in the exchange, the state of both directions. Invariants: whoever ends it, the
//! other side is told, the client by a close frame (unless it is gone), the app by a `Disconnect` event; back-pressure reaches
//! through in both directions (an app that lags stops the receiving, a client that lags stops the pulling); every phase has a
//! deadline but the resting one, which has the pulse.
//!
//! Floors: `pulse` | `inward` (client to app), `outward` (app to client) | this file.

mod inward;
mod outward;
mod pulse;

use super::input::Input;
use super::output::Output;
use super::request::Open;
use super::{After, Connection};
use crate::app::{Call, Served};
use crate::ring::{Ring, nanoseconds};
use config::WebSocketOptions;
use inward::Rest;
use proto::websocket::frame::Opcode;
use proto::websocket::handshake::Offer;
use proto::websocket::writer::{append_close, append_control};
use proto::websocket::{Reader, Writer, close};
use pulse::{Beat, Pulse};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use uring::net::Writable;

/// How long the client's close frame is waited for after ours.
const CLOSE_NS: u64 = 10_000_000_000;
/// Received and not looked at yet.
const INPUT_MAX_BYTES: usize = 64 * 1024;

pub struct Session {
    call: Call,
    open: Open,
    /// How the app fared, once it is through or given up: the call is not touched any more.
    served: Option<Served>,
    reader: Reader,
    writer: Writer,
    input: Input,
    out: Output,
    /// Read, and not in the exchange yet for want of room.
    rest: Rest,
    phase: Phase,
    pulse: Pulse,
    /// The app has been told of the end.
    told: bool,
    /// The socket takes nothing at the moment.
    blocked: bool,
    /// The client last took something, or had nothing to take.
    moved_ns: u64,
    /// Payload of the app's messages.
    body_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame is out or on its way; the client's is awaited.
    Closing {
        until_ns: u64,
    },
    /// Nothing more is read. When what waits has been sent, the connection ends.
    Over {
        linger: bool,
    },
}

enum Event {
    /// The app has said something, or the thread drains.
    News,
    Input,
    Writable,
    /// The client has ended or reset the connection.
    Gone,
    Late,
}

impl Session {
    /// From the moment the app has accepted; the accepting head waits in `out`.
    pub(super) fn new(
        call: Call,
        open: Open,
        offer: Option<Box<Offer>>,
        options: &WebSocketOptions,
        input: &mut Input,
        out: &mut Output,
    ) -> Session {
        input.own();
        let now_ns = uring::now();
        let deflate = offer.and_then(|offer| offer.deflate);
        let interval_ns = nanoseconds(options.ping_interval_ms);
        let timeout_ns = nanoseconds(options.ping_timeout_ms);
        Session {
            call,
            open,
            served: None,
            reader: Reader::new(options.max_message_bytes, deflate),
            writer: Writer::new(deflate),
            input: std::mem::take(input),
            out: std::mem::take(out),
            rest: Rest::default(),
            phase: Phase::Open,
            pulse: Pulse::new(interval_ns, timeout_ns, now_ns),
            told: false,
            blocked: false,
            moved_ns: now_ns,
            body_bytes: 0,
        }
    }

    /// Serves it to its end.
    pub(super) async fn run(mut self: Box<Self>, connection: &Connection) -> After {
        let app = self.call.app().index;
        let stats = &connection.ring.stats.apps[app];
        stats.websockets.add(1);
        stats.websockets_open.add(1);
        let after = self.talk(connection).await;
        connection.ring.stats.apps[app].websockets_open.sub(1);
        let served = self.let_app_go();
        let name = &self.call.app().name;
        connection.close_request(self.open, 101, self.body_bytes, Some((name, served)));
        after
    }

    async fn talk(&mut self, connection: &Connection) -> After {
        loop {
            if self.phase == Phase::Open && connection.ring.ends_sockets() {
                self.shut(close::RESTART, "the server restarts");
            }
            let full = self.pull(connection);
            self.take_in(&connection.ring);
            let was_blocked = self.blocked;
            match self.out.try_flush(&connection.socket) {
                Ok(all) => self.blocked = !all,
                Err(_) => return self.gone(),
            }
            if let Phase::Over { linger } = self.phase
                && !self.blocked
            {
                return if linger { After::Linger } else { After::Close };
            }
            if self.blocked && !was_blocked {
                self.moved_ns = uring::now();
            }
            if full && !self.blocked {
                continue;
            }
            self.give_up_buffers(&connection.ring);
            match self.event(connection, full).await {
                Event::News => {}
                Event::Input => self.pulse.handle_sign(),
                Event::Writable => self.moved_ns = uring::now(),
                Event::Gone => return self.gone(),
                Event::Late => {
                    let now_ns = uring::now();
                    let waits_for_close =
                        matches!(self.phase, Phase::Closing { until_ns } if until_ns <= now_ns);
                    if waits_for_close || self.blocked && self.stalled_ns(connection) <= now_ns {
                        return self.gone();
                    }
                    self.beat(now_ns);
                }
            }
            self.out.ensure(|| connection.ring.take_buffer());
        }
    }

    /// The client left without a word, or will not come back.
    fn gone(&mut self) -> After {
        self.tell(close::ABNORMAL, "");
        After::Close
    }

    /// Closes from this side, for a reason that is not the app's.
    fn shut(&mut self, code: u16, reason: &str) {
        self.say_close(code, reason);
        self.tell(code, reason);
    }

    /// Sends our close frame.
    fn say_close(&mut self, code: u16, reason: &str) {
        if self.phase == Phase::Open {
            append_close(self.out.buffer(), code, reason);
            let until_ns = uring::now().saturating_add(CLOSE_NS);
            self.phase = Phase::Closing { until_ns };
        }
    }

    /// Tells the app that it is over.
    fn tell(&mut self, code: u16, reason: &str) {
        if self.served.is_none()
            && !std::mem::replace(&mut self.told, true)
            && !self.call.disconnect(code, reason)
        {
            // There is no room for the event: the cancellation says so.
            self.let_app_go();
        }
    }

    /// The end of the call, whatever the app is at.
    fn let_app_go(&mut self) -> Served {
        if let Some(served) = self.served {
            return served;
        }
        let served = self.call.served(uring::now());
        self.call.cancel();
        self.served = Some(served);
        served
    }

    fn beat(&mut self, now_ns: u64) {
        if self.phase != Phase::Open {
            return;
        }
        match self.pulse.beat(now_ns) {
            Beat::Nothing => {}
            Beat::Ping(payload) => append_control(self.out.buffer(), Opcode::Ping, &payload),
            Beat::Dead => self.shut(close::INTERNAL, "keepalive ping timeout"),
        }
    }

    // Waiting.

    /// More is to be received now.
    fn wants(&self) -> bool {
        !matches!(self.phase, Phase::Over { .. })
            && self.rest.is_empty()
            && self.input.len() < INPUT_MAX_BYTES
    }

    fn stalled_ns(&self, connection: &Connection) -> u64 {
        self.moved_ns
            .saturating_add(connection.ring.times().write_ns)
    }

    /// When the wait ends by itself; `u64::MAX`: never.
    fn due_ns(&self, connection: &Connection) -> u64 {
        let stalled_ns = if self.blocked {
            self.stalled_ns(connection)
        } else {
            u64::MAX
        };
        let phase_ns = match self.phase {
            Phase::Closing { until_ns } => until_ns,
            // While the app lags nothing is received, so nothing can be missed.
            Phase::Open if self.wants() && !self.blocked => self.pulse.due_ns(),
            Phase::Open | Phase::Over { .. } => u64::MAX,
        };
        stalled_ns.min(phase_ns)
    }

    /// Waits for whatever comes first. `full`: the edge holds all it may; only the client can help.
    async fn event(&mut self, connection: &Connection, full: bool) -> Event {
        Ring::arm(&connection.deadline, 0, self.due_ns(connection));
        let (socket, deadline) = (&connection.socket, &connection.deadline);
        let mut writable: Option<Writable<'_>> = self.blocked.then(|| socket.writable());
        poll_fn(|cx| {
            if !full && self.served.is_none() && self.call.poll_news(cx).is_ready() {
                return Poll::Ready(Event::News);
            }
            if self.phase == Phase::Open && connection.ring.ends_sockets() {
                return Poll::Ready(Event::News);
            }
            if let Some(writable) = &mut writable
                && Pin::new(writable).poll(cx).is_ready()
            {
                return Poll::Ready(Event::Writable);
            }
            if self.wants() {
                match socket.poll_recv(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        connection.received(&chunk);
                        self.input.push(chunk);
                        return Poll::Ready(Event::Input);
                    }
                    Poll::Ready(_) => return Poll::Ready(Event::Gone),
                    Poll::Pending => {}
                }
            }
            deadline.poll_expired(cx).map(|()| Event::Late)
        })
        .await
    }

    /// A WebSocket at rest holds none.
    fn give_up_buffers(&mut self, ring: &Ring) {
        self.input.own();
        if self.input.is_empty() {
            self.input.clear();
        }
        if self.out.is_empty() {
            ring.give_buffer(std::mem::take(&mut self.out).into_buffer());
        }
    }
}
