//! Whole conversations: tables of cases after the Autobahn test suite's sections, and messages there and back.

use super::deflate::{Agreed, Machines, Policy, negotiate};
use super::frame::{FIN, Opcode, RSV1, unmask};
use super::reader::{Reader, Step};
use super::writer::{Writer, append_close, append_control};
use super::{Kind, clip_reason, close};
use crate::seed::Seed;

const LIMIT: usize = 1 << 20;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    let start = out.len();
    out.extend(payload);
    unmask(&mut out[start..], MASK, 0);
    out
}

const TEXT: u8 = FIN | 1;
const BINARY: u8 = FIN | 2;
const CLOSE: u8 = FIN | 8;
const PING: u8 = FIN | 9;
const PONG: u8 = FIN | 10;

/// What a conversation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    Fault(u16),
}

fn text(text: &str) -> Said {
    Said::Text(text.into())
}

fn binary(bytes: &[u8]) -> Said {
    Said::Binary(bytes.into())
}

/// Reads all of it, in pieces of at most `cut` bytes and with so much room.
fn read(reader: &mut Reader, input: &[u8], cut: usize, room: usize) -> Vec<Said> {
    let mut machines = Machines::default();
    let (mut said, mut message) = (Vec::new(), Vec::new());
    for piece in input.chunks(cut) {
        let mut rest = piece;
        loop {
            let step = match reader.step(rest, &mut message, room, &mut machines) {
                Ok((used, step)) => {
                    rest = &rest[used..];
                    step
                }
                Err(fault) => {
                    said.push(Said::Fault(fault.code));
                    return said;
                }
            };
            match step {
                Step::More => break,
                Step::Data { end: false, .. } => {}
                Step::Data { kind, end: true } => {
                    let message = std::mem::take(&mut message);
                    said.push(match kind {
                        Kind::Text => Said::Text(message),
                        Kind::Binary => Said::Binary(message),
                    });
                }
                Step::Ping => said.push(Said::Ping(reader.control().to_vec())),
                Step::Pong => said.push(Said::Pong(reader.control().to_vec())),
                Step::Close { code } => said.push(Said::Close(code, reader.reason().into())),
            }
        }
    }
    said
}

fn agreed(offer: &str, policy: &Policy) -> Option<Agreed> {
    negotiate(std::iter::once(offer.as_bytes()), policy)
}

fn check(input: &[u8], expected: &[Said]) {
    for (cut, room) in [(usize::MAX, usize::MAX), (1, 1), (2, 100), (1000, 7)] {
        let mut reader = Reader::new(LIMIT, None);
        assert_eq!(
            read(&mut reader, input, cut, room),
            expected,
            "{} in pieces of {cut}",
            input.escape_ascii()
        );
    }
}

#[test]
fn messages_of_every_length() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![b'*'; length];
        check(
            &[frame(TEXT, &payload), frame(BINARY, &payload)].concat(),
            &[Said::Text(payload.clone()), Said::Binary(payload)],
        );
    }
}

#[test]
fn pings_and_pongs() {
    let long = [0xfe; 125];
    check(
        &[
            frame(PING, b""),
            frame(PING, &long),
            frame(PONG, b"unasked"),
            frame(PING, b"a\0\xff"),
        ]
        .concat(),
        &[
            Said::Ping(vec![]),
            Said::Ping(long.into()),
            Said::Pong(b"unasked".into()),
            Said::Ping(b"a\0\xff".into()),
        ],
    );
    check(&frame(PING, &[0; 126]), &[Said::Fault(1002)]);
}

#[test]
fn reserved_bits_and_opcodes_end_it() {
    for first in [0xc1, 0xa1, 0x91, 0xf1, 0xc9, 0xb8, 0x40, 0x20]
        .into_iter()
        .chain([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|code| FIN | code))
    {
        let input = [
            frame(TEXT, b"fine"),
            frame(first, b"x"),
            frame(TEXT, b"late"),
        ]
        .concat();
        check(&input, &[text("fine"), Said::Fault(1002)]);
    }
}

