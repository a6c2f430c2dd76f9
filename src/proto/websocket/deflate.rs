//! permessage-deflate (RFC 7692): what is agreed in the handshake, and both directions of compression.
//!
//! Invariants: inflating never yields more than it was given room for, whatever the ratio; a machine that may forget its
//! window between messages can be put back and used by another connection ([`Inflater::rest`], [`Deflater::rest`]).

use super::{Fault, close};
use crate::text;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

const WINDOW_BITS_MAX: u8 = 15;
/// zlib has no raw window of 2^8; who asks for it gets our messages uncompressed, which is always allowed.
const WINDOW_BITS_LEAST: u8 = 9;
/// What every message ends with and the wire leaves out (RFC 7692 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What this server wants of a compressed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// We may use earlier messages' bytes: better ratio, 300 KiB for as long as the connection lives.
    pub server_takeover: bool,
    /// The client may: 40 KiB of ours likewise.
    pub client_takeover: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            server_takeover: true,
            client_takeover: true,
        }
    }
}

impl Policy {
    /// A connection that rests holds nothing.
    pub const FRUGAL: Policy = Policy {
        server_takeover: false,
        client_takeover: false,
    };
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    pub server_takeover: bool,
    pub client_takeover: bool,
    /// 8 to 15; said in the answer when the client asked for it.
    pub server_window_bits: u8,
    says_window_bits: bool,
}

impl Agreed {
    /// The value of Sec-WebSocket-Extensions.
    pub fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"permessage-deflate");
        if !self.server_takeover {
            out.extend_from_slice(b"; server_no_context_takeover");
        }
        if !self.client_takeover {
            out.extend_from_slice(b"; client_no_context_takeover");
        }
        if self.says_window_bits {
            out.extend_from_slice(b"; server_max_window_bits=");
            text::append_decimal(out, u64::from(self.server_window_bits));
        }
    }

    /// Whether our messages can be compressed at all.
    pub fn can_deflate(&self) -> bool {
        self.server_window_bits >= WINDOW_BITS_LEAST
    }
}

/// The first offer that can be met (RFC 7692 5.1, 7.1). Offers with unknown, doubled or malformed parameters are passed over.
pub fn negotiate<'a>(values: impl Iterator<Item = &'a [u8]>, policy: &Policy) -> Option<Agreed> {
    values
        .flat_map(|value| value.split(|&byte| byte == b','))
        .find_map(|offer| consider(offer, policy))
}

fn consider(offer: &[u8], policy: &Policy) -> Option<Agreed> {
    let mut parts = offer.split(|&byte| byte == b';').map(text::trim);
    if parts.next() != Some(b"permessage-deflate") {
        return None;
    }
    let mut agreed = Agreed {
        server_takeover: policy.server_takeover,
        client_takeover: policy.client_takeover,
        server_window_bits: WINDOW_BITS_MAX,
        says_window_bits: false,
    };
    let mut seen = [false; 4];
    for part in parts {
        let mut halves = part.splitn(2, |&byte| byte == b'=').map(text::trim);
        let (name, value) = (halves.next()?, halves.next().map(unquote));
        let place = match (name, value) {
            (b"server_no_context_takeover", None) => {
                agreed.server_takeover = false;
                0
            }
            (b"client_no_context_takeover", None) => {
                agreed.client_takeover = false;
                1
            }
            (b"server_max_window_bits", Some(value)) => {
                agreed.server_window_bits = window_bits(value)?;
                agreed.says_window_bits = true;
                2
            }
            // Our windows take whatever the client chooses.
            (b"client_max_window_bits", None) => 3,
            (b"client_max_window_bits", Some(value)) => {
                window_bits(value)?;
                3
            }
            _ => return None,
        };
        if std::mem::replace(&mut seen[place], true) {
            return None;
        }
    }
    Some(agreed)
}

