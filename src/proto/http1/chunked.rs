//! The chunked coding (RFC 9112 section 7.1), both ways.
//!
//! The decoder takes input in any fragmentation and yields slices of it: no copy, no buffer, 32 bytes of state.
//! Strict: sizes are 1 to 16 hex digits (no sign, no `0x`, no space but before an extension), every line ends in CR LF, chunk data is followed
//! by exactly CR LF, extensions and trailers are checked and bounded, then dropped.
//! Invariant: after an error the decoder stays in error; after `Done` it consumes nothing.

use crate::reject::Reject;
use crate::text;

/// The bytes of all chunk extensions of one body, together.
pub const EXTENSION_BYTES_MAX: u32 = 16 * 1024;
/// The bytes of all trailer lines of one body, together.
pub const TRAILER_BYTES_MAX: u32 = 8 * 1024;
/// Hex digits in a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 16;
/// A chunk no longer than this: far beyond any body limit, and sums of two cannot overflow.
const CHUNK_MAX: u64 = u64::MAX >> 2;

/// Decodes one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Of the size line: digits read so far.
    digits: u8,
    /// Of the chunk: its size while the size line is read, then what is still to come.
    remaining: u64,
    extension_bytes: u32,
    trailer_bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// White space behind the size, which only an extension may follow (RFC 9110 5.6.3: a recipient must parse what no sender may send).
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
    Broken(Reject),
}

/// What came of one call. `consumed` counts from the start of the input of that call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The whole input is used up; more is needed.
    More,
    /// A piece of the body, never empty. Call again with `&input[consumed..]`.
    Data { data: &'a [u8], consumed: usize },
    /// The body ends here; what follows `consumed` is the next request.
    Done { consumed: usize },
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    pub const fn new() -> Decoder {
        Decoder {
            state: State::Size,
            digits: 0,
            remaining: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
        }
    }

    /// Whether the last chunk and the trailers have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads on until a piece of data, the end, or the end of `input`.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, Reject> {
        let mut at = 0;
        loop {
            match self.state {
                State::Data => {
                    let rest = &input[at..];
                    if rest.is_empty() {
                        return Ok(Step::More);
                    }
                    let taken = rest
                        .len()
                        .min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                    self.remaining -= taken as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step::Data {
                        data: &rest[..taken],
                        consumed: at + taken,
                    });
                }
                State::Done => return Ok(Step::Done { consumed: at }),
                State::Broken(reject) => return Err(reject),
                _ => {}
            }
            let Some(&byte) = input.get(at) else {
                return Ok(Step::More);
            };
            at += 1;
            match self.next(byte) {
                Ok(state) => self.state = state,
                Err(reject) => {
                    self.state = State::Broken(reject);
                    return Err(reject);
                }
            }
        }
    }

    /// One byte of framing.
    fn next(&mut self, byte: u8) -> Result<State, Reject> {
        match self.state {
            State::Size => self.size(byte),
            State::SizeSpace => match byte {
                b' ' | b'\t' => self.extended(State::SizeSpace),
                b';' => Ok(State::Extension),
                _ => Err(SIZE),
            },
            State::Extension => match byte {
                b'\r' => Ok(State::SizeLf),
                _ if !text::is_value_byte(byte) => {
                    Err(Reject::bad("forbidden character in a chunk extension"))
                }
                _ => self.extended(State::Extension),
            },
            State::SizeLf if byte != b'\n' => Err(LINE_END),
            State::SizeLf if self.remaining == 0 => Ok(State::TrailerStart),
            State::SizeLf => {
                self.digits = 0;
                Ok(State::Data)
            }
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size),
            State::DataCr | State::DataLf => Err(Reject::bad("chunk data not followed by CR LF")),
            State::TrailerStart if byte == b'\r' => Ok(State::LastLf),
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf => {
                self.trailer(byte)
            }
            State::LastLf if byte == b'\n' => Ok(State::Done),
            State::LastLf => Err(LINE_END),
            // `step` returns before it asks for a byte in these.
            state @ (State::Data | State::Done | State::Broken(_)) => Ok(state),
        }
    }

    /// One byte more that is no size and no data.
    fn extended(&mut self, state: State) -> Result<State, Reject> {
        count(
            &mut self.extension_bytes,
            EXTENSION_BYTES_MAX,
            Reject::bad("chunk extensions too long"),
        )?;
        Ok(state)
    }

    fn size(&mut self, byte: u8) -> Result<State, Reject> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(State::SizeLf),
            b';' if self.digits > 0 => return Ok(State::Extension),
            b' ' | b'\t' if self.digits > 0 => return self.extended(State::SizeSpace),
            _ => return Err(SIZE),
        };
        if self.digits == 0 {
            self.remaining = 0;
        }
        self.digits += 1;
        if self.digits > SIZE_DIGITS_MAX || self.remaining > CHUNK_MAX >> 4 {
            return Err(Reject::bad("chunk size too large"));
        }
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(State::Size)
    }

    /// RFC 9112 7.1.2; a line that starts with a space would be obs-fold and is no token.
    fn trailer(&mut self, byte: u8) -> Result<State, Reject> {
        const MALFORMED: Reject = Reject::bad("malformed trailer");
        count(
            &mut self.trailer_bytes,
            TRAILER_BYTES_MAX,
            Reject::new(431, "trailers too large"),
        )?;
        match (self.state, byte) {
            (State::TrailerStart | State::TrailerName, _) if text::is_token_byte(byte) => {
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if text::is_value_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(MALFORMED),
        }
    }
}

