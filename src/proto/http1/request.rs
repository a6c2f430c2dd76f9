//! The request head (RFC 9112 sections 2 to 7), parsed by httparse and then held to the strict reading.
//!
//! Owns: the grammar of the head and the limits on it. What the fields mean is judged in `fields`; the shape of an
//! accepted request stands in `head`.
//! Invariants: no allocation; the verdict on a head does not depend on how its bytes were cut into reads, and a prefix
//! that is refused stays refused whatever follows; what follows the head is never looked at.
//!
//! Stricter than httparse: a line ends in CR LF (RFC 9112 2.2 lets a recipient take a lone LF; two readers that
//! disagree on it make a smuggled request), one empty line before the request line and no more, methods upper case.

use std::mem::MaybeUninit;

use super::fields;
use crate::reject::Reject;
use crate::target::{Form, Target};

pub use super::head::{Body, Head, Header, Method, Notes, Version, values};

/// The most headers a request can have, whatever [`Limits::header_count`] says: 256.
pub const HEADERS_MAX: usize = 256;
/// The longest method: 32 bytes; the longest registered one has 17.
const METHOD_MAX: usize = 32;

/// Bounds on the request head. Defaults: 8190 bytes of request line, 100 headers, 16 KiB in all.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the request line without its CR LF; beyond: 414.
    pub request_line: usize,
    /// Number of headers, at most [`HEADERS_MAX`]; beyond: 431.
    pub header_count: usize,
    /// Bytes of one header with its CR LF; beyond: 431.
    pub field_bytes: usize,
    /// Bytes of the whole head, request line and last empty line included; beyond: 431.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_line: 8190,
            header_count: 100,
            field_bytes: 32768,
            header_bytes: 16384,
        }
    }
}

/// Room for the header table, on the caller's stack (8 KiB, left uninitialised: making one costs nothing). Use it in a
/// plain function, not across an await.
pub struct HeaderStorage<'b>([MaybeUninit<Header<'b>>; HEADERS_MAX]);

impl HeaderStorage<'_> {
    #[inline(always)]
    pub fn new() -> Self {
        HeaderStorage([const { MaybeUninit::uninit() }; HEADERS_MAX])
    }
}

impl Default for HeaderStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the bytes so far amount to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives in the caller's frame; a box would allocate per request"
)]
pub enum Parse<'h, 'b> {
    /// No fault yet, no end yet: read on.
    Partial,
    /// A head of `len` bytes (a leading empty line included); the body starts at `len`.
    Complete { head: Head<'h, 'b>, len: usize },
    /// Answer with this and close.
    Error(Reject),
}

/// Parses the head at the start of `buf`, which may hold less (`Partial`) or more (pipelined bytes) than that.
pub fn parse<'h, 'b>(
    buf: &'b [u8],
    storage: &'h mut HeaderStorage<'b>,
    limits: &Limits,
) -> Parse<'h, 'b> {
    let skipped = match leading_line(buf) {
        Leading::Skip(bytes) => bytes,
        Leading::Partial => return Parse::Partial,
        Leading::Fault => return Parse::Error(Reject::bad("empty lines before the request line")),
    };
    let buf = &buf[skipped..];
    // Nothing beyond the limit is ever looked at: the verdict stays the same however much arrived at once.
    let window = &buf[..buf.len().min(limits.header_bytes)];
    let count = limits.header_count.min(HEADERS_MAX);
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(window, &mut storage.0[..count]) {
        Ok(httparse::Status::Complete(len)) => {
            let (Some(method), Some(target), Some(minor)) =
                (request.method, request.path, request.version)
            else {
                return Parse::Error(Reject::bad("malformed request line"));
            };
            let line = Line {
                method,
                target,
                minor,
            };
            match check(&window[..len], line, request.headers, limits) {
                Ok(head) => Parse::Complete {
                    head,
                    len: len + skipped,
                },
                Err(reject) => Parse::Error(reject),
            }
        }
        Ok(httparse::Status::Partial) => unfinished(window, limits),
        Err(error) => Parse::Error(refuse(window, error, limits)),
    }
}

