use super::*;
use crate::batch::HOLD_NS;
use crate::mailbox::outbox;

const WALL_NS: u64 = 1_795_395_723_123_000_000; // 2026-11-23T01:02:03.123Z

fn entry() -> Entry<'static> {
    Entry {
        remote: "192.0.2.7",
        line: b"GET /a?b=c HTTP/1.1",
        host: b"example.org",
        referer: b"",
        user_agent: b"curl/8.5",
        status: 200,
        body_bytes: 1234,
        total_ns: 1_234_567_890,
        ..Entry::default()
    }
}

fn line(format: LogFormat, entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    let mut stamp = Timestamp::default();
    match format {
        LogFormat::Combined => combined(entry, WALL_NS, &mut stamp, &mut out),
        LogFormat::Json => json(entry, WALL_NS, &mut stamp, &mut out),
        LogFormat::Atoms(pieces) => {
            let wanted = atoms::wanted(&LogFormat::Atoms(pieces.clone()));
            atoms::line(&pieces, &wanted, entry, (WALL_NS, &mut stamp), &mut out);
        }
    }
    String::from_utf8(out).expect("log lines are UTF-8")
}

#[test]
fn combined_looks_like_nginx() {
    assert_eq!(
        line(LogFormat::Combined, &entry()),
        "192.0.2.7 - - [23/Nov/2026:01:02:03 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 \"-\" \"curl/8.5\" 1.234567\n"
    );
}

#[test]
fn app_times_follow() {
    let app = AppTimes {
        name: "shop",
        worker: Some(3),
        queue_ns: 12_000,
        app_ns: 250_000_999,
    };
    let text = line(
        LogFormat::Combined,
        &Entry {
            app: Some(app),
            ..entry()
        },
    );
    assert!(
        text.ends_with(" 1.234567 shop/3 queue=0.000012 app=0.250000\n"),
        "{text}"
    );
    let text = line(
        LogFormat::Combined,
        &Entry {
            app: Some(AppTimes {
                worker: None,
                ..app
            }),
            ..entry()
        },
    );
    assert!(text.contains(" shop/- queue="), "{text}");
}

#[test]
fn json_is_json() {
    let app = AppTimes {
        name: "shop",
        worker: Some(3),
        queue_ns: 12_000,
        app_ns: 250_000_999,
    };
    let text = line(
        LogFormat::Json,
        &Entry {
            app: Some(app),
            ..entry()
        },
    );
    let value: serde_json::Value = serde_json::from_str(&text).expect("valid");
    assert_eq!(
        value,
        serde_json::json!({
            "time": "2026-11-23T01:02:03.123Z", "remote": "192.0.2.7", "method": "GET", "target": "/a?b=c",
            "protocol": "HTTP/1.1", "host": "example.org", "referer": "", "user_agent": "curl/8.5", "status": 200,
            "body_bytes": 1234, "total_s": 1.234567, "app": "shop", "worker": 3, "queue_s": 0.000012, "app_s": 0.25,
        })
    );
}

/// Every byte, in every field, in both formats: one line, fields closed where they should be.
#[test]
fn nothing_from_outside_breaks_a_line() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let hostile: [&[u8]; 5] = [
        &every_byte,
        b"\" 200 0 \"\n1.2.3.4 - -",
        b"\\\"",
        b"\xc3\x28\xff\xfe",
        "\u{2028}é\u{85}".as_bytes(),
    ];
    for bytes in hostile {
        let entry = Entry {
            line: bytes,
            host: bytes,
            referer: bytes,
            user_agent: bytes,
            ..entry()
        };
        let text = line(LogFormat::Combined, &entry);
        assert_eq!(text.matches('\n').count(), 1);
        assert_eq!(text.matches('"').count(), 6, "{text}");
        assert!(
            text.trim_end_matches('\n')
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte))
        );
        let text = line(LogFormat::Json, &entry);
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(
            value["user_agent"],
            String::from_utf8_lossy(bytes).into_owned()
        );
    }
}