/// RFC 6455 9.1: a parameter's value may be quoted, and is a token without its quotes.
fn unquote(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// RFC 7692 7.1.2: 8 to 15, without leading zeros.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// Takes a client's messages apart.
#[derive(Debug)]
pub struct Inflater {
    machine: Decompress,
    /// Bytes of [`TAIL`] fed for the message that is ending.
    tail_fed: u8,
    /// Something was fed since it was new or reset.
    used: bool,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new()
    }
}

impl Inflater {
    pub fn new() -> Inflater {
        Inflater {
            machine: Decompress::new_with_window_bits(false, WINDOW_BITS_MAX),
            tail_fed: 0,
            used: false,
        }
    }

    /// Inflates into `out`, at most `room` bytes more. The count is what of `input` was used; less than all of it means
    /// that the room is used up.
    pub fn inflate(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Fault> {
        let (mut used, end) = (0, out.len() + room);
        while out.len() < end {
            let (taken, made) = self.pass(&input[used..], out, end)?;
            used += taken;
            // What is made may be held back for want of room although all input is used.
            if made == 0 && (taken == 0 || used == input.len()) {
                break;
            }
        }
        Ok(used)
    }

    /// After the message's last byte: yields what is left of it, at most `room` bytes; true: that was all.
    pub fn finish(&mut self, out: &mut Vec<u8>, room: usize) -> Result<bool, Fault> {
        let end = out.len() + room;
        while out.len() < end {
            let rest = usize::from(self.tail_fed);
            let (taken, made) = self.pass(&TAIL[rest..], out, end)?;
            self.tail_fed += taken as u8;
            if made > 0 {
                continue;
            }
            if usize::from(self.tail_fed) == TAIL.len() {
                self.tail_fed = 0;
                return Ok(true);
            }
            if taken == 0 {
                return Err(BROKEN);
            }
        }
        // There may be more.
        Ok(false)
    }

    fn pass(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        end: usize,
    ) -> Result<(usize, usize), Fault> {
        const STEP_BYTES: usize = 4 * 1024;
        let start = out.len();
        let want = (end - start).min(STEP_BYTES);
        out.resize(start + want, 0);
        let (in_before, out_before) = (self.machine.total_in(), self.machine.total_out());
        let status = self
            .machine
            .decompress(input, &mut out[start..], FlushDecompress::Sync);
        let taken = (self.machine.total_in() - in_before) as usize;
        let made = (self.machine.total_out() - out_before) as usize;
        out.truncate(start + made);
        match status {
            Ok(Status::Ok | Status::BufError) => {}
            // A sender may end its stream with every message (RFC 7692 7.2.3.4); the next one starts a new one.
            // Known cost: such a sender's window is forgotten here even if it is to be kept.
            Ok(Status::StreamEnd) => self.machine.reset(false),
            Err(_) => return Err(BROKEN),
        }
        self.used = true;
        Ok((taken, made))
    }

    /// Forgets everything, between messages of a client without context takeover, or for another connection.
    pub fn rest(&mut self) {
        if std::mem::take(&mut self.used) {
            self.machine.reset(false);
        }
        self.tail_fed = 0;
    }
}

const BROKEN: Fault = Fault {
    code: close::INVALID_DATA,
    reason: "compressed data is broken",
};

/// Compresses our messages.
#[derive(Debug)]
pub struct Deflater {
    machine: Compress,
    window_bits: u8,
}

impl Deflater {
    /// `window_bits` from 9 to 15. The level is where the curve bends (JSON of 16 KiB: 52 us to 19 %;
    /// level 1: 38 us to 27 %, level 6: 125 us to 18 %), for the thread has other connections to serve.
    pub fn new(window_bits: u8) -> Deflater {
        let window_bits = window_bits.clamp(WINDOW_BITS_LEAST, WINDOW_BITS_MAX);
        Deflater {
            machine: Compress::new_with_window_bits(Compression::new(2), false, window_bits),
            window_bits,
        }
    }

    /// Compresses a piece of a message. Part of it may stay inside until more comes.
    pub fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.run(input, out, FlushCompress::None);
    }

