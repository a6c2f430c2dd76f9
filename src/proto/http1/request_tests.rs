//! What is accepted and what is refused, by section of RFC 9112; every row is also fed byte by byte.

use super::request::*;
use crate::reject::Reject;
use crate::target::Form;

/// Parses at once and in every cut; the verdicts must agree. `Err(0)`: partial.
pub(super) fn verdict(input: &[u8], limits: &Limits) -> Result<(Body, bool, usize), Reject> {
    const PARTIAL: Reject = Reject::new(0, "partial");
    let judge = |bytes: &[u8]| match parse(bytes, &mut HeaderStorage::new(), limits) {
        Parse::Partial => Err(PARTIAL),
        Parse::Complete { head, len } => Ok((head.body, head.keep_alive, len)),
        Parse::Error(reject) => Err(reject),
    };
    let whole = judge(input);
    let gradual = (0..=input.len())
        .map(|end| judge(&input[..end]))
        .find(|verdict| *verdict != Err(PARTIAL));
    assert_eq!(
        whole,
        gradual.unwrap_or(Err(PARTIAL)),
        "{}",
        input.escape_ascii()
    );
    whole
}

pub(super) fn status(input: &[u8]) -> u16 {
    verdict(input, &Limits::default()).map_or_else(|reject| reject.status, |_| 200)
}

/// Parses a request that must be accepted and hands its head to `look`.
pub(super) fn accepted<R>(input: &str, look: impl FnOnce(&Head<'_, '_>) -> R) -> R {
    match parse(
        input.as_bytes(),
        &mut HeaderStorage::new(),
        &Limits::default(),
    ) {
        Parse::Complete { head, .. } => look(&head),
        other => panic!("{input:?} gave {other:?}"),
    }
}

pub(super) fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

