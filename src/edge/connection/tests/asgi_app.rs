//! An app that speaks ASGI, in the simulation: workers with an event loop, each request a task of its own.

use super::app_site::{AppSite, TICK_NS, head, large};
use super::site::{Peer, SECOND_NS};
use config::Interface;
use control::message::AppState;
use shm::event::{disconnect, read_disconnect};
use shm::request::{Body, FLAG_EXPECT_CONTINUE, FLAG_TE_TRAILERS, FLAG_WEBSOCKET, decode};
use shm::response::{Encoder, HEAD_TRAILERS_FOLLOW};
use shm::{Claim, EventKind, Finish};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use uring::sim::Sim;
use uring::time::sleep;

/// What tasks and loops share.
#[derive(Default)]
pub struct Shared {
    /// `disconnect` events seen: (code, reason); 9999 for a cancellation without one.
    pub gone: RefCell<Vec<(u16, String)>>,
    /// The loops stand still.
    blocked: Cell<bool>,
    /// As after kill -9.
    dead: Cell<bool>,
    tasks: Cell<usize>,
}

pub struct AsgiSite {
    pub app: AppSite,
    pub shared: Rc<Shared>,
}

impl AsgiSite {
    pub fn new(sim: Sim) -> AsgiSite {
        AsgiSite::with(sim, |_| {})
    }

    pub fn with(sim: Sim, change: impl FnOnce(&mut config::Config)) -> AsgiSite {
        let mut site = AsgiSite {
            app: AppSite::with(sim, 0, change),
            shared: Rc::default(),
        };
        for index in 0..2 {
            site.start_worker(index);
        }
        site.app.show(AppState::Ready);
        site
    }

    fn start_worker(&mut self, index: u16) {
        let bell = sys::eventfd::EventFd::new().expect("an eventfd");
        self.app.segment.set_bell(index, bell);
        let (mut seat, _socket) = self.app.seat(index, 1, Interface::Asgi);
        seat.make_looped().expect("a bell");
        let (shared, begun) = (Rc::clone(&self.shared), Rc::clone(&self.app.begun));
        uring::spawn(async move {
            while !seat.should_drain() || shared.tasks.get() > 0 {
                if shared.dead.get() {
                    std::mem::forget(seat);
                    return;
                }
                if !shared.blocked.get() {
                    seat.next_turn();
                    seat.inbox(|_| {});
                    while let Some(claim) = seat.try_claim() {
                        begun.set(begun.get() + 1);
                        shared.tasks.set(shared.tasks.get() + 1);
                        let task = Task {
                            claim: Some(claim),
                            shared: Rc::clone(&shared),
                        };
                        uring::spawn(task.run());
                    }
                }
                sleep(TICK_NS).await;
            }
        });
    }

    pub fn connect(&self) -> Peer {
        self.app.connect()
    }

    /// Nothing is left of any request.
    pub async fn settled(&self) {
        let stats = &self.app.site.ring.stats.apps[0];
        for _ in 0..200 {
            let left = self.shared.tasks.get() + self.app.site.ring.apps[0].in_use();
            if left == 0 && stats.websockets_open.value() == 0 {
                break;
            }
            sleep(SECOND_NS / 10).await;
        }
        assert_eq!(self.shared.tasks.get(), 0, "tasks are left");
        assert_eq!(self.app.site.ring.apps[0].in_use(), 0, "slots are left");
        assert_eq!(
            (stats.in_flight.value(), stats.websockets_open.value()),
            (0, 0)
        );
    }

    /// Every worker is killed, and the edge hears of it.
    pub async fn kill(&self) {
        self.shared.dead.set(true);
        sleep(SECOND_NS).await;
        for index in 0..2 {
            let gone = crate::mailbox::ToRing::WorkerGone {
                app: 0,
                index,
                incarnation: 1,
            };
            self.app.site.mailbox.post(gone);
        }
    }
}

/// What `receive()` returned.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Body(Vec<u8>),
    BodyEnd,
    Text(String),
    Binary(Vec<u8>),
    Disconnect(u16, String),
}

struct Task {
    claim: Option<Claim>,
    shared: Rc<Shared>,
}

impl Task {
    async fn run(mut self) {
        let claim = self.claim.as_ref().expect("a claim");
        let path = decode(claim.request())
            .expect("a request")
            .request
            .path
            .to_vec();
        let finish = if path.starts_with(b"/ws") {
            self.websocket(&path).await
        } else {
            self.http(&path).await
        };
        let shared = Rc::clone(&self.shared);
        if shared.dead.get() {
            std::mem::forget(self.claim.take());
        } else if let Some(claim) = self.claim.take() {
            claim.finish(finish);
        }
        shared.tasks.set(shared.tasks.get() - 1);
    }