/// Whether parsing again can change anything, when the first `seen` bytes of `buf` gave [`Parse::Partial`]: an end of
/// head has arrived, or a limit is reached. Saves a client that sends byte by byte from costing a parse per byte; a
/// fault in such a head is then reported at its end.
pub fn worth_parsing(buf: &[u8], seen: usize, limits: &Limits) -> bool {
    if seen < 4 || buf.len() >= limits.header_bytes {
        return true;
    }
    let fresh = &buf[(seen - 3).min(buf.len())..];
    memchr::memchr_iter(b'\n', fresh)
        .any(|at| matches!(&fresh[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

enum Leading {
    Skip(usize),
    Partial,
    Fault,
}

/// RFC 9112 2.2: a server should ignore at least one empty line before the request line. We ignore exactly one.
#[inline]
fn leading_line(buf: &[u8]) -> Leading {
    match buf {
        [b'\r'] | [b'\r', b'\n'] | [] => Leading::Partial,
        [b'\r', b'\n', b'\r' | b'\n', ..] => Leading::Fault,
        [b'\r', b'\n', ..] => Leading::Skip(2),
        [b'\r' | b'\n', ..] => Leading::Fault,
        _ => Leading::Skip(0),
    }
}

struct Line<'b> {
    method: &'b str,
    target: &'b str,
    minor: u8,
}

/// A complete head, by httparse's reading: now by ours.
#[inline]
fn check<'h, 'b>(
    bytes: &'b [u8],
    line: Line<'b>,
    headers: &'h [Header<'b>],
    limits: &Limits,
) -> Result<Head<'h, 'b>, Reject> {
    // " HTTP/1.x" follows the target.
    let line_end = end_of(bytes, line.target.as_bytes()) + 9;
    if line_end > limits.request_line {
        return Err(URI_TOO_LONG);
    }
    if bytes.get(line_end) != Some(&b'\r') || !bytes.ends_with(b"\r\n") {
        return Err(BARE_LF);
    }
    for header in headers {
        let mut end = end_of(bytes, header.value);
        while let Some(b' ' | b'\t') = bytes.get(end) {
            end += 1;
        }
        if bytes.get(end) != Some(&b'\r') {
            return Err(BARE_LF);
        }
        let start = end_of(bytes, header.name.as_bytes()) - header.name.len();
        if end + 2 - start > limits.field_bytes {
            return Err(FIELD_TOO_LARGE);
        }
    }

    let version = if line.minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let method = method(line.method)?;
    let target = Target::parse(line.target)?;
    if target.form == Form::Asterisk && method != Method::Options {
        return Err(Reject::bad("asterisk target without OPTIONS"));
    }
    let fields = fields::read(headers, version)?;
    let host = fields::host(&fields, &target, version)?;
    Ok(Head {
        method,
        target,
        version,
        headers,
        host,
        body: fields.body()?,
        keep_alive: fields.keep_alive(version),
        expect_continue: fields.expect_continue
            && version == Version::Http11
            && !fields.body()?.is_empty(),
        upgrade: fields
            .upgrade
            .filter(|_| fields.connection_upgrade && version == Version::Http11),
        notes: fields.notes,
    })
}

#[inline]
fn method(name: &str) -> Result<Method<'_>, Reject> {
    match Method::of(name) {
        Method::Other(name) => other_method(name),
        method => Ok(method),
    }
}

#[cold]
fn other_method(name: &str) -> Result<Method<'_>, Reject> {
    // Frameworks upper-case the method; then `head` would be a HEAD to the app and something else to us.
    if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Reject::bad("method is not upper case"));
    }
    if name.len() > METHOD_MAX {
        return Err(Reject::new(501, "method too long"));
    }
    if name == "CONNECT" {
        return Err(Reject::new(501, "CONNECT is not supported"));
    }
    Ok(Method::Other(name))
}

/// Where `part`, a slice of `whole`, ends in it.
#[inline]
fn end_of(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize)
        .wrapping_sub(whole.as_ptr() as usize)
        .wrapping_add(part.len())
}

const BARE_LF: Reject = Reject::bad("line ends in a bare LF");
const URI_TOO_LONG: Reject = Reject::new(414, "request line too long");
const FIELD_TOO_LARGE: Reject = Reject::new(431, "header too large");
const HEAD_TOO_LARGE: Reject = Reject::new(431, "request head too large");

/// No end of head in `window`: wait, unless a limit is reached.
fn unfinished<'h, 'b>(window: &[u8], limits: &Limits) -> Parse<'h, 'b> {
    if let Some(reject) = line_too_long(window, limits) {
        return Parse::Error(reject);
    }
    if window.len() < limits.header_bytes {
        return Parse::Partial;
    }
    let line_is_open = memchr::memchr(b'\n', window).is_none();
    Parse::Error(if line_is_open {
        URI_TOO_LONG
    } else {
        HEAD_TOO_LARGE
    })
}