pub(super) fn post(headers: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

#[test]
fn section_2_message_format() {
    for (input, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], 200),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\r\n", 0),
        (b"\r", 0),
        (b"", 0),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 0),
        // 2.2: bare LF and bare CR.
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \t\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y \n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\nA: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        // NUL and other control characters.
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \xff\r\n\r\n", 200),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        // A TLS client on a plain port.
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ] {
        assert_eq!(status(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn section_2_3_version() {
    for (version, expected) in [
        ("HTTP/1.1", 200),
        ("HTTP/1.0", 200),
        ("HTTP/0.9", 505),
        ("HTTP/1.2", 505),
        ("HTTP/2.0", 505),
        ("HTTP/2", 505),
        ("HTTP/3", 505),
        ("HTTP/9.9", 505),
        ("HTTP/1.x", 400),
        ("HTTP/x.1", 400),
        ("http/1.1", 400),
        ("HTTP/1.10", 400),
        ("HTTP/ 1.1", 400),
        ("HTTP 1.1", 400),
        ("HTTPS/1.1", 400),
        ("ICY/1.1", 400),
        ("", 400),
    ] {
        let input = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(status(input.as_bytes()), expected, "{version}");
    }
    assert_eq!(status(b"GET /\r\n\r\n"), 400, "HTTP/0.9");
    assert_eq!(status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

#[test]
fn section_3_1_method() {
    for (method, expected) in [
        ("GET", 200),
        ("PURGE", 200),
        ("M-SEARCH", 200),
        ("X!#$%&'*+-.^_`|~1", 200),
        ("get", 400),
        ("Post", 400),
        ("", 400),
        ("GE T", 400),
        ("GET\t", 400),
        ("GET ", 400),
        ("G(T", 400),
        ("G\"T", 400),
        ("G:T", 400),
        ("G\u{e9}T", 400),
        ("CONNECT", 501),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF", 200),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", 501),
    ] {
        let input = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status(input.as_bytes()), expected, "{method}");
    }
    for (name, method) in [
        ("GET", Method::Get),
        ("PATCH", Method::Patch),
        ("PURGE", Method::Other("PURGE")),
    ] {
        assert_eq!(Method::of(name), method);
        assert_eq!(method.as_str(), name);
    }
}

#[test]
fn section_3_2_target() {
    for (line, expected) in [
        ("GET /a?b=c&d", 200),
        ("GET /\u{e9}", 200),
        ("GET //a", 200),
        ("GET http://a/x", 200),
        ("GET HTTP://A:80/x", 200),
        ("GET http://a", 200),
        ("GET http://a?x", 200),
        ("OPTIONS *", 200),
        ("OPTIONS /", 200),
        ("GET *", 400),
        ("OPTIONS **", 400),
        ("GET a", 400),
        ("GET a:80", 400),
        ("GET ?x", 400),
        ("GET /a#b", 400),
        ("GET /a b", 400),
        ("GET  /", 400),
        ("GET\t/", 400),
        ("GET ", 400),
        ("GET http://b/", 400),
        ("GET http://a:81/", 400),
        ("GET https://a:80/", 400),
        ("GET http://x@a/", 400),
        ("GET http:///", 400),
        ("GET ftp://a/", 400),
        ("CONNECT a:443", 501),
    ] {
        let input = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status(input.as_bytes()), expected, "{line}");
    }
    accepted("GET http://A/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n", |head| {
        assert_eq!(
            (head.target.form, head.target.path, head.target.query),
            (Form::Absolute, "/x", "y")
        );
        assert_eq!(head.host.map(|host| host.host), Some("A"));
    });
}

#[test]
fn section_3_2_host() {
    for (headers, on_11, on_10) in [
        ("Host: a\r\n", 200, 200),
        ("host:a:80 \r\n", 200, 200),
        ("Host: [::1]:8000\r\n", 200, 200),
        ("", 400, 200),
        ("Host:\r\n", 400, 400),
        ("Host: a\r\nHost: a\r\n", 400, 400),
        ("Host: a\r\nhost: b\r\n", 400, 400),
        ("Host: a, b\r\n", 400, 400),
        ("Host: a b\r\n", 400, 400),
        ("Host: a/b\r\n", 400, 400),
        ("Host: x@a\r\n", 400, 400),
        ("Host: a:b\r\n", 400, 400),
        ("Host: a:99999\r\n", 400, 400),
        ("Host: \u{e9}\r\n", 400, 400),
        ("Host: <script>\r\n", 400, 400),
    ] {
        for (version, expected) in [("1.1", on_11), ("1.0", on_10)] {
            let input = format!("GET / HTTP/{version}\r\n{headers}\r\n");
            assert_eq!(status(input.as_bytes()), expected, "{input:?}");
        }
    }
    assert_eq!(
        accepted("GET http://b/ HTTP/1.0\r\n\r\n", |head| head
            .host
            .map(|host| host.raw.to_owned())),
        Some("b".into())
    );
    assert_eq!(status(b"GET http://b/ HTTP/1.1\r\n\r\n"), 400);
}

/// RFC 9110 10.1.1: a list, in which empty members are nothing.
#[test]
fn expectations() {
    for (value, expected) in [
        ("100-continue", 200),
        ("100-Continue", 200),
        ("", 200),
        (" , 100-continue,", 200),
        ("100-continue, 100-continue", 200),
        ("100-continue, x", 417),
        ("x", 417),
        ("x=\"100-continue\"", 417),
        ("100-continue;q=1", 417),
    ] {
        let request = get(&format!("Expect: {value}\r\n"));
        assert_eq!(status(request.as_bytes()), expected, "{value:?}");
    }
}

#[test]
fn section_5_fields() {
    for (headers, expected) in [
        ("X: y\r\n", 200),
        ("X:\r\n", 200),
        ("X:   y\t \r\n", 200),
        ("X : y\r\n", 400),
        ("X\t: y\r\n", 400),
        (" X: y\r\n", 400),
        ("\tX: y\r\n", 400),
        (": y\r\n", 400),
        ("X\r\n", 400),
        ("X y\r\n", 400),
        ("X(: y\r\n", 400),
        ("X\u{e9}: y\r\n", 400),
        ("X[]: y\r\n", 400),
        // 5.2: obs-fold.
        ("X: y\r\n z\r\n", 400),
        ("X: y\r\n\tz\r\n", 400),
        ("X:\r\n y\r\n", 400),
    ] {
        assert_eq!(status(get(headers).as_bytes()), expected, "{headers:?}");
    }
    assert_eq!(status(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400);
    accepted(&get("A: 1\r\na:  2 \r\nB:\r\n"), |head| {
        assert_eq!(head.header_all("A").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((head.header("b"), head.header("c")), (Some(&b""[..]), None));
        assert_eq!(head.headers.len(), 4);
    });
}

#[test]
fn limits_bound_the_head() {
    let limits = Limits {
        request_line: 30,
        header_count: 3,
        header_bytes: 100,
        ..Limits::default()
    };
    let status = |input: &str| {
        verdict(input.as_bytes(), &limits).map_or_else(|reject| reject.status, |_| 200)
    };
    let line = |bytes: usize| format!("GET /{} HTTP/1.1", "x".repeat(bytes - 14));
    assert_eq!(line(30).len(), 30);
    assert_eq!(status(&format!("{}\r\nHost: a\r\n\r\n", line(30))), 200);
    assert_eq!(status(&format!("{}\r\nHost: a\r\n\r\n", line(31))), 414);
    assert_eq!(
        status(&format!("{}\r\nHost : a\r\n\r\n", line(31))),
        414,
        "the first fault counts"
    );
    assert_eq!(status(&"x".repeat(31)), 0);
    assert_eq!(status(&"x".repeat(32)), 414);
    assert_eq!(
        status(&format!("{} \0{}", "X".repeat(10), "x".repeat(90))),
        400,
        "the first fault counts"
    );
    assert_eq!(
        status("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n"),
        200
    );
    assert_eq!(
        status("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"),
        431
    );
    let field = |bytes: usize| {
        let limits = Limits {
            field_bytes: 20,
            ..limits
        };
        let text = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "y".repeat(bytes - 5)
        );
        verdict(text.as_bytes(), &limits).map_or_else(|reject| reject.status, |_| 200)
    };
    assert_eq!((field(20), field(21)), (200, 431), "with its CR LF");
    let head = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "y".repeat(bytes - 32)
        )
    };
    assert_eq!(head(100).len(), 100);
    assert_eq!(status(&head(100)), 200);
    assert_eq!(status(&head(101)), 431);
    assert_eq!(
        status(&format!("{}body", head(100))),
        200,
        "what follows the head is not part of it"
    );
    assert_eq!(status(&format!("\r\n{}", head(100))), 200);
    let narrow = Limits {
        request_line: 1000,
        header_count: 3,
        header_bytes: 100,
        ..Limits::default()
    };
    let long = "x".repeat(200);
    assert_eq!(
        verdict(long.as_bytes(), &narrow).map_err(|reject| reject.status),
        Err(414)
    );
    let many = Limits {
        header_count: 100_000,
        header_bytes: 100_000,
        ..Limits::default()
    };
    let headers = |count: usize| get(&"X: y\r\n".repeat(count - 1));
    let outcome =
        |count: usize| match parse(headers(count).as_bytes(), &mut HeaderStorage::new(), &many) {
            Parse::Complete { .. } => 200,
            Parse::Error(reject) => reject.status,
            Parse::Partial => 0,
        };
    assert_eq!((outcome(HEADERS_MAX), outcome(HEADERS_MAX + 1)), (200, 431));
}

#[test]
fn pipelined_requests_are_taken_one_by_one() {
    let input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut storage = HeaderStorage::new();
    let Parse::Complete { head, len } = parse(input, &mut storage, &Limits::default()) else {
        panic!("first request");
    };
    assert_eq!((head.target.path, len), ("/1", input.len() / 2));
    let mut storage = HeaderStorage::new();
    let Parse::Complete { head, len } = parse(&input[len..], &mut storage, &Limits::default())
    else {
        panic!("second request");
    };
    assert_eq!((head.target.path, len), ("/2", input.len() / 2));
}

#[test]
fn a_trickled_head_is_parsed_at_its_end_only() {
    let input = get("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").into_bytes();
    let limits = Limits::default();
    let (mut seen, mut parses) = (0, 0);
    for end in 1..=input.len() {
        if worth_parsing(&input[..end], seen, &limits) {
            parses += 1;
        }
        seen = end;
    }
    assert!(parses <= 6, "{parses}");
    assert!(worth_parsing(&input, input.len() - 1, &limits));
    assert!(worth_parsing(&[b'x'; 20_000], 19_999, &limits));
}

/// Requests built from fragments that matter: the generator reaches deeper than random bytes.
#[test]
fn seeded_mixtures_hold_the_promises() {
    const PIECES: &[&str] = &[
        "GET",
        "POST",
        "OPTIONS",
        " ",
        " / ",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "Host: a\r\n",
        "Host",
        ":",
        "a",
        "Content-Length: 1\r\n",
        "Content-Length",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding",
        "chunked",
        ",",
        "\0",
        "\t",
        "GET / HTTP/1.1\r\n",
        "POST /x?y HTTP/1.1\r\nHost: a\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "http://a/",
        "*",
        "\u{e9}",
        "HTTP/2",
        "X: y\r\n",
        "1",
    ];
    let mut random = crate::seed::Seed::new(0x5eed);
    for _ in 0..20_000 {
        let mut input = if random.below(3) > 0 {
            "GET / HTTP/1.1\r\n".to_owned()
        } else {
            String::new()
        };
        for _ in 0..random.below(12) {
            input.push_str(PIECES[random.below(PIECES.len() as u64) as usize]);
        }
        if random.below(2) == 0 {
            input.push_str("\r\n\r\n");
        }
        fuzz_request(input.as_bytes());
    }
}