const SIZE: Reject = Reject::bad("malformed chunk size");
const LINE_END: Reject = Reject::bad("chunk line does not end in CR LF");

fn count(counter: &mut u32, max: u32, reject: Reject) -> Result<(), Reject> {
    *counter += 1;
    if *counter > max { Err(reject) } else { Ok(()) }
}

/// What follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends the last chunk and trailer lines, each with its CR LF, as they were judged by the caller.
pub fn append_last(out: &mut Vec<u8>, trailers: &[u8]) {
    debug_assert!(trailers.is_empty() || trailers.ends_with(b"\r\n"));
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

/// The line before the data of a chunk: hex size, CR LF. For vectored sends; see [`append`] for the other way.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    bytes: [u8; 18],
    /// `bytes[first..]` is the line.
    first: u8,
}

impl ChunkHead {
    /// `size` must not be 0: that line would end the body.
    pub fn new(size: usize) -> ChunkHead {
        debug_assert!(size > 0, "an empty chunk ends the body");
        let mut head = ChunkHead {
            bytes: [0; 18],
            first: 16,
        };
        head.bytes[16..].copy_from_slice(b"\r\n");
        let mut rest = size;
        while rest > 0 {
            head.first -= 1;
            head.bytes[usize::from(head.first)] = b"0123456789abcdef"[rest & 15];
            rest >>= 4;
        }
        head
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.first)..]
    }
}

/// Appends `data` as one chunk; nothing for empty data.
pub fn append(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(ChunkHead::new(data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(CHUNK_END);
}

/// Fuzz: never panics, the same body whether read at once or cut at a byte taken from the input.
pub fn fuzz_chunked(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else {
        return;
    };
    let whole = decode_pieces(&[data]);
    let cut = usize::from(cut).min(data.len());
    assert_eq!(
        whole,
        decode_pieces(&[&data[..cut], &data[cut..]]),
        "cut at {cut}"
    );
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(whole, decode_pieces(&bytes), "byte by byte");
    if let Ok((body, Some(end))) = &whole {
        assert!(data[..*end].ends_with(b"\r\n") && body.len() + 5 <= *end);
    }
}

/// The body of `pieces` read one after the other, and where it ended, if it did.
fn decode_pieces(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), Reject> {
    let mut decoder = Decoder::new();
    let (mut body, mut before) = (Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        loop {
            match decoder.step(&piece[at..])? {
                Step::More => break,
                Step::Data { data, consumed } => {
                    body.extend_from_slice(data);
                    at += consumed;
                }
                Step::Done { consumed } => return Ok((body, Some(before + at + consumed))),
            }
        }
        before += piece.len();
    }
    Ok((body, None))
}

#[cfg(test)]
mod tests;
