//! The extension's pure files. They are compiled here as well, because a test cannot link the extension: its C API comes from the interpreter that loads it.

#![allow(dead_code, reason = "each file's public face is wider than its tests")]

#[path = "../../src/apphost/backoff.rs"]
mod backoff;
#[path = "../../src/apphost/header.rs"]
mod header;
#[path = "../../src/apphost/lease.rs"]
mod lease;

use backoff::Backoff;
use lease::{Denied, Lease};
use std::time::{Duration, Instant};

#[test]
fn a_status_is_three_digits_a_space_and_a_text() {
    assert_eq!(header::status(b"200 OK"), Ok((200, &b"OK"[..])));
    assert_eq!(
        header::status(b"404 Not  Found"),
        Ok((404, &b"Not  Found"[..]))
    );
    assert_eq!(header::status(b"999 "), Ok((999, &b""[..])));
    for bad in [
        &b""[..],
        b"200",
        b"2000 X",
        b"20 OK",
        b"200OK",
        b" 200 OK",
        b"+20 OK",
        b"100 Continue",
        b"000 X",
        b"200 O\nK",
        b"200 \x7F",
    ] {
        assert!(header::status(bad).is_err(), "{}", bad.escape_ascii());
    }
}

#[test]
fn names_are_tokens_and_values_have_no_controls() {
    assert_eq!(header::name(b"X-Some_Name!#$%&'*+.^`|~9"), Ok(()));
    for bad in [&b""[..], b"a b", b"a:", b"a\r\nb", b"\xE4", b"a\0", b"(a)"] {
        assert!(header::name(bad).is_err(), "{}", bad.escape_ascii());
    }
    assert_eq!(header::value(b"text with \t and \xE4"), Ok(()));
    for bad in [&b"a\nb"[..], b"a\rb", b"a\0b", b"\x1B[0m", b"\x7F"] {
        assert!(header::value(bad).is_err(), "{}", bad.escape_ascii());
    }
}

#[test]
fn hop_by_hop_headers_are_known_in_any_case() {
    for name in [
        "Connection",
        "KEEP-ALIVE",
        "te",
        "Trailer",
        "Trailers",
        "transfer-encoding",
        "Upgrade",
        "Proxy-Authenticate",
        "proxy-authorization",
    ] {
        assert!(header::is_hop_by_hop(name.as_bytes()), "{name}");
    }
    for name in [
        "Content-Type",
        "Cookie",
        "Title",
        "Tea",
        "Connections",
        "X-Upgrade",
        "Keep",
    ] {
        assert!(!header::is_hop_by_hop(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_length_is_digits() {
    assert_eq!(header::content_length(b"0"), Some(0));
    assert_eq!(header::content_length(b"0042"), Some(42));
    assert_eq!(
        header::content_length(b"9999999999999999999"),
        Some(9_999_999_999_999_999_999)
    );
    for bad in [
        &b""[..],
        b"-1",
        b"+1",
        b" 1",
        b"1 ",
        b"0x1",
        b"1,1",
        b"99999999999999999999",
    ] {
        assert_eq!(header::content_length(bad), None, "{}", bad.escape_ascii());
    }
}

#[test]
fn workers_that_had_come_up_are_replaced_at_once_until_it_is_a_loop() {
    let mut backoff = Backoff::default();
    let mut now = Instant::now();
    let pauses: Vec<u64> = (0..10)
        .map(|_| backoff.after(true, now).as_secs())
        .collect();
    assert_eq!(pauses, [0; 10]);
    for _ in 0..5 {
        let pause = backoff.after(true, now);
        assert_eq!(pause, Duration::from_secs(1));
        now += pause;
    }
    now += Duration::from_secs(60);
    assert_eq!(backoff.after(true, now), Duration::ZERO);
    assert_eq!(backoff.early_deaths(), 0);
}

#[test]
fn workers_that_never_come_up_are_tried_ever_more_seldom() {
    let mut backoff = Backoff::default();
    let early = Instant::now();
    let pauses: Vec<u128> = (0..10)
        .map(|_| backoff.after(false, early).as_millis())
        .collect();
    assert_eq!(
        pauses,
        [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
    );
    for _ in 0..100 {
        assert_eq!(backoff.after(false, early), Duration::from_secs(10));
    }
    assert_eq!(backoff.early_deaths(), 110);
    // One that came up tells that starting works.
    assert_eq!(backoff.after(true, early), Duration::ZERO);
    assert_eq!(backoff.after(false, early), Duration::ZERO);
    assert_eq!(backoff.after(false, early), Duration::from_millis(100));
}

#[test]
fn a_lease_is_taken_away_only_while_python_runs() {
    let lease = Lease::default();
    assert_eq!(lease.hold(), Ok(()));
    assert!(!lease.revoke());
    assert_eq!(lease.hold(), Err(Denied::Busy));
    lease.release();
    assert!(lease.revoke());
    assert_eq!(lease.hold(), Err(Denied::Revoked));
    assert!(!lease.revoke());
}