#[test]
fn frames_without_a_mask_end_it() {
    check(&[TEXT, 1, b'x'], &[Said::Fault(1002)]);
    check(&[PING, 0], &[Said::Fault(1002)]);
}

#[test]
fn fragments() {
    let (first, middle, last) = (1, 0, FIN);
    // Fragmented control frames.
    check(&frame(9, b"x"), &[Said::Fault(1002)]);
    check(&frame(10, b""), &[Said::Fault(1002)]);
    check(
        &[
            frame(first, b"frag"),
            frame(PING, b"!"),
            frame(middle, b""),
            frame(middle, b"ment"),
            frame(PONG, b""),
            frame(last, b"s"),
            frame(TEXT, b"whole"),
        ]
        .concat(),
        &[
            Said::Ping(b"!".into()),
            Said::Pong(vec![]),
            text("fragments"),
            text("whole"),
        ],
    );
    check(
        &[frame(2, b""), frame(middle, b""), frame(last, b"")].concat(),
        &[binary(b"")],
    );
    check(&frame(last, b"of what"), &[Said::Fault(1002)]);
    check(&frame(middle, b"of what"), &[Said::Fault(1002)]);
    check(
        &[frame(TEXT, b"a"), frame(last, b"b")].concat(),
        &[text("a"), Said::Fault(1002)],
    );
    check(
        &[frame(first, b"a"), frame(TEXT, b"b")].concat(),
        &[Said::Fault(1002)],
    );
    check(
        &[frame(2, b"a"), frame(2, b"b")].concat(),
        &[Said::Fault(1002)],
    );
}

#[test]
fn text_is_utf_8() {
    let greek = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}";
    check(&frame(TEXT, greek.as_bytes()), &[text(greek)]);
    let bytes = greek.as_bytes();
    for at in 0..bytes.len() {
        check(
            &[frame(1, &bytes[..at]), frame(FIN, &bytes[at..])].concat(),
            &[text(greek)],
        );
    }
    for bad in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\x80",
        b"\xff",
        b"ends in the middle \xe2\x82",
    ] {
        check(&frame(TEXT, bad), &[Said::Fault(1007)]);
        check(
            &[frame(1, bad), frame(FIN, b"")].concat(),
            &[Said::Fault(1007)],
        );
        check(&frame(BINARY, bad), &[binary(bad)]);
    }
    // The fault shows before the message, or even the frame, is whole.
    let mut reader = Reader::new(LIMIT, None);
    let input = frame(1, b"good so far \xf4\x90 and on");
    assert_eq!(
        read(&mut reader, &input[..6 + 14], 1, 9),
        [Said::Fault(1007)]
    );
}

#[test]
fn closing() {
    let with = |code: u16, reason: &str| {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        frame(CLOSE, &payload)
    };
    check(&frame(CLOSE, b""), &[Said::Close(1005, String::new())]);
    check(&frame(CLOSE, b"x"), &[Said::Fault(1002)]);
    let longest = "r".repeat(123);
    for (code, reason) in [
        (1000, ""),
        (1000, "bye"),
        (3000, &longest[..]),
        (1007, "\u{20ac}"),
    ] {
        check(&with(code, reason), &[Said::Close(code, reason.into())]);
    }
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        check(&with(code, ""), &[Said::Close(code, String::new())]);
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        check(&with(code, ""), &[Said::Fault(1002)]);
    }
    let mut bad = 1000u16.to_be_bytes().to_vec();
    bad.extend(b"\xce\xba\xed\xa0\x80");
    check(&frame(CLOSE, &bad), &[Said::Fault(1007)]);
    // Nothing counts after it.
    check(
        &[with(1000, ""), frame(TEXT, b"late"), vec![0xff, 0xff]].concat(),
        &[Said::Close(1000, String::new())],
    );
    // Within a message.
    check(
        &[frame(1, b"cut"), with(1001, "off")].concat(),
        &[Said::Close(1001, "off".into())],
    );
}