    /// Compresses the last piece and takes the tail off that the wire leaves out.
    pub fn finish(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.run(input, out, FlushCompress::Sync);
        if out[start..].ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.len() == start {
            // An empty message is one empty block (RFC 7692 7.2.3.6), and so is the end of one that left whole before.
            out.push(0);
        }
    }

    fn run(&mut self, mut input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) {
        const STEP_BYTES: usize = 4096;
        loop {
            let start = out.len();
            out.resize(start + STEP_BYTES, 0);
            let (in_before, out_before) = (self.machine.total_in(), self.machine.total_out());
            let status = self.machine.compress(input, &mut out[start..], flush);
            let taken = (self.machine.total_in() - in_before) as usize;
            let made = (self.machine.total_out() - out_before) as usize;
            out.truncate(start + made);
            input = &input[taken..];
            // Room left over: everything asked for has been written.
            if made < STEP_BYTES || status.is_err() {
                break;
            }
        }
        debug_assert!(input.is_empty());
    }

    /// Forgets everything sent, between messages without context takeover, or for another connection.
    pub fn rest(&mut self) {
        self.machine.reset();
    }
}

/// Machines of connections that have no use for theirs between messages. One per thread; memory follows the peak of messages
/// that are under way at once, up to a bound.
#[derive(Debug, Default)]
pub struct Machines {
    inflaters: Vec<Inflater>,
    deflaters: Vec<Deflater>,
    /// Compressed bytes on their way into a frame.
    pub(super) scratch: Vec<u8>,
}

impl Machines {
    /// Kept of each; further ones are freed.
    const KEPT: usize = 4;

    pub(super) fn inflater(&mut self) -> Inflater {
        self.inflaters.pop().unwrap_or_default()
    }

    pub(super) fn take_back_inflater(&mut self, mut inflater: Inflater) {
        if self.inflaters.len() < Self::KEPT {
            inflater.rest();
            self.inflaters.push(inflater);
        }
    }

    pub(super) fn deflater(&mut self, window_bits: u8) -> Deflater {
        self.deflaters
            .iter()
            .position(|deflater| deflater.window_bits == window_bits)
            .map_or_else(
                || Deflater::new(window_bits),
                |at| self.deflaters.swap_remove(at),
            )
    }

    pub(super) fn take_back_deflater(&mut self, mut deflater: Deflater) {
        if self.deflaters.len() < Self::KEPT {
            deflater.rest();
            self.deflaters.push(deflater);
        }
    }
}

/// Fuzz: any header value is judged; what is agreed on is said so that it would be agreed on again.
pub fn fuzz_negotiate(data: &[u8]) {
    for policy in [Policy::default(), Policy::FRUGAL] {
        if let Some(agreed) = negotiate(std::iter::once(data), &policy) {
            let mut said = Vec::new();
            agreed.append(&mut said);
            assert_eq!(negotiate(std::iter::once(&said[..]), &policy), Some(agreed));
        }
    }
}

/// Fuzz: any bytes inflate to a result or a fault, never to more than there was room for.
pub fn fuzz_inflate(data: &[u8]) {
    const ROOM: usize = 100;
    let mut inflater = Inflater::new();
    let mut rest = data;
    // Each pass uses input or makes output; a bomb of this size makes less than 1100 times as much.
    for _ in 0..data.len() * 12 + 100 {
        let mut out = Vec::new();
        match inflater.inflate(rest, &mut out, ROOM) {
            Ok(used) => rest = &rest[used..],
            Err(_) => return,
        }
        assert!(out.len() <= ROOM);
        if rest.is_empty() && out.len() < ROOM {
            break;
        }
    }
    for _ in 0..100 {
        let mut out = Vec::new();
        match inflater.finish(&mut out, ROOM) {
            Ok(false) => assert!(out.len() <= ROOM),
            Ok(true) | Err(_) => break,
        }
    }
}

#[cfg(test)]
mod tests;
