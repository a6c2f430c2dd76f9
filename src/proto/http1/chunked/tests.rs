//! Chunked bodies: accepted, refused, bounded, and the same in every fragmentation.

use super::*;

fn decode(input: &[u8]) -> Result<(Vec<u8>, Option<usize>), Reject> {
    let whole = decode_pieces(&[input]);
    for cut in 0..=input.len() {
        assert_eq!(
            whole,
            decode_pieces(&[&input[..cut], &input[cut..]]),
            "cut at {cut} of {input:?}"
        );
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(whole, decode_pieces(&bytes), "byte by byte {input:?}");
    whole
}

#[test]
fn bodies_are_decoded_in_any_fragmentation() {
    for (input, body, end) in [
        (&b"0\r\n\r\n"[..], &b""[..], 5),
        (b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", 15),
        (
            b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            b"hello world",
            26,
        ),
        (b"00000005\r\nhello\r\n0000\r\n\r\n", b"hello", 25),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", 20),
        (
            b"A;x=y;q=\"a b\"\r\n0123456789\r\n0;last\r\n\r\n",
            b"0123456789",
            37,
        ),
        (b"5 \t; a\r\nhello\r\n0\r\n\r\n", b"hello", 20),
        (b"1\r\nx\r\n0\r\nX-Sum: 1\r\nB:\r\n\r\nrest", b"x", 25),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", 12),
    ] {
        assert_eq!(decode(input), Ok((body.to_vec(), Some(end))), "{input:?}");
    }
}

#[test]
fn unfinished_bodies_are_not_complete() {
    let input = b"5\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for cut in 0..input.len() {
        let (_, end) = decode(&input[..cut]).expect("a prefix is no fault");
        assert_eq!(end, None, "cut at {cut}");
    }
}

#[test]
fn malformed_bodies_are_refused() {
    for input in [
        &b"\r\n"[..],
        b"g\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\t\r\nhello\r\n",
        b"5 5;a\r\nhello\r\n",
        b"5 \n;a\r\nhello\r\n",
        b"5_0\r\n",
        b";a\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhellox\r\n0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\rhello\r\n",
        b"5\rhello\r\n",
        b"5;a\nhello\r\n",
        b"5;a\0\r\nhello\r\n",
        b"5;a\r\r\nhello\r\n",
        b"0\r\n\n",
        b"0\r\n\rX",
        b"0\r\n X: folded\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n: y\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"00000000000000005\r\nhello\r\n",
        b"fffffffffffffffff\r\n",
        b"ffffffffffffffff\r\n",
        b"8000000000000000\r\n",
        b"\xef\xbc\x95\r\nhello\r\n",
    ] {
        let result = decode(input);
        assert!(
            matches!(result, Err(Reject { status: 400, .. })),
            "{input:?} gave {result:?}"
        );
    }
}

#[test]
fn extensions_and_trailers_are_bounded_over_the_whole_body() {
    let mut input = Vec::new();
    for _ in 0..200 {
        input.extend_from_slice(b"1;");
        input.extend_from_slice(&[b'e'; 100]);
        input.extend_from_slice(b"\r\nx\r\n");
    }
    assert_eq!(
        decode_pieces(&[&input]),
        Err(Reject::bad("chunk extensions too long"))
    );
    let mut input = b"0\r\n".to_vec();
    for _ in 0..100 {
        input.extend_from_slice(b"X: ");
        input.extend_from_slice(&[b't'; 100]);
        input.extend_from_slice(b"\r\n");
    }
    assert_eq!(decode_pieces(&[&input]).expect_err("too long").status, 431);
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new();
    assert!(decoder.step(b"x").is_err());
    assert!(decoder.step(b"0\r\n\r\n").is_err());
}

#[test]
fn the_encoder_writes_what_the_decoder_reads() {
    let mut out = Vec::new();
    let mut body = Vec::new();
    for size in [1usize, 15, 16, 17, 255, 256, 4096, 70000] {
        let piece = vec![b'a' + (size % 26) as u8; size];
        append(&mut out, &piece);
        body.extend_from_slice(&piece);
    }
    append(&mut out, b"");
    out.extend_from_slice(LAST_CHUNK);
    assert_eq!(decode_pieces(&[&out]), Ok((body, Some(out.len()))));
    assert_eq!(
        ChunkHead::new(usize::MAX).as_bytes(),
        b"ffffffffffffffff\r\n"
    );
}
