//! Nanoseconds per call of the functions on the path of every request: `cargo bench -p ringgate-proto`.
//!
//! Under `cargo test --benches` each case runs a few times only, so that the bench cannot rot. The figure is the best of several
//! rounds: the machine may be shared.

use std::hint::black_box;
use std::time::Instant;

use proto::date::DateCache;
use proto::http1::chunked::{Decoder, Step};
use proto::http1::framing::Framing;
use proto::http1::response::Writer;
use proto::{HeaderStorage, Limits, Parse, Version};

const WRK: &[u8] = b"GET /static/hello.txt HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";
const BROWSER: &[u8] = b"GET /shop/article/1234?page=2&sort=price HTTP/1.1\r\n\
Host: www.example.com\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Referer: https://www.example.com/shop/\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=fedcba98\r\n\r\n";

fn main() {
    // Cargo passes --bench to a bench run, nothing to a test run.
    let calls = if std::env::args().any(|argument| argument == "--bench") {
        200_000
    } else {
        10
    };
    measure("parse, wrk request", WRK.len(), calls, || parse(WRK));
    measure("parse, browser request", BROWSER.len(), calls, || {
        parse(BROWSER)
    });

    let mut scratch = Vec::with_capacity(256);
    measure("normalise, plain path", 0, calls, || {
        let path =
            proto::path::normalise(black_box("/static/shop/css/main.4f2c.css"), &mut scratch);
        path.map_or(0, |path| path.bytes.len())
    });
    measure("normalise, escaped path", 0, calls, || {
        let path = proto::path::normalise(
            black_box("/static/a%20b/./c%C3%BC/../main.css"),
            &mut scratch,
        );
        path.map_or(0, |path| path.bytes.len())
    });
    measure("media type", 0, calls, || {
        proto::mime::of_path(black_box(b"/static/main.css"))
            .essence
            .len()
    });

    let (mut out, mut date) = (Vec::with_capacity(1024), DateCache::new());
    measure("write response head", 0, calls, || {
        out.clear();
        Writer::start(&mut out, 200)
            .server("ringgate")
            .date(date.at(1_700_000_000))
            .header(b"Content-Type", b"text/html; charset=utf-8")
            .framing(Framing::Length(black_box(4096)))
            .connection(Version::Http11, true)
            .finish();
        out.len()
    });

    let mut body = Vec::new();
    for _ in 0..16 {
        proto::http1::chunked::append(&mut body, &[b'x'; 1024]);
    }
    body.extend_from_slice(proto::http1::chunked::LAST_CHUNK);
    measure("decode 16 chunks of 1 KiB", body.len(), calls / 10, || {
        decode(&body)
    });
}

fn parse(bytes: &[u8]) -> usize {
    let mut storage = HeaderStorage::new();
    match proto::http1::request::parse(black_box(bytes), &mut storage, &Limits::default()) {
        Parse::Complete { head, len } => {
            black_box(&head);
            len
        }
        other => panic!("{other:?}"),
    }
}

fn decode(body: &[u8]) -> usize {
    let (mut decoder, mut rest, mut total) = (Decoder::new(), black_box(body), 0);
    loop {
        match decoder.step(rest) {
            Ok(Step::Data { data, consumed }) => {
                total += data.len();
                rest = &rest[consumed..];
            }
            Ok(Step::Done { .. }) => return total,
            other => panic!("{other:?}"),
        }
    }
}

/// Best of 15 rounds.
fn measure(name: &str, bytes: usize, calls: u32, mut call: impl FnMut() -> usize) {
    let calls = calls.max(1);
    let mut best = f64::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    let size = if bytes > 0 {
        format!("{bytes} bytes")
    } else {
        String::new()
    };
    println!("{name:28} {best:9.1} ns  {size}");
}
