//! A request for an app: what of it the exchange takes, and which way its body goes.
//!
//! Nothing here waits. Invariant: what is returned owns what it needs of the head.

use super::Connection;
use super::output::Output;
use super::request::{AddressText, Asked, Step, Verdict};
use crate::app::{App, Call, Refusal};
use proto::http1::app_head::is_ambiguous_for_cgi;
use proto::path::Path;
use proto::{Body, Head};
use shm::request as wire;
use std::fmt::Write;
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

/// A request body that is complete.
pub enum Content<'a> {
    None,
    Inline { bytes: &'a [u8], chunked: bool },
    Spooled { length: u64, chunked: bool },
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
        let head = asked.head;
        let content = match head.body {
            Body::None | Body::Length(0) => Some((Content::None, 0)),
            Body::Length(length) if length > self.ring.config.limits.body_bytes => {
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
            return match app.check() {
                Ok(()) => (Verdict::Step(self.upload(asked, app)), asked.len),
                Err(refusal) => {
                    let (status, detail) = explain(refusal);
                    self.refuse(asked, status, detail, out)
                }
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
            Err(refusal) => {
                let (status, detail) = explain(refusal);
                self.refuse(asked, status, detail, out)
            }
        }
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
        let mut address = AddressText::default();
        let (remote_port, server_name) = match self.peer() {
            Some(peer) => {
                // Fits: the longest IPv6 address has 45 characters.
                write!(address, "{}", peer.ip()).map_err(|_| Refusal::HeadTooLarge)?;
                (peer.port(), &self.entrance.server_name)
            }
            None => (0, &self.entrance.server_name),
        };
        let (content_length, flags) = match content {
            Content::None => (matches!(head.body, Body::Length(_)).then_some(0), 0),
            Content::Inline { bytes, chunked } => (Some(bytes.len() as u64), chunked_flag(chunked)),
            Content::Spooled { length, chunked } => (Some(length), chunked_flag(chunked)),
        };
        let request = wire::Request {
            method: head.method.as_str().as_bytes(),
            target: head.target.raw.as_bytes(),
            path: path.bytes,
            script_name_len: app.mount_bytes,
            query: head.target.query.as_bytes(),
            minor_version: head.version.minor(),
            flags,
            server_name: head
                .host
                .map_or(server_name.as_bytes(), |host| host.host.as_bytes()),
            server_port: self.entrance.server_port,
            remote_addr: address.as_bytes(),
            remote_port,
            content_length,
        };
        app.submit(uring::now(), |area| {
            let headers = head
                .headers
                .iter()
                .filter(|header| !is_ambiguous_for_cgi(header.name.as_bytes()))
                .map(|header| (header.name.as_bytes(), header.value));
            let body_at = wire::encode(area, &request, headers)?;
            let body = match content {
                Content::None => wire::Body::Inline {
                    offset: body_at,
                    len: 0,
                },
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

fn chunked_flag(chunked: bool) -> u16 {
    if chunked { wire::FLAG_CHUNKED } else { 0 }
}

/// Status and words for a request that the exchange did not take.
pub fn explain(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::Full => (503, "too many requests are waiting; try again soon"),
        Refusal::Down => (503, "the application is not available"),
        Refusal::HeadTooLarge => (431, "request head too large"),
    }
}
