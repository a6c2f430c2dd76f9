//! Heads as a worker sends them, judged, and ours written in their place: the answer's own, interim ones, trailers, and the one that
//! turns the connection into a WebSocket.
//!
//! Invariant: no field goes out that was not admitted.

use super::{Fault, Reply};
use crate::app::HeadKind;
use crate::connection::handover::{Handover, is_wish};
use crate::connection::output::Output;
use crate::respond::Common;
use proto::http1::app_head::{self, AppHead, Disposition};
use proto::http1::framing::Framing;
use proto::http1::response::Writer;
use proto::websocket::handshake;
use proto::{Method, Version};
use shm::response::{HEAD_TRAILERS_FOLLOW, Head};

/// All the trailers of one answer.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

impl Reply {
    pub(super) fn handle(
        &mut self,
        kind: HeadKind,
        bytes: &[u8],
        out: &mut Output,
        common: Common<'_>,
    ) -> Result<(), Fault> {
        let head = shm::response::decode(bytes).map_err(|corrupt| Fault::Corrupt(corrupt.0))?;
        match kind {
            HeadKind::Final => self.handle_final(head, out.buffer(), common),
            HeadKind::Informational => self.handle_informational(head, out),
            HeadKind::Trailers => self.handle_trailers(head),
            HeadKind::Accept => self.handle_accept(head, out.buffer(), common),
        }
    }

    /// Judges the head and writes ours.
    fn handle_final(
        &mut self,
        head: Head<'_>,
        out: &mut Vec<u8>,
        common: Common<'_>,
    ) -> Result<(), Fault> {
        if self.framing.is_some() {
            return Err(Fault::Order("a second head"));
        }
        app_head::check_status(head.status, head.reason).map_err(Fault::Head)?;
        let start = out.len();
        let mut writer = match head.reason {
            b"" => Writer::start(out, head.status),
            reason => Writer::start_with(out, head.status, reason),
        };
        let (mut seen, mut wished) = (AppHead::new(), false);
        let trailers = self.asks.trailers && head.flags & HEAD_TRAILERS_FOLLOW != 0;
        for (name, value) in head.headers {
            if seen.admit(name, value).map_err(Fault::Head)? == Disposition::Send {
                wished |= is_wish(name);
                writer.header(name, value);
            } else if trailers && name.eq_ignore_ascii_case(b"trailer") {
                writer.header(name, value);
            }
        }
        if wished {
            self.handover = Handover::new(head.headers).map(Box::new);
            self.close |= seen.close;
            self.status = head.status;
            self.framing = Some(Framing::NoBody { announced: None });
            out.truncate(start);
            return Ok(());
        }
        if !seen.has_server && !common.server.is_empty() {
            writer.server(common.server);
        }
        if !seen.has_date {
            writer.date(common.date);
        }
        if let Some(served) = self.timing {
            let ms = |ns: u64| ns as f64 / 1e6;
            let (queue, app) = (ms(served.queue_ns), ms(served.app_ns));
            let value = format!("queue;dur={queue:.3}, app;dur={app:.3}");
            writer.header(b"Server-Timing", value.as_bytes());
        }
        let method = if self.manner.head_only {
            Method::Head
        } else {
            Method::Get
        };
        // Only the chunked coding carries trailers.
        let length = seen
            .content_length
            .filter(|_| !trailers || self.manner.head_only);
        let framing = Framing::decide(&method, self.manner.version, head.status, length);
        if trailers && framing == Framing::Chunked {
            self.trailers = Some(Vec::new());
        }
        self.close |= seen.close || self.body_is_far || !framing.can_persist();
        writer
            .framing(framing)
            .connection(self.manner.version, !self.close)
            .finish();
        self.head = self.asks.head.then(|| out[start..].to_vec());
        self.left = if let Framing::Length(length) = framing {
            length
        } else {
            0
        };
        self.status = head.status;
        self.framing = Some(framing);
        Ok(())
    }

    /// Interim answers are for HTTP/1.1 clients, and for as long as the answer itself has not begun; nobody misses the others.
    #[cold]
    fn handle_informational(&mut self, head: Head<'_>, out: &mut Output) -> Result<(), Fault> {
        if !matches!(head.status, 102..=199) {
            return Err(Fault::Order("an interim answer with a final status"));
        }
        let mut writer = (self.framing.is_none() && self.manner.version == Version::Http11)
            .then(|| Writer::start(out.buffer(), head.status));
        let mut seen = AppHead::new();
        for (name, value) in head.headers {
            if seen.admit(name, value).map_err(Fault::Head)? == Disposition::Send
                && let Some(writer) = &mut writer
            {
                writer.header(name, value);
            }
        }
        if let Some(mut writer) = writer {
            writer.finish();
            // It stays even if the answer is taken back.
            self.start = out.position();
        }
        Ok(())
    }

    #[cold]
    fn handle_trailers(&mut self, head: Head<'_>) -> Result<(), Fault> {
        if self.framing.is_none() {
            return Err(Fault::Order("trailers before the head"));
        }
        let mut seen = AppHead::new();
        for (name, value) in head.headers {
            seen.admit(name, value).map_err(Fault::Head)?;
            let Some(trailers) = &mut self.trailers else {
                continue;
            };
            let length = trailers.len() + name.len() + value.len();
            if length > TRAILER_BYTES_MAX {
                return Err(Fault::Order("more trailers than anybody takes"));
            }
            if !app_head::is_barred_from_trailers(name) {
                for part in [name, b": ", value, b"\r\n"] {
                    trailers.extend_from_slice(part);
                }
            }
        }
        Ok(())
    }

    /// RFC 6455 4.2.2.
    #[cold]
    fn handle_accept(
        &mut self,
        head: Head<'_>,
        out: &mut Vec<u8>,
        common: Common<'_>,
    ) -> Result<(), Fault> {
        let Some(offer) = self.asks.socket.as_ref().filter(|_| self.framing.is_none()) else {
            return Err(Fault::Order("a WebSocket that nobody asked for"));
        };
        let start = out.len();
        let mut writer = Writer::start(out, 101);
        writer
            .header(b"Upgrade", b"websocket")
            .header(b"Connection", b"Upgrade")
            .header(b"Sec-WebSocket-Accept", &offer.accept);
        if let Some(deflate) = offer.deflate {
            writer.compose(b"Sec-WebSocket-Extensions", |out| deflate.append(out));
        }
        let mut seen = AppHead::new();
        for (name, value) in head.headers {
            let admitted = seen.admit(name, value).map_err(Fault::Head)?;
            if admitted == Disposition::Send && !handshake::is_ours(name) {
                writer.header(name, value);
            }
        }
        if !seen.has_server && !common.server.is_empty() {
            writer.server(common.server);
        }
        if !seen.has_date {
            writer.date(common.date);
        }
        writer.finish();
        self.head = self.asks.head.then(|| out[start..].to_vec());
        self.status = 101;
        self.framing = Some(Framing::NoBody { announced: None });
        Ok(())
    }
}