#[test]
fn escapes_are_as_nginx_writes_them() {
    let text = line(
        LogFormat::Combined,
        &Entry {
            user_agent: b"a\"b\\c\r\n\xe9",
            ..entry()
        },
    );
    assert!(text.contains(r#""a\x22b\x5cc\x0d\x0a\xe9""#), "{text}");
}

#[test]
fn long_fields_are_cut() {
    let long = vec![b'x'; FIELD_BYTES_MAX + 1];
    let text = line(
        LogFormat::Combined,
        &Entry {
            user_agent: &long,
            ..entry()
        },
    );
    assert!(text.contains("xxx...\""));
    let exact = &long[..FIELD_BYTES_MAX];
    assert!(
        !line(
            LogFormat::Combined,
            &Entry {
                user_agent: exact,
                ..entry()
            }
        )
        .contains("...")
    );
}

#[test]
fn a_line_that_is_no_request_line_is_the_target() {
    assert_eq!(
        split_line(b"GET / HTTP/1.1"),
        (&b"GET"[..], &b"/"[..], &b"HTTP/1.1"[..])
    );
    assert_eq!(
        split_line(b"GET /a b HTTP/1.1"),
        (&b"GET"[..], &b"/a b"[..], &b"HTTP/1.1"[..])
    );
    assert_eq!(
        split_line(b"nonsense"),
        (&b""[..], &b"nonsense"[..], &b""[..])
    );
    assert_eq!(
        split_line(b"two words"),
        (&b""[..], &b"two words"[..], &b""[..])
    );
    assert_eq!(split_line(b""), (&b""[..], &b""[..], &b""[..]));
}

#[test]
fn batches_leave_when_due_when_full_and_when_told() {
    let (outbox, mut receiver) = outbox();
    let mut log = AccessLog::new(Some(LogFormat::Combined), outbox);
    let mut handed_over = || {
        receiver.try_next().map(|message| match message {
            FromRing::AccessLog { lines, .. } => {
                lines.iter().filter(|&&byte| byte == b'\n').count()
            }
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(log.due_ns(), None);
    log.log(&entry(), 1000, WALL_NS);
    log.log(&entry(), 2000, WALL_NS);
    assert_eq!(log.due_ns(), Some(1000 + HOLD_NS));
    log.flush_due(HOLD_NS);
    assert_eq!(handed_over(), None);
    log.flush_due(1000 + HOLD_NS);
    assert_eq!(handed_over(), Some(2));
    let mut lines = 0;
    while log.due_ns().is_some() || lines == 0 {
        log.log(&entry(), 3000, WALL_NS);
        lines += 1;
    }
    assert_eq!(handed_over(), Some(lines));
    log.flush();
    assert_eq!(handed_over(), None);
    log.log(&entry(), 3000, WALL_NS);
    log.flush();
    assert_eq!(handed_over(), Some(1));
}

#[test]
fn no_log_costs_nothing() {
    let (outbox, mut receiver) = outbox();
    let mut log = AccessLog::new(None, outbox);
    assert!(!log.is_on());
    log.log(&entry(), 0, WALL_NS);
    log.flush();
    assert!(receiver.try_next().is_none());
}

#[test]
fn atoms_are_gunicorns() {
    use config::Piece;
    let header = |name: &str| Piece::RequestHeader(name.into());
    let pieces = vec![
        Piece::Address,
        Piece::Text(" ".into()),
        Piece::Time,
        Piece::Text(" ".into()),
        Piece::Method,
        Piece::Text(" ".into()),
        Piece::Path,
        Piece::Text("?".into()),
        Piece::Query,
        Piece::Text(" ".into()),
        Piece::Whole { per_second: 1_000 },
        Piece::Text(" ".into()),
        Piece::Worker,
        Piece::Text(" ".into()),
        header("x-id"),
        Piece::Text(" ".into()),
        header("host"),
        Piece::Text(" ".into()),
        header("x-none"),
        Piece::Text(" ".into()),
        Piece::Bytes,
        Piece::Text(" ".into()),
        Piece::ResponseHeader("x-out".into()),
        Piece::Text(" ".into()),
        Piece::ResponseHeader("x-none".into()),
        Piece::Text(" ".into()),
        Piece::User,
        Piece::Text(" ".into()),
        Piece::Scheme,
        Piece::Text(" ".into()),
        Piece::Port,
    ];
    let mut entry = entry();
    entry.line = b"GET /a%20%41%0a%c3%a9%zz?b=\"c HTTP/1.1";
    entry.body_bytes = 0;
    entry.total_ns = 1_234_567_890;
    entry.extras = Extras {
        bytes: b"7BASIC Ym9iOnNlY3JldA==",
        ends: &[1, 1, 23],
    };
    entry.response = Extras {
        bytes: b"out",
        ends: &[3, 3],
    };
    (entry.https, entry.port) = (true, 99);
    entry.app = None;
    let text = line(LogFormat::Atoms(pieces), &entry);
    let remote = entry.remote;
    let host = String::from_utf8_lossy(entry.host);
    let stamp = text
        .split('[')
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("a time");
    assert_eq!(
        text,
        format!(
            "{remote} [{stamp}] GET /a A\\x0a\\xc3\\xa9%zz?b=\\x22c 1234 - 7 {host} - 0 out - bob https 99\n"
        )
    );
}