/// 414, when the request line passes its limit without a fault before that point.
fn line_too_long(window: &[u8], limits: &Limits) -> Option<Reject> {
    let room = limits.request_line.saturating_add(2);
    if window.len() < room || memchr::memchr(b'\n', &window[..room]).is_some() {
        return None;
    }
    // With no room for headers, an error can only come from the request line.
    httparse::Request::new(&mut [])
        .parse(&window[..room])
        .is_ok()
        .then_some(URI_TOO_LONG)
}

#[cold]
fn refuse(window: &[u8], error: httparse::Error, limits: &Limits) -> Reject {
    if let Some(reject) = line_too_long(window, limits) {
        return reject;
    }
    match error {
        httparse::Error::TooManyHeaders => Reject::new(431, "too many headers"),
        httparse::Error::Version => bad_version(window),
        httparse::Error::HeaderName => Reject::bad("malformed header name"),
        httparse::Error::HeaderValue => Reject::bad("forbidden character in a header value"),
        httparse::Error::NewLine => Reject::bad("malformed line end"),
        httparse::Error::Token | httparse::Error::Status => Reject::bad("malformed request line"),
    }
}

/// 505 for a well-formed version we do not speak, 400 for anything else. Judges by the bytes up to the fault only.
fn bad_version(window: &[u8]) -> Reject {
    let version = window.splitn(3, |&byte| byte == b' ').nth(2).unwrap_or(b"");
    match version.strip_prefix(b"HTTP/") {
        Some([b'1', b'.', b'0'..=b'9', ..]) => Reject::new(505, "HTTP version not supported"),
        Some([b'1', b'.', ..]) => Reject::bad("malformed HTTP version"),
        Some([b'0'..=b'9', ..]) => Reject::new(505, "HTTP version not supported"),
        _ => Reject::bad("malformed HTTP version"),
    }
}

/// Fuzz: never panics, the verdict does not depend on fragmentation, and what is accepted holds the promises of this
/// file. `cargo test` replays its corpus.
pub fn fuzz_request(data: &[u8]) {
    let limits = Limits {
        request_line: 200,
        header_count: 8,
        field_bytes: 300,
        header_bytes: 512,
    };
    let data = &data[..data.len().min(600)];
    let judge = |end: usize| verdict(&parse(&data[..end], &mut HeaderStorage::new(), &limits));
    let whole = judge(data.len());
    let first = (0..=data.len()).find_map(judge);
    assert_eq!(whole, first, "the verdict depends on fragmentation");
    // Skipping what is not worth parsing may delay a fault, and changes nothing else.
    let mut seen = 0;
    let skipping = (1..=data.len()).find_map(|end| {
        if !worth_parsing(&data[..end], seen, &limits) {
            return None;
        }
        seen = end;
        judge(end)
    });
    assert!(skipping == whole || skipping.is_none() && matches!(whole, Some(Err(_))));
    if let Parse::Complete { head, len } = parse(data, &mut HeaderStorage::new(), &limits) {
        accepted(&data[..len], &head, &limits);
    }
}

fn verdict(parse: &Parse<'_, '_>) -> Option<Result<(usize, Body, bool), Reject>> {
    match parse {
        Parse::Partial => None,
        Parse::Complete { head, len } => Some(Ok((*len, head.body, head.keep_alive))),
        Parse::Error(reject) => Some(Err(*reject)),
    }
}

fn accepted(bytes: &[u8], head: &Head<'_, '_>, limits: &Limits) {
    assert!(bytes.len() <= limits.header_bytes + 2 && head.headers.len() <= limits.header_count);
    assert!(bytes.ends_with(b"\r\n\r\n"));
    assert_eq!(
        memchr::memchr_iter(b'\n', bytes)
            .filter(|&at| at == 0 || bytes[at - 1] != b'\r')
            .count(),
        0
    );
    assert_eq!(
        memchr::memchr_iter(b'\r', bytes)
            .filter(|&at| bytes[at + 1] != b'\n')
            .count(),
        0
    );
    assert!(!bytes.contains(&0));
    assert!(head.version == Version::Http10 || head.host.is_some());
    let count = |name| head.header_all(name).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1, "two framings");
    match head.body {
        Body::None => assert_eq!(lengths + codings, 0),
        Body::Length(_) => assert_eq!(lengths, 1),
        Body::Chunked => assert!(codings == 1 && head.version == Version::Http11),
    }
}
