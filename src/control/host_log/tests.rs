use super::*;

fn cut(pieces: &[&[u8]]) -> Vec<(String, String)> {
    let mut cutter = Cutter::new("shop");
    let mut out = Vec::new();
    for piece in pieces {
        cutter.feed(piece, 0, &mut out);
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
    let entries = cut(&[
        b"[shop w3] hello\n[shop] started\n[shop w12] \n[2026-11-23 10:00:00] [INFO] mine\n",
        b"[shop wx] no\n[other w1] no\n[shop w1]bare\n",
    ]);
    assert_eq!(
        entries,
        said(&[
            ("", "started"),
            ("", "[2026-11-23 10:00:00] [INFO] mine"),
            ("", "[shop wx] no"),
            ("w3", "hello"),
            ("", "[other w1] no"),
            ("w1", "bare"),
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
    let mut cutter = Cutter::new("shop");
    let mut out = Vec::new();
    cutter.feed(
        b"Traceback (most recent call last):\n  x\nE: y\nhello\n",
        0,
        &mut out,
    );
    cutter.finish(&mut out);
    let levels: Vec<_> = out.iter().map(|entry| entry.level).collect();
    assert_eq!(levels, [LogLevel::Error, LogLevel::Info]);
}

#[test]
fn two_workers_tracebacks_do_not_mix() {
    let text = b"[shop w1] Traceback (most recent call last):\n[shop w2] Traceback (most recent call last):\n\
        [shop w1]   File x\n[shop w2]   File y\n[shop w2] E: 2\n[shop w1] E: 1\n";
    assert_eq!(
        cut(&[text]),
        said(&[
            ("w1", "Traceback (most recent call last):\n  File x\nE: 1"),
            ("w2", "Traceback (most recent call last):\n  File y\nE: 2"),
        ])
    );
}

#[test]
fn entries_leave_when_nothing_continues_them() {
    let mut cutter = Cutter::new("shop");
    let mut out = Vec::new();
    cutter.feed(b"Traceback (most recent call last):\n", 1000, &mut out);
    cutter.feed(b"  File x\nhal", 2000, &mut out);
    cutter.expire(1000 + HOLD_NS, &mut out);
    assert!(out.is_empty() && cutter.is_waiting());
    cutter.expire(2000 + HOLD_NS, &mut out);
    assert_eq!(out.len(), 1);
    assert!(!cutter.is_waiting());
    cutter.feed(b"f\n", 3000 + HOLD_NS, &mut out);
    cutter.expire(u64::MAX, &mut out);
    assert_eq!(out[1].message, "half");
}

#[test]
fn many_speakers_are_bounded() {
    let mut text = String::new();
    for worker in 0..2 * GROUPS_MAX {
        text += &format!("[shop w{worker}] x\n");
    }
    let mut cutter = Cutter::new("shop");
    let mut out = Vec::new();
    cutter.feed(text.as_bytes(), 0, &mut out);
    assert_eq!((cutter.groups.len(), out.len()), (GROUPS_MAX, GROUPS_MAX));
}

#[test]
fn an_endless_line_is_cut_and_nothing_is_lost() {
    let mut cutter = Cutter::new("shop");
    let mut out = Vec::new();
    for _ in 0..100 {
        cutter.feed(&[b'x'; 1000], 0, &mut out);
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
