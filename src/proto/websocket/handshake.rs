//! The opening handshake (RFC 6455 section 4.2): what a request must say, and what is answered.
//!
//! Invariant: an [`Offer`] exists only for a request that every rule lets become a WebSocket.

use super::deflate::{self, Policy};
use super::sha1;
use crate::http1::request::{Head, Method};
use crate::text;

/// RFC 6455 1.3.
const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 24;

/// A request that may become a WebSocket. Owns what is needed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Sec-WebSocket-Accept.
    pub accept: [u8; 28],
    /// The compression that both sides can do, under the policy given.
    pub deflate: Option<deflate::Agreed>,
}

/// Why a request that asks for a WebSocket cannot have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    Malformed(&'static str),
    /// 426, with `Sec-WebSocket-Version: 13` (RFC 6455 4.4).
    Version,
}

/// Whether the request wants to leave HTTP for a WebSocket; else it is a plain one, as a server may ignore `Upgrade`.
#[inline]
pub fn is_asked(head: &Head<'_, '_>) -> bool {
    head.upgrade.is_some_and(names_websocket) && head.method == Method::Get
}

#[cold]
fn names_websocket(upgrade: &[u8]) -> bool {
    text::list(upgrade).any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Checks a request for which [`is_asked`] holds.
pub fn check(head: &Head<'_, '_>, policy: Option<&Policy>) -> Result<Offer, Refusal> {
    if !head.body.is_empty() {
        return Err(Refusal::Malformed("a WebSocket handshake with a body"));
    }
    let mut versions = head.header_all("sec-websocket-version").map(text::trim);
    match (versions.next(), versions.next()) {
        (Some(b"13"), None) => {}
        (Some(_), None) => return Err(Refusal::Version),
        _ => return Err(Refusal::Malformed("no Sec-WebSocket-Version, or several")),
    }
    let mut keys = head.header_all("sec-websocket-key").map(text::trim);
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => key,
        _ => {
            return Err(Refusal::Malformed(
                "Sec-WebSocket-Key is not 16 bytes in base64",
            ));
        }
    };
    // RFC 6455 11.3.4: a list of tokens, each once. Which one is the app's choice.
    for value in head.header_all("sec-websocket-protocol") {
        if !text::list(value).all(text::is_token) {
            return Err(Refusal::Malformed("malformed Sec-WebSocket-Protocol"));
        }
    }
    let offers = head.header_all("sec-websocket-extensions");
    Ok(Offer {
        accept: accept(key),
        deflate: policy.and_then(|policy| deflate::negotiate(offers, policy)),
    })
}

/// 16 bytes in base64: 22 characters and two of padding. What the last character's spare bits hold does not matter.
fn is_key(key: &[u8]) -> bool {
    key.len() == KEY_BYTES
        && key.ends_with(b"==")
        && key[..KEY_BYTES - 2]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// RFC 6455 4.2.2 step 5.4. `key` is one that passed.
fn accept(key: &[u8]) -> [u8; 28] {
    let mut input = [0; KEY_BYTES + GUID.len()];
    input[..KEY_BYTES].copy_from_slice(key);
    input[KEY_BYTES..].copy_from_slice(GUID);
    base64(&sha1::digest(&input))
}

fn base64(digest: &[u8; 20]) -> [u8; 28] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; 28];
    for (chunk, group) in digest.chunks(3).zip(out.chunks_mut(4)) {
        let bits = (0..3).fold(0u32, |bits, at| {
            bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for (place, letter) in group.iter_mut().take(chunk.len() + 1).enumerate() {
            *letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
        }
    }
    out
}

/// Fields of an app's accepting head that the edge writes itself, or that nobody agreed on.
pub fn is_ours(name: &[u8]) -> bool {
    const OURS: [&str; 4] = [
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
    ];
    OURS.iter()
        .any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// Fuzz: any request that parses is judged without a panic.
pub fn fuzz_handshake(data: &[u8]) {
    use crate::http1::request::{HeaderStorage, Limits, Parse, parse};
    let mut storage = HeaderStorage::new();
    let Parse::Complete { head, .. } = parse(data, &mut storage, &Limits::default()) else {
        return;
    };
    if is_asked(&head) {
        for policy in [Policy::default(), Policy::FRUGAL] {
            if let Ok(offer) = check(&head, Some(&policy)) {
                assert!(offer.accept.ends_with(b"="));
            }
        }
    }
    deflate::fuzz_negotiate(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::{HeaderStorage, Limits, Parse, parse};

    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn judge(text: &str) -> Option<Result<Offer, Refusal>> {
        let mut storage = HeaderStorage::new();
        let Parse::Complete { head, .. } = parse(text.as_bytes(), &mut storage, &Limits::default())
        else {
            panic!("a head: {text}")
        };
        is_asked(&head).then(|| check(&head, Some(&Policy::default())))
    }

    #[test]
    fn the_example_of_rfc_6455_1_3() {
        let offer = judge(GOOD).expect("asked").expect("good");
        assert_eq!(&offer.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(offer.deflate, None);
    }

    #[test]
    fn the_rules_of_rfc_6455_4_2_1() {
        let malformed = |text: &str| match judge(text) {
            Some(Err(Refusal::Malformed(_))) => true,
            other => panic!("{other:?}: {text}"),
        };
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        assert!(malformed(&with(
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ"
        )));
        assert!(malformed(&with(
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub2 jZQ=="
        )));
        assert!(malformed(&with("Sec-WebSocket-Key:", "X:")));
        assert!(malformed(&with("Sec-WebSocket-Version: 13\r\n", "")));
        assert!(malformed(&with("chat, superchat", "chat, super chat")));
        assert!(malformed(&with("Host: x", "Host: x\r\nContent-Length: 5")));
        assert!(malformed(&with(
            "Host: x",
            "Host: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        )));
        assert_eq!(judge(&with("n: 13", "n: 8")), Some(Err(Refusal::Version)));
        // Requests that stay plain.
        assert_eq!(judge(&with("GET", "POST")), None);
        assert_eq!(judge(&with("Upgrade: websocket", "Upgrade: h2c")), None);
        assert_eq!(judge(&with("keep-alive, Upgrade", "keep-alive")), None);
        assert_eq!(judge(&with("HTTP/1.1", "HTTP/1.0")), None);
        assert!(judge(&with("Upgrade: websocket", "Upgrade: h2c, WebSocket")).is_some());
    }
}
