//! What is agreed on, the examples of the RFC, and messages there and back.

use super::*;
use crate::seed::Seed;

fn said(offer: &str, policy: &Policy) -> Option<String> {
    let agreed = negotiate(std::iter::once(offer.as_bytes()), policy)?;
    let mut out = Vec::new();
    agreed.append(&mut out);
    Some(String::from_utf8(out).expect("ASCII"))
}

#[test]
fn offers_are_judged_as_rfc_7692_7_1_says() {
    let all = Policy::default();
    for (offer, answer) in [
        ("permessage-deflate", Some("permessage-deflate")),
        ("foo, permessage-deflate", Some("permessage-deflate")),
        (
            "permessage-deflate; client_max_window_bits",
            Some("permessage-deflate"),
        ),
        (
            "permessage-deflate; client_max_window_bits=\"10\"",
            Some("permessage-deflate"),
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        (
            "permessage-deflate; server_max_window_bits=8; server_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover; server_max_window_bits=8"),
        ),
        (
            "permessage-deflate;client_no_context_takeover",
            Some("permessage-deflate; client_no_context_takeover"),
        ),
        (
            "permessage-deflate; server_max_window_bits=16, permessage-deflate; client_max_window_bits",
            Some("permessage-deflate"),
        ),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=08", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            None,
        ),
        ("permessage-deflate; mystery", None),
        ("permessage-deflate; ", None),
        ("permessage-bzip2", None),
        ("", None),
    ] {
        assert_eq!(said(offer, &all).as_deref(), answer, "{offer}");
    }
    assert_eq!(
        said("permessage-deflate", &Policy::FRUGAL).as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    );
}

fn inflate_all(inflater: &mut Inflater, input: &[u8], room: usize) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), input);
    loop {
        let mut out = Vec::new();
        let used = inflater.inflate(rest, &mut out, room).expect("good data");
        rest = &rest[used..];
        let more = out.len() == room;
        all.extend(out);
        if rest.is_empty() && !more {
            break;
        }
    }
    loop {
        let mut out = Vec::new();
        let done = inflater.finish(&mut out, room).expect("good data");
        all.extend(out);
        if done {
            return all;
        }
    }
}

#[test]
fn the_examples_of_rfc_7692_7_2_3() {
    let hello: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let again: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];
    let stored: &[u8] = &[
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    let last: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two: &[u8] = &[
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    for room in [1, 2, 5, 6, 100] {
        let mut inflater = Inflater::new();
        for message in [hello, again, stored, last, two, stored, hello, again] {
            assert_eq!(
                inflate_all(&mut inflater, message, room),
                b"Hello",
                "{message:x?} {room}"
            );
        }
        assert_eq!(inflate_all(&mut inflater, &[0], room), b"");
        inflater.rest();
        let mut out = Vec::new();
        let cut = inflater
            .inflate(again, &mut out, 10)
            .and_then(|_| inflater.finish(&mut out, 10));
        assert_eq!(cut, Err(BROKEN), "the window was kept");
    }
}

#[test]
fn what_is_deflated_inflates_to_the_same() {
    let mut seed = Seed::new(3);
    for takeover in [true, false] {
        for bits in [9, 12, 15] {
            let (mut deflater, mut inflater) = (Deflater::new(bits), Inflater::new());
            for round in 0..60 {
                let length = seed.below(if round % 10 == 0 { 100_000 } else { 300 });
                let letters = 1 + seed.below(255);
                let message: Vec<u8> = (0..length).map(|_| seed.below(letters) as u8).collect();
                let mut wire = Vec::new();
                let mut rest = &message[..];
                while seed.below(3) > 0 && !rest.is_empty() {
                    let (piece, after) = rest.split_at(seed.below(rest.len() as u64) as usize);
                    deflater.deflate(piece, &mut wire);
                    rest = after;
                }
                deflater.finish(rest, &mut wire);
                let room = 1 + seed.below(5000) as usize;
                assert!(inflate_all(&mut inflater, &wire, room) == message);
                if !takeover {
                    deflater.rest();
                    inflater.rest();
                }
            }
        }
    }
}

#[test]
fn a_bomb_yields_what_there_is_room_for() {
    let mut deflater = Deflater::new(15);
    let mut bomb = Vec::new();
    deflater.finish(&vec![0; 50_000_000], &mut bomb);
    assert!(bomb.len() < 500_000);
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    let used = inflater
        .inflate(&bomb, &mut out, 65_536)
        .expect("good data");
    assert!(out.len() == 65_536 && used < bomb.len());
}
