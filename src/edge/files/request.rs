//! A request for a file, borrowed from the connection; and a copy of it for requests that must wait for the disk.
//!
//! Owns nothing but the copy. Must not know what becomes of the request.

use proto::path::Path;
use proto::target::Target;
use proto::{Body, Head, Header, Method, Version};

/// A request that routing has given to a static mount.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Index into `config.statics`.
    pub mount: usize,
    /// The whole path.
    pub path: Path<'a>,
    /// `path.bytes[prefix..]` is below the mount: "" or begins with a slash.
    pub prefix: usize,
    pub head: &'a Head<'a, 'a>,
}

impl<'a> Request<'a> {
    /// The path below the mount.
    pub fn rest(&self) -> &'a [u8] {
        self.path.bytes.get(self.prefix..).unwrap_or(b"")
    }
}

/// Fields that decide about an answer; nothing else is copied.
const FIELDS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "range",
];

/// What a [`Request`] says, owned.
pub struct OwnedRequest {
    mount: usize,
    path: Vec<u8>,
    prefix: usize,
    method: String,
    target: String,
    version: Version,
    keep_alive: bool,
    headers: Vec<(String, Vec<u8>)>,
    notes: proto::http1::request::Notes,
}

impl OwnedRequest {
    pub fn new(request: &Request<'_>) -> OwnedRequest {
        let head = request.head;
        let headers = head.headers.iter().filter(|header| {
            FIELDS
                .iter()
                .any(|field| header.name.eq_ignore_ascii_case(field))
        });
        OwnedRequest {
            mount: request.mount,
            path: request.path.bytes.to_vec(),
            prefix: request.prefix,
            method: head.method.as_str().to_owned(),
            target: head.target.raw.to_owned(),
            version: head.version,
            keep_alive: head.keep_alive,
            headers: headers
                .map(|header| (header.name.to_owned(), header.value.to_vec()))
                .collect(),
            notes: head.notes,
        }
    }

    /// Lends it in the shape of the original. The path has passed its checks already.
    pub fn with<R>(&self, f: impl FnOnce(&Request<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        let head = Head {
            method: Method::of(&self.method),
            target: Target::parse(&self.target).expect("it was parsed before it was copied"),
            version: self.version,
            headers: &headers,
            host: None,
            body: Body::None,
            keep_alive: self.keep_alive,
            expect_continue: false,
            upgrade: None,
            notes: self.notes,
        };
        let path = Path {
            bytes: &self.path,
            encoded_slash: false,
            backslash: false,
            hidden: false,
        };
        f(&Request {
            mount: self.mount,
            path,
            prefix: self.prefix,
            head: &head,
        })
    }

    /// Whether it has conditions or ranges.
    pub fn is_choosy(&self) -> bool {
        self.notes.conditional || self.notes.range
    }

    pub fn mount(&self) -> usize {
        self.mount
    }

    pub fn rest(&self) -> &[u8] {
        self.path.get(self.prefix..).unwrap_or(b"")
    }
}
