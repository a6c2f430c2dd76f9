use super::*;

fn cut(pieces: &[&[u8]]) -> Vec<(String, String)> {
    let mut cutter = Cutter::default();
    let mut out = Vec::new();
    for piece in pieces {
        cutter.feed(piece, &mut out);
    }
    cutter.finish(&mut out);
    out.into_iter()
        .map(|entry| (entry.worker, entry.message))
        .collect()
}

fn said(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries
        .iter()
        .map(|(worker, message)| ((*worker).to_owned(), (*message).to_owned()))
        .collect()
}

#[test]
fn lines_are_entries_however_they_arrive() {
    let whole = cut(&[b"one\ntwo\r\n\nthree"]);
    assert_eq!(whole, said(&[("", "one"), ("", "two"), ("", "three")]));
    let bytes = b"one\ntwo\r\n\nthree";
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(cut(&pieces), whole);
}

#[test]
fn workers_keep_their_names() {
    assert_eq!(
        cut(&[b"[shop w3] hello\n[shop[2] w12] there\n[2026-11-23 10:00:00] [INFO] mine\n[shop wx] no\n"]),
        said(&[
            ("w3", "hello"),
            ("w12", "there"),
            ("", "[2026-11-23 10:00:00] [INFO] mine"),
            ("", "[shop wx] no"),
        ])
    );
}

#[test]
fn a_traceback_is_one_entry() {
    let text = "Internal Server Error: /x\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\n    ~^^\n\
        ValueError: bad\n\nDuring handling of the above exception, another exception occurred:\n\n\
        Traceback (most recent call last):\n  File \"b.py\", line 2\nKeyError: 'x'\nnext line\n";
    let entries = cut(&[text.as_bytes()]);
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert!(
        entries[0]
            .1
            .starts_with("Internal Server Error: /x\nTraceback")
    );
    assert!(entries[0].1.ends_with("KeyError: 'x'"));
    assert_eq!(entries[1].1, "next line");
}

#[test]
fn a_traceback_is_an_error_and_a_print_is_not() {
    let mut cutter = Cutter::default();
    let mut out = Vec::new();
    cutter.feed(
        b"Traceback (most recent call last):\n  x\nE: y\nhello\n",
        &mut out,
    );
    cutter.finish(&mut out);
    let levels: Vec<_> = out.iter().map(|entry| entry.level).collect();
    assert_eq!(levels, [LogLevel::Error, LogLevel::Info]);
}

#[test]
fn two_workers_tracebacks_do_not_mix() {
    let text =
        b"[a w1] Traceback (most recent call last):\n[a w2] hello\n[a w1]   File x\n[a w1] E: y\n";
    let entries = cut(&[text]);
    assert_eq!(entries[1], ("w2".to_owned(), "hello".to_owned()));
}

#[test]
fn a_pause_lets_go_but_keeps_half_a_line() {
    let mut cutter = Cutter::default();
    let mut out = Vec::new();
    cutter.feed(b"whole\nhal", &mut out);
    cutter.pause(&mut out);
    assert_eq!(out.len(), 1);
    cutter.feed(b"f\n", &mut out);
    cutter.pause(&mut out);
    assert_eq!(out[1].message, "half");
}

#[test]
fn an_endless_line_is_cut_and_nothing_is_lost() {
    let mut cutter = Cutter::default();
    let mut out = Vec::new();
    for _ in 0..100 {
        cutter.feed(&[b'x'; 1000], &mut out);
        assert!(cutter.partial.len() <= LINE_BYTES_MAX);
    }
    cutter.finish(&mut out);
    assert_eq!(
        out.iter().map(|entry| entry.message.len()).sum::<usize>(),
        100_000
    );
}

#[test]
fn an_endless_traceback_is_cut() {
    let mut text = b"Traceback (most recent call last):\n".to_vec();
    for _ in 0..2 * ENTRY_LINES_MAX {
        text.extend_from_slice(b"  deeper\n");
    }
    assert_eq!(cut(&[&text]).len(), 3);
}

#[test]
fn invalid_utf8_is_replaced() {
    assert_eq!(cut(&[b"a\xffb\n"]), said(&[("", "a\u{fffd}b")]));
}
