//! A request for an app: what of it the exchange takes, and which way its body goes.
//!
//! Nothing here waits. Invariant: what is returned owns what it needs of the head.

use super::Connection;
use super::output::Output;
use super::peer::AddressText;
use super::request::{Asked, Step, Verdict};
use super::stream_body::StreamBody;
use crate::app::{App, Call, Refusal};
use crate::forwarded::Client;
use crate::odd_headers;
use config::{HeaderMap, Interface};
use proto::path::Path;
use proto::websocket::deflate::Policy;
use proto::websocket::handshake::{self, Offer};
use proto::{Body, Head, Version};
use shm::Purpose;
use shm::request as wire;
use std::rc::Rc;

/// A request for an app whose body is not there yet.
pub struct Upload {
    pub app: Rc<App>,
    /// The head's bytes: parsed again when the body is complete, so that nothing borrowed has to be kept.
    pub head: Vec<u8>,
    pub body: Body,
    /// The client waits for `100 Continue`.
    pub expects: bool,
}

/// A request's body, as its app gets it.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    None,
    Inline {
        bytes: &'a [u8],
        chunked: bool,
    },
    Spooled {
        length: u64,
        chunked: bool,
    },
    /// It follows while the app runs. `expects`: once it is asked for.
    Stream {
        length: Option<u64>,
        expects: bool,
    },
    /// None: the app decides about a WebSocket.
    Socket,
}

impl Content<'_> {
    fn flags(self) -> u16 {
        match self {
            Content::None => 0,
            Content::Inline { chunked, .. } | Content::Spooled { chunked, .. } => {
                if chunked {
                    wire::FLAG_CHUNKED
                } else {
                    0
                }
            }
            Content::Stream { length, expects } => {
                let chunked = if length.is_none() {
                    wire::FLAG_CHUNKED
                } else {
                    0
                };
                let expects = if expects {
                    wire::FLAG_EXPECT_CONTINUE
                } else {
                    0
                };
                chunked | expects
            }
            Content::Socket => wire::FLAG_WEBSOCKET,
        }
    }

    fn length(self, announced: Body) -> Option<u64> {
        match self {
            Content::None | Content::Socket => matches!(announced, Body::Length(_)).then_some(0),
            Content::Inline { bytes, .. } => Some(bytes.len() as u64),
            Content::Spooled { length, .. } => Some(length),
            Content::Stream { length, .. } => length,
        }
    }
}

impl Connection {
    pub(super) fn serve_app(
        &self,
        asked: &Asked<'_, '_, '_>,
        app: usize,
        path: Path<'_>,
        out: &mut Output,
    ) -> (Verdict, usize) {
        let app = &self.ring.apps[app];
        if let Some(text) = app.trouble() {
            return self.show_trouble(asked, &text, out);
        }
        let head = asked.head;
        let site = self.ring.site();
        let odd = &site.odd_headers;
        if odd.map == HeaderMap::Refuse && odd_headers::are_refused(head, odd, self.trusts_peer()) {
            return self.refuse(asked, 400, "a header name has an underscore", out);
        }
        if head.upgrade.is_some()
            && app.interface() != Some(Interface::Wsgi)
            && handshake::is_asked(head)
            && let Some(answered) = self.serve_socket(asked, app, path, out)
        {
            return answered;
        }
        let content = match head.body {
            Body::None | Body::Length(0) => Some((Content::None, 0)),
            Body::Length(length) if length > self.ring.site().body_bytes_max => {
                return self.refuse(asked, 413, "the request body is too large", out);
            }
            Body::Length(length) => asked
                .body(length)
                .filter(|_| app.fits_inline(asked.len, length))
                .map(|bytes| {
                    (
                        Content::Inline {
                            bytes,
                            chunked: false,
                        },
                        bytes.len(),
                    )
                }),
            Body::Chunked => None,
        };
        let Some((content, body_bytes)) = content else {
            if app.is_asgi() {
                return self.begin_stream(asked, app, path, out);
            }
            return match app.check(app.rule(path.bytes)) {
                Ok(()) => (Verdict::Step(self.upload(asked, app)), asked.len),
                Err(refusal) => self.turn_down(asked, refusal, out),
            };
        };
        match self.submit(app, head, path, content) {
            Ok(call) => {
                let open = self.open(asked, asked.manner);
                (
                    Verdict::Step(Step::Call { open, call }),
                    asked.len + body_bytes,
                )
            }
            Err(refusal) => self.turn_down(asked, refusal, out),
        }
    }

    /// Whether the peer's word counts for what only a server in front can know.
    fn trusts_peer(&self) -> bool {
        let peer = self.peer().map(|peer| peer.ip());
        self.ring.site().forwarded.trusted.has(peer)
    }

    fn turn_down(
        &self,
        asked: &Asked<'_, '_, '_>,
        refusal: Refusal,
        out: &mut Output,
    ) -> (Verdict, usize) {
        let (status, detail) = explain(refusal);
        self.refuse(asked, status, detail, out)
    }