    fn claim(&mut self) -> &mut Claim {
        self.claim.as_mut().expect("not finished")
    }

    fn flags(&mut self) -> u16 {
        decode(self.claim().request())
            .expect("a request")
            .request
            .flags
    }

    /// The next event; messages whole.
    async fn receive(&mut self) -> Received {
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            let event = self.claim().next_event(&mut bytes).expect("good events");
            match event {
                Some(EventKind::Body) => return Received::Body(bytes),
                Some(EventKind::BodyEnd) => return Received::BodyEnd,
                Some(EventKind::WsTextEnd) => {
                    return Received::Text(String::from_utf8(bytes).expect("the edge has checked"));
                }
                Some(EventKind::WsBinaryEnd) => return Received::Binary(bytes),
                Some(EventKind::WsTextPart | EventKind::WsBinaryPart) => continue,
                Some(EventKind::Disconnect) => {
                    let (code, reason) = read_disconnect(&bytes[start..]);
                    let reason = String::from_utf8(reason.to_vec()).expect("UTF-8");
                    self.shared.gone.borrow_mut().push((code, reason.clone()));
                    return Received::Disconnect(code, reason);
                }
                None if self.shared.dead.get() => return Received::Disconnect(0, String::new()),
                None if self.claim().cancelled() => {
                    self.shared.gone.borrow_mut().push((9999, String::new()));
                    return Received::Disconnect(9999, String::new());
                }
                None => sleep(TICK_NS).await,
            }
        }
    }

    async fn body(&mut self) -> Result<Vec<u8>, ()> {
        let claim = self.claim();
        let decoded = decode(claim.request()).expect("a request");
        if decoded.body != Body::Stream {
            return Ok(decoded.inline_body().to_vec());
        }
        if decoded.request.flags & FLAG_EXPECT_CONTINUE != 0 {
            claim.want_body().expect("room");
        }
        let mut all = Vec::new();
        loop {
            match self.receive().await {
                Received::Body(bytes) => all.extend(bytes),
                Received::BodyEnd => return Ok(all),
                _ => return Err(()),
            }
        }
    }

    fn start(&mut self, status: u16, headers: &[(&str, &str)]) {
        self.claim()
            .write_head(&head(status, headers))
            .expect("room");
    }

    async fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.claim().cancelled() || self.shared.dead.get() {
                return false;
            }
            let count = self.claim().write_body(bytes);
            bytes = &bytes[count..];
            if count == 0 && !self.claim().want_space() {
                sleep(TICK_NS).await;
            }
        }
        self.claim().flush();
        true
    }

    async fn send(&mut self, binary: bool, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            match self.claim().write_message(binary, rest) {
                Ok(count) if count == rest.len() => break,
                Ok(count) => rest = &rest[count..],
                Err(_) if self.claim().cancelled() || self.shared.dead.get() => return false,
                Err(_) => {
                    self.claim().want_space();
                    sleep(TICK_NS).await;
                }
            }
        }
        self.claim().flush();
        true
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.claim()
            .write_close(&disconnect(code, reason))
            .expect("room");
        self.claim().flush();
    }

    async fn http(&mut self, path: &[u8]) -> Finish {
        let text = ("Content-Type", "text/plain");
        match path {
            b"/echo" => {
                let Ok(body) = self.body().await else {
                    return Finish::Abort;
                };
                self.start(200, &[text, ("Content-Length", &body.len().to_string())]);
                self.write(&body).await;
            }
            // Answers while the body comes.
            b"/pipe" => {
                self.start(200, &[text]);
                loop {
                    match self.receive().await {
                        Received::Body(bytes) => {
                            if !self.write(&bytes).await {
                                return Finish::Abort;
                            }
                        }
                        Received::BodyEnd => break,
                        _ => return Finish::Abort,
                    }
                }
            }
            // Reads nothing for a long time, then all of it.
            b"/lags" => {
                sleep(5 * SECOND_NS).await;
                let length = self.body().await.map_or(0, |body| body.len());
                self.start(200, &[text]);
                self.write(length.to_string().as_bytes()).await;
            }
            // Answers without the body.
            b"/early" => {
                self.start(403, &[("Content-Length", "2")]);
                self.write(b"no").await;
            }
            b"/hints" => {
                for link in ["</a.css>; rel=preload", "</b.js>; rel=preload"] {
                    let hints = head(103, &[("Link", link), ("Content-Length", "9")]);
                    self.claim().write_informational(&hints).expect("room");
                    self.claim().flush();
                    sleep(SECOND_NS / 2).await;
                }
                self.start(200, &[("Content-Length", "2")]);
                let late = head(103, &[("Link", "</late>")]);
                self.claim().write_informational(&late).expect("room");
                self.write(b"ok").await;
            }
            b"/bad-hints" => {
                let hints = head(103, &[("Link", "a\r\nSet-Cookie: b")]);
                self.claim().write_informational(&hints).expect("room");
            }
            b"/trailers" => {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 200, b"").expect("small");
                encoder.header(b"Content-Length", b"4").expect("small");
                encoder.header(b"Trailer", b"Digest").expect("small");
                encoder.flags(HEAD_TRAILERS_FOLLOW);
                encoder.finish();
                self.claim().write_head(&bytes).expect("room");
                self.write(b"body").await;
                let said = if self.flags() & FLAG_TE_TRAILERS != 0 {
                    "yes"
                } else {
                    "no"
                };
                let trailers = head(
                    0,
                    &[("Digest", "abc"), ("Asked", said), ("Content-Length", "7")],
                );
                self.claim().write_trailers(&trailers).expect("room");
            }
            // Server-sent events, for ever.
            b"/events" => {
                self.start(200, &[("Content-Type", "text/event-stream")]);
                for n in 0.. {
                    if !self.write(format!("data: {n}\n\n").as_bytes()).await {
                        break;
                    }
                    for _ in 0..6 {
                        if matches!(self.claim().peek_event(), Ok(Some(_)))
                            || self.claim().cancelled()
                        {
                            break;
                        }
                        sleep(SECOND_NS / 2).await;
                    }
                    if self.claim().cancelled() {
                        self.receive().await;
                        break;
                    }
                }
            }
            b"/large" => {
                self.start(200, &[text]);
                self.write(&large()).await;
            }
            // Waits for the client to leave.
            b"/waits" => while !matches!(self.receive().await, Received::Disconnect(..)) {},
            b"/blocks" => {
                self.shared.blocked.set(true);
                sleep(20 * SECOND_NS).await;
                self.shared.blocked.set(false);
            }
            b"/no-content" => self.start(204, &[]),
            b"/raises" => return Finish::Abort,
            b"/ws-like" => self.start(200, &[]),
            other => panic!("no such path: {}", other.escape_ascii()),
        }
        Finish::End
    }

    async fn websocket(&mut self, path: &[u8]) -> Finish {
        if self.flags() & FLAG_WEBSOCKET == 0 {
            self.start(200, &[("Content-Length", "5")]);
            self.write(b"plain").await;
            return Finish::End;
        }
        let text = ("Content-Type", "text/plain");
        match path {
            b"/ws/refuses" => {
                self.start(403, &[]);
                return Finish::End;
            }
            b"/ws/denies" => {
                self.start(418, &[text]);
                self.write(b"a teapot ").await;
                self.write(b"indeed").await;
                return Finish::End;
            }
            b"/ws/raises" => return Finish::Abort,
            b"/ws/waits" => {
                self.receive().await;
                return Finish::Abort;
            }
            _ => {}
        }
        let accept = head(
            101,
            &[
                ("Sec-WebSocket-Protocol", "chat"),
                ("X-App", "yes"),
                ("Sec-WebSocket-Accept", "forged"),
                ("Content-Length", "3"),
            ],
        );
        self.claim().write_accept(&accept).expect("room");
        self.claim().flush();
        match path {
            b"/ws/closes" => {
                self.send(false, b"bye").await;
                self.close(4001, "enough");
                self.receive().await;
            }
            b"/ws/ends" => {}
            b"/ws/fails" => {
                self.send(false, b"so far").await;
                return Finish::Abort;
            }
            b"/ws/pushes" => {
                self.send(true, &large()).await;
                for n in 0..200 {
                    if !self.send(false, format!("message {n}").as_bytes()).await {
                        break;
                    }
                }
                self.receive().await;
            }
            b"/ws/lags" => {
                sleep(5 * SECOND_NS).await;
                self.chat().await;
            }
            b"/ws/answers-http" => {
                self.start(200, &[]);
            }
            b"/ws/mixes" => {
                self.send(false, b"fine").await;
                let big = vec![b'x'; 3000];
                // A part of a text, then the end of a binary message.
                while self
                    .claim()
                    .write_message(false, &big)
                    .is_ok_and(|count| count == 3000)
                {}
                sleep(SECOND_NS).await;
                self.claim().write_message(true, b"y").ok();
            }
            _ => self.chat().await,
        }
        Finish::End
    }

    /// Echoes everything.
    async fn chat(&mut self) {
        loop {
            let goes_on = match self.receive().await {
                Received::Text(text) => self.send(false, text.as_bytes()).await,
                Received::Binary(bytes) => self.send(true, &bytes).await,
                _ => false,
            };
            if !goes_on {
                break;
            }
        }
    }
}