#[test]
fn a_message_has_a_limit() {
    let mut reader = Reader::new(1000, None);
    let fits = [frame(2, &[1; 600]), frame(FIN, &[1; 400])].concat();
    assert_eq!(read(&mut reader, &fits, 100, 64), [binary(&[1; 1000])]);
    let beyond = [frame(2, &[1; 600]), frame(FIN, &[1; 401])].concat();
    assert_eq!(read(&mut reader, &beyond, 100, 64), [Said::Fault(1009)]);
    // The announcement is enough.
    let mut reader = Reader::new(1000, None);
    let announced = [
        BINARY, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4,
    ];
    assert_eq!(read(&mut reader, &announced, 3, 64), [Said::Fault(1009)]);
}

#[test]
fn a_bomb_is_cut_off_while_it_grows() {
    let agreed = agreed("permessage-deflate", &Policy::FRUGAL);
    let mut machines = Machines::default();
    let mut bomb = Vec::new();
    Writer::new(agreed)
        .append(
            Kind::Binary,
            &vec![0; 100_000_000],
            true,
            &mut machines,
            &mut bomb,
        )
        .expect("one message");
    let payload = &bomb[10..];
    assert!(payload.len() < 1_000_000);
    let mut reader = Reader::new(LIMIT, agreed);
    let mut out = Vec::new();
    let mut rest = &frame(BINARY | RSV1, payload)[..];
    let fault = loop {
        match reader.step(rest, &mut out, 65_536, &mut machines) {
            Ok((used, _)) => rest = &rest[used..],
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.code, close::TOO_BIG);
    assert!(out.len() <= LIMIT + 65_536 && rest.len() > payload.len() / 2);
}

#[test]
fn compressed_messages_need_an_agreement() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let agreed = agreed("permessage-deflate", &Policy::FRUGAL);
    let input = [
        frame(TEXT | RSV1, &hello),
        frame(1 | RSV1, &hello[..3]),
        frame(PING, b""),
        frame(FIN, &hello[3..]),
        frame(TEXT, b"plain"),
        frame(BINARY | RSV1, &hello),
        frame(TEXT | RSV1, &[0]),
    ]
    .concat();
    for (cut, room) in [(usize::MAX, usize::MAX), (1, 1), (3, 2)] {
        assert_eq!(
            read(&mut Reader::new(LIMIT, agreed), &input, cut, room),
            [
                text("Hello"),
                Said::Ping(vec![]),
                text("Hello"),
                text("plain"),
                binary(b"Hello"),
                text("")
            ]
        );
    }
    assert_eq!(
        read(&mut Reader::new(LIMIT, None), &input, 9, 9),
        [Said::Fault(1002)]
    );
    let continued = [frame(1 | RSV1, &hello[..3]), frame(FIN | RSV1, &hello[3..])].concat();
    assert_eq!(
        read(&mut Reader::new(LIMIT, agreed), &continued, 9, 9),
        [Said::Fault(1002)]
    );
    let broken = frame(TEXT | RSV1, b"\xff\xff\xff\xff");
    assert_eq!(
        read(&mut Reader::new(LIMIT, agreed), &broken, 9, 9),
        [Said::Fault(1007)]
    );
    // Inflated text is text too.
    let mut machines = Machines::default();
    let mut out = Vec::new();
    Writer::new(agreed)
        .append(
            Kind::Text,
            &[b"x".repeat(300), b"\xff".to_vec()].concat(),
            true,
            &mut machines,
            &mut out,
        )
        .expect("one message");
    let input = frame(TEXT | RSV1, &out[2..]);
    assert_eq!(
        read(&mut Reader::new(LIMIT, agreed), &input, 9, 9),
        [Said::Fault(1007)]
    );
}

