//! Answers the edge gives in its own name: error pages and `OPTIONS *`.
//!
//! Pure: bytes appended to a buffer. Nothing the client sent is echoed, so nothing needs escaping.

use proto::Version;
use proto::http1::response::Writer;
use proto::text::append_decimal;

/// What every head carries.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    pub date: &'a [u8; 29],
    /// "" sends no Server field.
    pub server: &'a str,
    /// Seconds after which a client that is refused now may try again.
    pub retry_after_s: u64,
}

/// What an answer must know of its request.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub version: Version,
    /// The connection stays open after this answer.
    pub keep_alive: bool,
    /// HEAD: the same head, no body.
    pub head_only: bool,
}

impl Manner {
    /// For a request whose framing is in doubt, or that could not be read at all.
    pub const LAST: Manner = Manner {
        version: Version::Http11,
        keep_alive: false,
        head_only: false,
    };
}

/// What the edge as a whole lets through.
const METHODS: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Status line, Server and Date: how every answer of the edge begins.
pub fn begin<'a>(out: &'a mut Vec<u8>, status: u16, common: Common<'_>) -> Writer<'a> {
    let mut writer = Writer::start(out, status);
    if !common.server.is_empty() {
        writer.server(common.server);
    }
    writer.date(common.date);
    writer
}

/// Appends an error page; returns the bytes of its body as sent. `detail` is one clause for the reader, "" for none.
#[cold]
pub fn page(
    out: &mut Vec<u8>,
    status: u16,
    detail: &str,
    manner: Manner,
    common: Common<'_>,
) -> u64 {
    page_with(out, status, detail, b"", manner, common)
}

/// As [`page`], with further lines in its head.
#[cold]
pub fn page_with(
    out: &mut Vec<u8>,
    status: u16,
    detail: &str,
    lines: &[u8],
    manner: Manner,
    common: Common<'_>,
) -> u64 {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"<!doctype html>\n<html><head><title>");
    title(&mut body, status);
    body.extend_from_slice(b"</title></head>\n<body><h1>");
    title(&mut body, status);
    body.extend_from_slice(b"</h1>\n");
    if !detail.is_empty() {
        body.extend_from_slice(b"<p>");
        body.extend_from_slice(detail.as_bytes());
        body.extend_from_slice(b"</p>\n");
    }
    body.extend_from_slice(b"</body></html>\n");

    let mut writer = begin(out, status, common);
    writer
        .header(b"Content-Type", b"text/html; charset=utf-8")
        .lines(lines)
        .number(b"Content-Length", body.len() as u64);
    if status == 503 {
        writer.number(b"Retry-After", common.retry_after_s);
    }
    if status == 426 {
        // RFC 6455 4.4: the only thing here that a client could have the wrong version of.
        writer
            .header(b"Connection", b"Upgrade")
            .header(b"Upgrade", b"websocket")
            .header(b"Sec-WebSocket-Version", b"13");
    }
    writer
        .connection(manner.version, manner.keep_alive)
        .finish();
    if manner.head_only {
        return 0;
    }
    out.extend_from_slice(&body);
    body.len() as u64
}

/// Development: what is wrong with an application's code, instead of its answers. Returns the bytes of the body.
#[cold]
pub fn trouble(out: &mut Vec<u8>, text: &str, manner: Manner, common: Common<'_>) -> u64 {
    let mut body = Vec::with_capacity(text.len() + 1024);
    body.extend_from_slice(
        b"<!doctype html>\n<html><head><title>The application cannot be loaded</title><style>\
          body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}\
          pre{background:#8881;padding:1rem;overflow-x:auto;font-size:14px}</style></head>\n\
          <body><h1>The application cannot be loaded</h1>\n<pre>",
    );
    for line in text.lines() {
        proto::listing::escape(line.replace('\t', "    ").as_bytes(), &mut body);
        body.push(b'\n');
    }
    body.extend_from_slice(
        b"</pre>\n<p>It is loaded anew when one of its files changes.</p></body></html>\n",
    );
    begin(out, 500, common)
        .header(b"Content-Type", b"text/html; charset=utf-8")
        .header(b"Cache-Control", b"no-store")
        .number(b"Content-Length", body.len() as u64)
        .connection(manner.version, manner.keep_alive)
        .finish();
    if manner.head_only {
        return 0;
    }
    out.extend_from_slice(&body);
    body.len() as u64
}

fn title(out: &mut Vec<u8>, status: u16) {
    append_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(proto::status::reason(status).as_bytes());
}

/// The answer to `OPTIONS *`: what the server as a whole can do (RFC 9110 9.3.7).
pub fn options(out: &mut Vec<u8>, manner: Manner, common: Common<'_>) {
    begin(out, 200, common)
        .header(b"Allow", METHODS)
        .number(b"Content-Length", 0)
        .connection(manner.version, manner.keep_alive)
        .finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: Common<'_> = Common {
        date: b"Mon, 23 Nov 2026 01:02:03 GMT",
        server: "ringgate",
        retry_after_s: 7,
    };
    const KEEP: Manner = Manner {
        keep_alive: true,
        ..Manner::LAST
    };

    fn text(status: u16, detail: &str, manner: Manner) -> String {
        let mut out = Vec::new();
        page(&mut out, status, detail, manner, COMMON);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn pages_say_their_length_and_their_end() {
        let text = text(400, "bare LF", Manner::LAST);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let start = "HTTP/1.1 400 Bad Request\r\nServer: ringgate\r\nDate: Mon, 23 Nov 2026 01:02:03 GMT\r\n";
        assert!(head.starts_with(start) && head.contains("\r\nConnection: close"));
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
        assert!(body.contains("<h1>400 Bad Request</h1>") && body.contains("<p>bare LF</p>"));
    }

    #[test]
    fn overload_says_when_to_come_back() {
        let text = text(503, "", KEEP);
        assert!(
            text.contains("\r\nRetry-After: 7\r\n")
                && !text.contains("Connection")
                && !text.contains("<p>")
        );
    }

    #[test]
    fn head_gets_the_head_alone() {
        assert!(
            text(
                404,
                "",
                Manner {
                    head_only: true,
                    ..KEEP
                }
            )
            .ends_with("\r\n\r\n")
        );
    }
}
