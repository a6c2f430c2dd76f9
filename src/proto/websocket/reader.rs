//! A client's frames, read into messages: incremental, in any fragmentation, with any amount of room for the result.
//!
//! Invariants: whatever leaves here is unmasked, inflated, within the size limit, and for text a beginning of valid UTF-8;
//! after a fault or a close frame nothing more is read. Between messages it holds no buffer, and no window unless one was
//! agreed to be kept.

use super::deflate::{Agreed, Inflater, Machines};
use super::frame::{Head, HeadReader, Opcode, append_unmasked, unmask};
use super::utf8::Utf8;
use super::{CONTROL_BYTES_MAX, Fault, Kind, close};

/// Compressed bytes unmasked at a time.
const PIECE_BYTES: usize = 2048;

#[derive(Debug)]
pub struct Reader {
    message_bytes_max: u64,
    deflate: Option<Agreed>,
    head: HeadReader,
    frame: Option<Frame>,
    message: Option<Message>,
    /// Kept between messages only where the client may refer to earlier ones.
    inflater: Option<Inflater>,
    control: [u8; CONTROL_BYTES_MAX],
    control_len: u8,
    end: Option<Result<(), Fault>>,
}

/// A frame whose payload is being read. Invariant: `at <= head.length`.
#[derive(Clone, Copy, Debug)]
struct Frame {
    head: Head,
    at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    compressed: bool,
    /// Handed out so far, inflated.
    bytes: u64,
    utf8: Utf8,
}

/// What came of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The whole input is used up; more is needed.
    More,
    /// A piece of a message was appended, empty only at its end.
    Data {
        kind: Kind,
        end: bool,
    },
    /// Answer with a pong that holds [`Reader::control`].
    Ping,
    Pong,
    /// The client closes, with this code ([`close::NONE`]: without one) and [`Reader::reason`]. Nothing more is read.
    Close {
        code: u16,
    },
}

impl Reader {
    pub fn new(message_bytes_max: usize, deflate: Option<Agreed>) -> Reader {
        Reader {
            message_bytes_max: message_bytes_max as u64,
            deflate,
            head: HeadReader::default(),
            frame: None,
            message: None,
            inflater: None,
            control: [0; CONTROL_BYTES_MAX],
            control_len: 0,
            end: None,
        }
    }

    /// The payload of the last ping or pong.
    pub fn control(&self) -> &[u8] {
        &self.control[..usize::from(self.control_len)]
    }

    /// The reason in the close frame.
    pub fn reason(&self) -> &str {
        std::str::from_utf8(self.control().get(2..).unwrap_or_default()).unwrap_or_default()
    }

    /// A message has begun and not ended, or a frame has.
    pub fn is_between(&self) -> bool {
        self.message.is_none() && self.frame.is_none() && self.head.is_empty()
    }

    /// Reads on, up to the next thing to say. `room`, at least 1, bounds what is appended to `out`. The count is what of
    /// `input` was used. Call again until [`Step::More`].
    pub fn step(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
        machines: &mut Machines,
    ) -> Result<(usize, Step), Fault> {
        debug_assert!(room > 0);
        match self.end {
            Some(Ok(())) => return Ok((input.len(), Step::More)),
            Some(Err(fault)) => return Err(fault),
            None => {}
        }
        let mut used = 0;
        // Every pass uses input, or ends a frame of which there is nothing left.
        loop {
            let step = self.pass(&input[used..], out, room, machines);
            match step {
                Ok((count, step)) => {
                    used += count;
                    match step {
                        Some(step) => return Ok((used, step)),
                        None => continue,
                    }
                }
                Err(fault) => {
                    self.end = Some(Err(fault));
                    return Err(fault);
                }
            }
        }
    }