/// As a client would send what a server's writer wrote.
fn masked(frames: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), frames);
    while let [first, length, after @ ..] = rest {
        let (length, after) = match length {
            126 => (
                usize::from(u16::from_be_bytes([after[0], after[1]])),
                &after[2..],
            ),
            127 => (
                u64::from_be_bytes(after[..8].try_into().expect("eight")) as usize,
                &after[8..],
            ),
            length => (usize::from(*length), after),
        };
        out.extend(frame(*first, &after[..length]));
        rest = &after[length..];
    }
    out
}

#[test]
fn what_is_written_is_read() {
    let mut seed = Seed::new(11);
    for (offer, policy) in [
        ("", Policy::default()),
        ("permessage-deflate", Policy::default()),
        (
            "permessage-deflate; server_max_window_bits=9",
            Policy::default(),
        ),
        (
            "permessage-deflate; server_max_window_bits=8",
            Policy::default(),
        ),
        ("permessage-deflate", Policy::FRUGAL),
    ] {
        let agreed = agreed(offer, &policy);
        let (mut writer, mut reader) = (Writer::new(agreed), Reader::new(LIMIT, agreed));
        let mut machines = Machines::default();
        for _ in 0..150 {
            let bound = [200, 3000, 200_000][seed.below(3) as usize];
            let length = seed.below(bound) as usize;
            let letters = 1 + seed.below(25) as u8;
            let message: Vec<u8> = (0..length)
                .map(|_| b'a' + (seed.below(u64::from(letters))) as u8)
                .collect();
            let kind = if seed.below(2) == 0 {
                Kind::Text
            } else {
                Kind::Binary
            };
            let mut out = Vec::new();
            let mut rest = &message[..];
            while seed.below(3) > 0 {
                let (piece, after) = rest.split_at(seed.below(rest.len() as u64 + 1) as usize);
                writer
                    .append(kind, piece, false, &mut machines, &mut out)
                    .expect("in order");
                if seed.below(2) == 0 {
                    append_control(&mut out, Opcode::Ping, b"between");
                }
                rest = after;
            }
            writer
                .append(kind, rest, true, &mut machines, &mut out)
                .expect("in order");
            let (cut, room) = (1 + seed.below(9000) as usize, 1 + seed.below(9000) as usize);
            let said = read(&mut reader, &masked(&out), cut, room);
            let messages: Vec<&Said> = said
                .iter()
                .filter(|said| **said != Said::Ping(b"between".into()))
                .collect();
            let expected = match kind {
                Kind::Text => Said::Text(message),
                Kind::Binary => Said::Binary(message),
            };
            assert!(messages == [&expected], "{offer} {length}");
            assert!(reader.is_between());
        }
    }
}

#[test]
fn two_messages_do_not_mix() {
    let mut machines = Machines::default();
    let mut writer = Writer::new(None);
    let mut out = Vec::new();
    writer
        .append(Kind::Text, b"a", false, &mut machines, &mut out)
        .expect("the first");
    assert!(
        writer
            .append(Kind::Binary, b"b", true, &mut machines, &mut out)
            .is_err()
    );
}

#[test]
fn close_frames_of_ours() {
    let long = "\u{20ac}".repeat(50);
    for (code, reason, payload) in [
        (1000, "bye", [&1000u16.to_be_bytes()[..], b"bye"].concat()),
        (1005, "unsaid", vec![]),
        (0, "", vec![]),
        (
            1011,
            &long[..],
            [&1011u16.to_be_bytes()[..], &long.as_bytes()[..123]].concat(),
        ),
    ] {
        let mut out = Vec::new();
        append_close(&mut out, code, reason);
        assert_eq!(out, [&[0x88, payload.len() as u8][..], &payload].concat());
    }
    assert_eq!(clip_reason(&long).len(), 123);
    assert_eq!(clip_reason(&format!("a{long}")).len(), 121);
}