    /// The app gets the request before its body.
    fn begin_stream(
        &self,
        asked: &Asked<'_, '_, '_>,
        app: &Rc<App>,
        path: Path<'_>,
        out: &mut Output,
    ) -> (Verdict, usize) {
        let head = asked.head;
        // A client that sends without waiting has its answer.
        let expects = head.expect_continue
            && head.version == Version::Http11
            && asked.bytes.len() == asked.len;
        let length = match head.body {
            Body::Length(length) => Some(length),
            Body::None | Body::Chunked => None,
        };
        match self.submit(app, head, path, Content::Stream { length, expects }) {
            Ok(call) => {
                let length_max = self.ring.site().body_bytes_max;
                let body = StreamBody::new(head.body, length_max, expects, uring::now());
                let open = self.open(asked, asked.manner);
                let body = Box::new(body);
                (Verdict::Step(Step::Stream { open, call, body }), asked.len)
            }
            Err(refusal) => self.turn_down(asked, refusal, out),
        }
    }

    /// A request for a WebSocket. `None`: it is one like any other after all.
    #[cold]
    fn serve_socket(
        &self,
        asked: &Asked<'_, '_, '_>,
        app: &Rc<App>,
        path: Path<'_>,
        out: &mut Output,
    ) -> Option<(Verdict, usize)> {
        let policy = app.websocket().deflate.then_some(&Policy::FRUGAL);
        let offer: Offer = match handshake::check(asked.head, policy) {
            Ok(offer) => offer,
            // Whether the app would have known WebSockets nobody can say yet.
            Err(_) if !app.is_asgi() => return None,
            Err(handshake::Refusal::Version) => {
                return Some(self.refuse(
                    asked,
                    426,
                    "this server speaks WebSocket version 13",
                    out,
                ));
            }
            Err(handshake::Refusal::Malformed(detail)) => {
                return Some(self.refuse(asked, 400, detail, out));
            }
        };
        Some(match self.submit(app, asked.head, path, Content::Socket) {
            Ok(call) => {
                let open = self.open(asked, asked.manner);
                let offer = Box::new(offer);
                (Verdict::Step(Step::Socket { open, call, offer }), asked.len)
            }
            Err(refusal) => self.turn_down(asked, refusal, out),
        })
    }

    fn upload(&self, asked: &Asked<'_, '_, '_>, app: &Rc<App>) -> Step {
        let upload = Upload {
            app: Rc::clone(app),
            head: asked.bytes[..asked.len].to_vec(),
            body: asked.head.body,
            expects: asked.head.expect_continue && asked.bytes.len() == asked.len,
        };
        Step::Upload {
            open: self.open(asked, asked.manner),
            upload: Box::new(upload),
        }
    }

    /// Writes a request into the exchange.
    pub(super) fn submit(
        &self,
        app: &Rc<App>,
        head: &Head<'_, '_>,
        path: Path<'_>,
        content: Content<'_>,
    ) -> Result<Call, Refusal> {
        let site = self.ring.site();
        let client = Client::of(head, self.peer(), &site.forwarded);
        let address = AddressText::of(client.address);
        let server_name = match (app.interface(), head.host) {
            (Some(Interface::Asgi), _) => &self.entrance.listener,
            (_, Some(host)) => host.host,
            (_, None) => &self.entrance.server_name,
        };
        let https = if client.https { wire::FLAG_HTTPS } else { 0 };
        let content_length = content.length(head.body);
        let trailers = if head.takes_trailers() {
            wire::FLAG_TE_TRAILERS
        } else {
            0
        };
        let odd = odd_headers::has_any(head).then(|| {
            let trusted = self.trusts_peer();
            (&site.odd_headers, trusted)
        });
        let script_name_len = match odd {
            Some((odd, trusted)) if app.mount_bytes == 0 => {
                odd_headers::script_name(head, odd, trusted, path.bytes).unwrap_or(0)
            }
            _ => app.mount_bytes,
        };
        let request = wire::Request {
            method: head.method.as_str().as_bytes(),
            target: head.target.raw.as_bytes(),
            path: path.bytes,
            script_name_len,
            query: head.target.query.as_bytes(),
            minor_version: head.version.minor(),
            flags: content.flags() | trailers | https,
            server_name: server_name.as_bytes(),
            server_port: self.entrance.server_port,
            remote_addr: address.as_bytes(),
            remote_port: client.port,
            content_length,
        };
        let purpose = match content {
            Content::Socket => Purpose::Socket,
            _ => Purpose::Request,
        };
        app.submit(app.rule(path.bytes), purpose, uring::now(), |area| {
            let headers = head
                .headers
                .iter()
                .filter(|header| {
                    odd.is_none_or(|(odd, trusted)| {
                        odd_headers::passes(header.name.as_bytes(), odd, trusted)
                    })
                })
                .map(|header| (header.name.as_bytes(), header.value));
            let body_at = wire::encode(area, &request, headers)?;
            let body = match content {
                Content::None | Content::Socket => wire::Body::Inline {
                    offset: body_at,
                    len: 0,
                },
                Content::Stream { .. } => wire::Body::Stream,
                Content::Inline { bytes, .. } => {
                    area.get_mut(body_at..body_at + bytes.len())?
                        .copy_from_slice(bytes);
                    wire::Body::Inline {
                        offset: body_at,
                        len: bytes.len(),
                    }
                }
                Content::Spooled { length, .. } => wire::Body::File { len: length },
            };
            Some(wire::set_body(area, body, content_length))
        })
    }
}

/// Status and words for a request that the exchange did not take.
pub fn explain(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::Full => (503, "too many requests are waiting; try again soon"),
        Refusal::TooManySockets => (503, "too many WebSockets are open; try again later"),
        Refusal::Down => (503, "the application is not available"),
        Refusal::HeadTooLarge => (431, "request head too large"),
    }
}
