//! One frame's head and its mask (RFC 6455 5.2), both ways.
//!
//! The reading side is incremental: a head may come byte by byte. Invariant: a [`Head`] that is returned passed every
//! check that needs no memory of earlier frames.

use super::{CONTROL_BYTES_MAX, Fault};

pub const FIN: u8 = 0x80;
/// The payload's first frame says so: it is compressed (RFC 7692 6).
pub const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;
/// A head is at most 2 bytes, 8 of length and 4 of mask.
const HEAD_BYTES_MAX: usize = 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn of(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }
}

/// A client's frame, before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub opcode: Opcode,
    pub fin: bool,
    pub compressed: bool,
    pub length: u64,
    pub mask: [u8; 4],
}

/// Gathers the bytes of one head. Invariant: `have` bytes of `bytes` are there, fewer than the head has.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadReader {
    bytes: [u8; HEAD_BYTES_MAX],
    have: u8,
}

impl HeadReader {
    /// Reads on; the count is what of `input` was used. `None`: all of it, and more is needed.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), Fault> {
        let mut used = 0;
        loop {
            let have = usize::from(self.have);
            // Judged as soon as two bytes are there, so that a fault needs no further byte to show.
            let need = if have < 2 {
                2
            } else {
                judge(self.bytes[0], self.bytes[1])?
            };
            if have == need {
                self.have = 0;
                return Ok((used, Some(parse(&self.bytes)?)));
            }
            let count = (need - have).min(input.len() - used);
            if count == 0 {
                return Ok((used, None));
            }
            self.bytes[have..have + count].copy_from_slice(&input[used..used + count]);
            self.have += count as u8;
            used += count;
        }
    }

    /// Nothing of a head has come yet.
    pub fn is_empty(&self) -> bool {
        self.have == 0
    }
}

/// Length of the whole head; faults of its first two bytes.
fn judge(first: u8, second: u8) -> Result<usize, Fault> {
    let opcode = Opcode::of(first & 0x0f).ok_or(Fault::protocol("reserved opcode"))?;
    if first & RESERVED != 0 {
        return Err(Fault::protocol("reserved bit set"));
    }
    if second & MASKED == 0 {
        return Err(Fault::protocol("frame not masked"));
    }
    let short = second & 0x7f;
    if opcode.is_control() {
        if first & FIN == 0 {
            return Err(Fault::protocol("fragmented control frame"));
        }
        if first & RSV1 != 0 {
            return Err(Fault::protocol("compressed control frame"));
        }
        if usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Fault::protocol("control frame too long"));
        }
    }
    Ok(match short {
        126 => 8,
        127 => 14,
        _ => 6,
    })
}

fn parse(bytes: &[u8; HEAD_BYTES_MAX]) -> Result<Head, Fault> {
    let be = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let (length, mask_at, least) = match bytes[1] & 0x7f {
        126 => (be(2, 4), 4, 126),
        127 => (be(2, 10), 10, 0x1_0000),
        short => (u64::from(short), 2, 0),
    };
    if length < least {
        return Err(Fault::protocol("length not in its shortest form"));
    }
    if length >> 63 != 0 {
        return Err(Fault::protocol("length out of range"));
    }
    Ok(Head {
        opcode: Opcode::of(bytes[0] & 0x0f).ok_or(Fault::protocol("reserved opcode"))?,
        fin: bytes[0] & FIN != 0,
        compressed: bytes[0] & RSV1 != 0,
        length,
        mask: [
            bytes[mask_at],
            bytes[mask_at + 1],
            bytes[mask_at + 2],
            bytes[mask_at + 3],
        ],
    })
}

/// The head of a frame of ours, unmasked. `flags` are [`FIN`] and [`RSV1`].
#[derive(Clone, Copy, Debug)]
pub struct FrameHead {
    bytes: [u8; 10],
    length: u8,
}

impl FrameHead {
    pub fn new(opcode: Opcode, flags: u8, payload_bytes: usize) -> FrameHead {
        debug_assert!(flags & !(FIN | RSV1) == 0);
        debug_assert!(!opcode.is_control() || payload_bytes <= CONTROL_BYTES_MAX);
        let mut bytes = [0; 10];
        bytes[0] = flags | opcode as u8;
        let length = match payload_bytes {
            0..126 => {
                bytes[1] = payload_bytes as u8;
                2
            }
            126..0x1_0000 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
                10
            }
        };
        FrameHead { bytes, length }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Appends `masked` to `out` without its mask. `at`: how many bytes of the frame's payload came before.
pub fn append_unmasked(out: &mut Vec<u8>, masked: &[u8], mask: [u8; 4], at: u64) {
    let start = out.len();
    out.extend_from_slice(masked);
    unmask(&mut out[start..], mask, at);
}

/// Removes (or applies) the mask in place.
pub fn unmask(bytes: &mut [u8], mask: [u8; 4], at: u64) {
    let mut turned = mask;
    turned.rotate_left((at % 4) as usize);
    let word = u32::from_ne_bytes(turned);
    let wide = u64::from(word) << 32 | u64::from(word);
    // Whole words first, which the compiler turns into vectors: 30 GB/s against 1.5 byte by byte.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmasking_is_the_same_at_any_place() {
        let mask = [1, 2, 4, 200];
        let plain: Vec<u8> = (0..100u8).collect();
        let masked: Vec<u8> = plain
            .iter()
            .zip(mask.into_iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        for cut in 0..100 {
            let mut out = Vec::new();
            append_unmasked(&mut out, &masked[..cut], mask, 0);
            append_unmasked(&mut out, &masked[cut..], mask, cut as u64);
            assert_eq!(out, plain);
        }
    }

    #[test]
    fn heads_of_ours_take_the_shortest_form() {
        for (length, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(
                FrameHead::new(Opcode::Binary, FIN, length).as_bytes(),
                expected
            );
        }
    }

    #[test]
    fn a_fault_shows_with_the_second_byte() {
        for (bytes, reason) in [
            ([0x83, 0x80], "reserved opcode"),
            ([0x8b, 0x80], "reserved opcode"),
            ([0xa1, 0x80], "reserved bit set"),
            ([0x91, 0x80], "reserved bit set"),
            ([0x81, 0x00], "frame not masked"),
            ([0x09, 0x80], "fragmented control frame"),
            ([0x89, 0xfe], "control frame too long"),
            ([0xc8, 0x80], "compressed control frame"),
        ] {
            let fault = HeadReader::default().read(&bytes).expect_err("a fault");
            assert_eq!(fault, Fault::protocol(reason), "{bytes:x?}");
        }
        for bytes in [
            &[0x82, 0xfe, 0, 125, 0, 0, 0, 0][..],
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0],
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(HeadReader::default().read(bytes).is_err(), "{bytes:x?}");
        }
    }
}