    /// One head, or one piece of payload. `None`: go on at once.
    fn pass(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
        machines: &mut Machines,
    ) -> Result<(usize, Option<Step>), Fault> {
        let Some(mut frame) = self.frame else {
            let (used, head) = self.head.read(input)?;
            let Some(head) = head else {
                return Ok((used, Some(Step::More)));
            };
            self.begin(head, machines)?;
            return Ok((used, None));
        };
        let left = frame.head.length - frame.at;
        let piece = &input[..input.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let opcode = frame.head.opcode;
        if opcode.is_control() {
            self.gather(&frame, piece);
            frame.at += piece.len() as u64;
            self.frame = (frame.at < frame.head.length).then_some(frame);
            let step = match self.frame {
                Some(_) => Step::More,
                None => self.end_control(opcode)?,
            };
            return Ok((piece.len(), Some(step)));
        }
        let start = out.len();
        let used = self.take(&frame, piece, out, room)?;
        frame.at += used as u64;
        self.frame = Some(frame);
        let ended = frame.at == frame.head.length
            && self.end_frame(frame.head.fin, out, room - (out.len() - start))?;
        let step = match ended && frame.head.fin {
            true => Some(self.end_message(machines)?),
            false if out.len() > start => Some(self.data(false)),
            false if ended || used > 0 => None,
            false => Some(Step::More),
        };
        Ok((used, step))
    }

    /// Judges a frame against what came before it.
    fn begin(&mut self, head: Head, machines: &mut Machines) -> Result<(), Fault> {
        if head.opcode.is_control() {
            self.control_len = 0;
        } else {
            match (head.opcode, &self.message) {
                (Opcode::Continuation, None) => {
                    return Err(Fault::protocol("continuation of nothing"));
                }
                (Opcode::Continuation, Some(_)) if head.compressed => {
                    return Err(Fault::protocol("reserved bit set"));
                }
                (Opcode::Continuation, Some(_)) => {}
                (_, Some(_)) => {
                    return Err(Fault::protocol("a message within a message"));
                }
                (opcode, None) => self.begin_message(opcode, head.compressed, machines)?,
            }
            let message = self.message.as_ref();
            let fits = message.is_none_or(|message| {
                message.compressed
                    || message.bytes.saturating_add(head.length) <= self.message_bytes_max
            });
            if !fits {
                return Err(TOO_BIG);
            }
        }
        self.frame = Some(Frame { head, at: 0 });
        Ok(())
    }

    fn begin_message(
        &mut self,
        opcode: Opcode,
        compressed: bool,
        machines: &mut Machines,
    ) -> Result<(), Fault> {
        if compressed {
            if self.deflate.is_none() {
                return Err(Fault::protocol("reserved bit set"));
            }
            self.inflater.get_or_insert_with(|| machines.inflater());
        }
        self.message = Some(Message {
            kind: if opcode == Opcode::Text {
                Kind::Text
            } else {
                Kind::Binary
            },
            compressed,
            bytes: 0,
            utf8: Utf8::default(),
        });
        Ok(())
    }

    /// A control frame's payload, at most 125 bytes as its head was judged.
    fn gather(&mut self, frame: &Frame, piece: &[u8]) {
        let start = frame.at as usize;
        let target = &mut self.control[start..start + piece.len()];
        target.copy_from_slice(piece);
        unmask(target, frame.head.mask, frame.at);
        self.control_len = (start + piece.len()) as u8;
    }

    fn end_control(&mut self, opcode: Opcode) -> Result<Step, Fault> {
        match opcode {
            Opcode::Ping => Ok(Step::Ping),
            Opcode::Pong => Ok(Step::Pong),
            _ => {
                let code = match self.control() {
                    [] => close::NONE,
                    [_] => return Err(Fault::protocol("close frame of one byte")),
                    [high, low, reason @ ..] => {
                        let code = u16::from_be_bytes([*high, *low]);
                        if !close::is_sendable(code) {
                            return Err(Fault::protocol("forbidden close code"));
                        }
                        if std::str::from_utf8(reason).is_err() {
                            return Err(NOT_UTF8);
                        }
                        code
                    }
                };
                self.end = Some(Ok(()));
                Ok(Step::Close { code })
            }
        }
    }

    /// A piece of a message's payload, empty if nothing more has come or is to come; the count is what of it was used.
    fn take(
        &mut self,
        frame: &Frame,
        piece: &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Fault> {
        let start = out.len();
        let used = match (&self.message, &mut self.inflater) {
            (Some(message), Some(inflater)) if message.compressed => {
                let mut plain = [0; PIECE_BYTES];
                let plain = &mut plain[..piece.len().min(PIECE_BYTES)];
                plain.copy_from_slice(&piece[..plain.len()]);
                unmask(plain, frame.head.mask, frame.at);
                inflater.inflate(plain, out, bound(room, message, self.message_bytes_max))?
            }
            _ => {
                let count = piece.len().min(room);
                append_unmasked(out, &piece[..count], frame.head.mask, frame.at);
                count
            }
        };
        self.check(&out[start..])?;
        Ok(used)
    }

    /// All of a data frame's payload is read; false: there is no room for what it still yields.
    fn end_frame(&mut self, fin: bool, out: &mut Vec<u8>, room: usize) -> Result<bool, Fault> {
        let start = out.len();
        if let (Some(message), Some(inflater)) = (&self.message, &mut self.inflater)
            && message.compressed
        {
            let room = room.min(bound(room, message, self.message_bytes_max));
            let whole = if fin {
                inflater.finish(out, room)?
            } else {
                // Held back for want of room: it is judged before what follows the frame.
                inflater.inflate(&[], out, room)?;
                out.len() - start < room
            };
            self.check(&out[start..])?;
            if !whole {
                return Ok(false);
            }
        }
        self.frame = None;
        Ok(true)
    }

    fn end_message(&mut self, machines: &mut Machines) -> Result<Step, Fault> {
        let step = self.data(true);
        if let Some(mut message) = self.message.take() {
            if message.kind == Kind::Text && !message.utf8.finish() {
                return Err(NOT_UTF8);
            }
            let keeps = self.deflate.is_some_and(|agreed| agreed.client_takeover);
            if message.compressed
                && !keeps
                && let Some(inflater) = self.inflater.take()
            {
                machines.take_back_inflater(inflater);
            }
        }
        Ok(step)
    }

    fn data(&self, end: bool) -> Step {
        let kind = self.message.map_or(Kind::Binary, |message| message.kind);
        Step::Data { kind, end }
    }

    /// Counts and judges what a message has yielded.
    fn check(&mut self, fresh: &[u8]) -> Result<(), Fault> {
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        let left = self.message_bytes_max - message.bytes;
        let within = fresh.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // What comes before the bound first, so that the verdict does not depend on how much came at once.
        if message.kind == Kind::Text && !message.utf8.push(&fresh[..within]) {
            return Err(NOT_UTF8);
        }
        if within < fresh.len() {
            return Err(TOO_BIG);
        }
        message.bytes += fresh.len() as u64;
        Ok(())
    }
}

/// Room for what a compressed message yields next: one byte more than it may have, so that the excess shows.
fn bound(room: usize, message: &Message, message_bytes_max: u64) -> usize {
    let left = message_bytes_max
        .saturating_sub(message.bytes)
        .saturating_add(1);
    room.min(usize::try_from(left).unwrap_or(usize::MAX))
}

const TOO_BIG: Fault = Fault {
    code: close::TOO_BIG,
    reason: "message too big",
};
const NOT_UTF8: Fault = Fault {
    code: close::INVALID_DATA,
    reason: "text is not UTF-8",
};

/// Fuzz: any bytes are read to the same messages in any fragmentation and with any room, within the limit.
pub fn fuzz_reader(data: &[u8]) {
    const LIMIT: usize = 2000;
    let Some((&setting, data)) = data.split_first() else {
        return;
    };
    let policy = super::deflate::Policy {
        server_takeover: setting & 1 != 0,
        client_takeover: setting & 2 != 0,
    };
    let offer = &b"permessage-deflate"[..];
    let deflate = super::deflate::negotiate(std::iter::once(offer), &policy);
    let mut machines = Machines::default();
    let mut read = |cut: usize, room: usize| {
        let mut reader = Reader::new(LIMIT, deflate.filter(|_| setting & 4 == 0));
        let mut said: Vec<(Step, Vec<u8>)> = Vec::new();
        let mut message = Vec::new();
        'input: for piece in data.chunks(cut) {
            let mut rest = piece;
            loop {
                let mut out = Vec::new();
                let step = match reader.step(rest, &mut out, room, &mut machines) {
                    Ok((used, step)) => {
                        rest = &rest[used..];
                        step
                    }
                    Err(fault) => {
                        said.push((Step::Close { code: fault.code }, message.clone()));
                        break 'input;
                    }
                };
                assert!(out.len() <= room);
                match step {
                    Step::More => break,
                    Step::Data { end, .. } => {
                        assert!(end || !out.is_empty(), "no progress");
                        message.extend(out);
                        assert!(message.len() <= LIMIT);
                        if end {
                            let whole = std::mem::take(&mut message);
                            let Step::Data { kind, .. } = step else {
                                continue;
                            };
                            assert!(kind == Kind::Binary || std::str::from_utf8(&whole).is_ok());
                            said.push((step, whole));
                        }
                    }
                    step => said.push((step, reader.control().to_vec())),
                }
            }
            assert!(rest.is_empty());
        }
        said
    };
    let whole = read(usize::MAX, usize::MAX);
    for (cut, room) in [(1, 1), (1, 64), (3, 7), (17, 2000), (usize::MAX, 1)] {
        let other = read(cut, room);
        // How much of a message came before the fault depends on the room; what came whole does not.
        assert!(
            whole.len() == other.len()
                && whole.iter().zip(&other).all(|(one, two)| one.0 == two.0
                    && (one.1 == two.1
                        || matches!(one.0, Step::Close { code } if code != close::NORMAL))),
            "{whole:?} {other:?}"
        );
    }
}
