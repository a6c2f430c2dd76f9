//! Our messages as frames (RFC 6455 5.1: unmasked), compressed where that was agreed and is worth it.
//!
//! A message may come in pieces; each becomes a frame at once, so that none has to be gathered. Invariant: the frames of a
//! message follow each other, first its opcode, then continuations, the last with FIN; control frames may stand between.

use super::deflate::{Agreed, Deflater, Machines};
use super::frame::{FIN, FrameHead, Opcode, RSV1};
use super::{Kind, clip_reason, close};

/// A message that comes whole is compressed from this length on.
const COMPRESS_LEAST_BYTES: usize = 256;

#[derive(Debug, Default)]
pub struct Writer {
    deflate: Option<Agreed>,
    message: Option<Message>,
    /// Kept between messages only where we may refer to earlier ones.
    deflater: Option<Deflater>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    compressed: bool,
    /// Its first frame has gone out.
    begun: bool,
}

/// The caller mixed two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixed;

impl Writer {
    pub fn new(deflate: Option<Agreed>) -> Writer {
        Writer {
            deflate: deflate.filter(Agreed::can_deflate),
            message: None,
            deflater: None,
        }
    }

    /// Whether the piece goes out as it is, behind the head that [`Writer::plain_head`] makes.
    pub fn is_plain(&self, bytes: usize, end: bool) -> bool {
        match &self.message {
            Some(message) => !message.compressed,
            None => self.deflate.is_none() || end && bytes < COMPRESS_LEAST_BYTES,
        }
    }

    /// The head of a frame whose payload the caller sends itself.
    pub fn plain_head(&mut self, kind: Kind, bytes: usize, end: bool) -> Result<FrameHead, Mixed> {
        let begun = self.message.is_some();
        self.enter(kind, false)?;
        if end {
            self.message = None;
        }
        Ok(FrameHead::new(opcode(kind, begun), flag(end), bytes))
    }

    /// Appends a piece of a message, in a frame or (while the compressor gathers) in none yet.
    pub fn append(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        end: bool,
        machines: &mut Machines,
        out: &mut Vec<u8>,
    ) -> Result<(), Mixed> {
        let Some(agreed) = self.deflate.filter(|_| !self.is_plain(bytes.len(), end)) else {
            let head = self.plain_head(kind, bytes.len(), end)?;
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(bytes);
            return Ok(());
        };
        let message = self.enter(kind, true)?;
        let mut scratch = std::mem::take(&mut machines.scratch);
        scratch.clear();
        let deflater = self
            .deflater
            .get_or_insert_with(|| machines.deflater(agreed.server_window_bits));
        if end {
            deflater.finish(bytes, &mut scratch);
        } else {
            deflater.deflate(bytes, &mut scratch);
        }
        if end || !scratch.is_empty() {
            let rsv1 = if message.begun { 0 } else { RSV1 };
            let head = FrameHead::new(opcode(kind, message.begun), flag(end) | rsv1, scratch.len());
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(&scratch);
            self.message = (!end).then_some(Message {
                begun: true,
                ..message
            });
        }
        machines.scratch = scratch;
        if end
            && !agreed.server_takeover
            && let Some(deflater) = self.deflater.take()
        {
            machines.take_back_deflater(deflater);
        }
        Ok(())
    }

    fn enter(&mut self, kind: Kind, compressed: bool) -> Result<Message, Mixed> {
        let message = *self.message.get_or_insert(Message {
            kind,
            compressed,
            begun: false,
        });
        if message.kind == kind {
            Ok(message)
        } else {
            Err(Mixed)
        }
    }
}

fn flag(end: bool) -> u8 {
    if end { FIN } else { 0 }
}

fn opcode(kind: Kind, begun: bool) -> Opcode {
    match (begun, kind) {
        (true, _) => Opcode::Continuation,
        (false, Kind::Text) => Opcode::Text,
        (false, Kind::Binary) => Opcode::Binary,
    }
}

/// Appends a ping or pong; `payload` of at most 125 bytes.
pub fn append_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    debug_assert!(opcode.is_control());
    out.extend_from_slice(FrameHead::new(opcode, FIN, payload.len()).as_bytes());
    out.extend_from_slice(payload);
}

/// Appends a close frame. A code that must not be on the wire sends none; the reason is cut to what fits.
pub fn append_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    if !close::is_sendable(code) {
        append_control(out, Opcode::Close, b"");
        return;
    }
    let reason = clip_reason(reason);
    let head = FrameHead::new(Opcode::Close, FIN, 2 + reason.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}
