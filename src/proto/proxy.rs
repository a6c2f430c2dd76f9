//! The PROXY protocol: how a TCP proxy in front names the client, in a line (version 1) or a binary head (version 2) before the first
//! request. After haproxy's `proxy-protocol.txt`, revision of 2020.
//!
//! Invariant: strict; what begins like a header and is none is refused, since the next bytes could be anybody's.

use crate::reject::Reject;
use crate::text::decimal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which versions a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub one: bool,
    pub two: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse {
    /// So far it is the beginning of a header.
    Partial,
    /// It is something else.
    Absent,
    /// The first `len` bytes. `source`: the client; `None`: the proxy speaks for itself, or knows none.
    Complete {
        len: usize,
        source: Option<SocketAddr>,
    },
    Error(Reject),
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const START: &[u8] = b"PROXY ";
/// With its end, as the specification bounds it.
const LINE_BYTES_MAX: usize = 107;
/// Addresses and whatever follows them; proxies send a few hundred bytes.
const BODY_BYTES_MAX: usize = 4096;
const HEAD_BYTES: usize = 16;

const BROKEN: Parse = Parse::Error(Reject::bad("malformed PROXY protocol header"));

/// Looks at the first bytes of a connection.
pub fn parse(bytes: &[u8], versions: Versions) -> Parse {
    let begins = |mark: &[u8]| {
        let length = bytes.len().min(mark.len());
        bytes[..length] == mark[..length]
    };
    if versions.two && begins(SIGNATURE) {
        return binary(bytes);
    }
    if versions.one && begins(START) {
        return line(bytes);
    }
    Parse::Absent
}

fn line(bytes: &[u8]) -> Parse {
    let seen = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return match seen.len() < LINE_BYTES_MAX {
            true => Parse::Partial,
            false => BROKEN,
        };
    };
    let text = seen[..end].strip_suffix(b"\r");
    let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) else {
        return BROKEN;
    };
    let len = end + 1;
    let mut words = text.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        // Whatever follows is to be ignored.
        let source = None;
        return Parse::Complete { len, source };
    }
    let mut address = || words.next()?.parse::<IpAddr>().ok();
    let (source, destination) = (address(), address());
    let mut port = || port(words.next()?);
    let (source_port, destination_port) = (port(), port());
    let is_of = |address: &IpAddr| match family {
        Some("TCP4") => address.is_ipv4(),
        Some("TCP6") => address.is_ipv6(),
        _ => false,
    };
    match (source, destination, source_port, destination_port) {
        (Some(source), Some(destination), Some(port), Some(_))
            if is_of(&source) && is_of(&destination) && words.next().is_none() =>
        {
            let source = Some(SocketAddr::new(source, port));
            Parse::Complete { len, source }
        }
        _ => BROKEN,
    }
}

/// Decimal, without signs and leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with('0');
    let number = decimal(text.as_bytes()).filter(|_| plain)?;
    number.try_into().ok()
}

fn binary(bytes: &[u8]) -> Parse {
    let Some((head, rest)) = bytes.split_at_checked(HEAD_BYTES) else {
        return Parse::Partial;
    };
    let (version_command, family) = (head[12], head[13]);
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if version_command >> 4 != 2 || version_command & 15 > 1 || length > BODY_BYTES_MAX {
        return BROKEN;
    }
    let Some(body) = rest.get(..length) else {
        return Parse::Partial;
    };
    let is_local = version_command & 15 == 0;
    let source = match family {
        _ if is_local => None,
        // TCP over IPv4: addresses, then ports.
        0x11 => match body.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, high, low, ..]) => {
                let port = u16::from_be_bytes([high, low]);
                Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port))
            }
            None => return BROKEN,
        },
        // TCP over IPv6.
        0x21 => match (body.first_chunk::<16>(), body.get(32..36)) {
            (Some(address), Some(&[high, low, ..])) => {
                let port = u16::from_be_bytes([high, low]);
                Some(SocketAddr::new(Ipv6Addr::from(*address).into(), port))
            }
            _ => return BROKEN,
        },
        // Unspecified, datagrams, unix sockets: no address of use here.
        _ => None,
    };
    let len = HEAD_BYTES + length;
    Parse::Complete { len, source }
}

/// Fuzz: a header is found whole at the same place however much follows it, and never before it has come.
pub fn fuzz_proxy(data: &[u8]) {
    let both = Versions {
        one: true,
        two: true,
    };
    let whole = parse(data, both);
    if let Parse::Complete { len, .. } = whole {
        assert!(len <= data.len());
        assert_eq!(parse(&data[..len], both), whole);
        for end in 0..len {
            assert_eq!(parse(&data[..end], both), Parse::Partial);
        }
    }
    let neither = Versions {
        one: false,
        two: false,
    };
    assert_eq!(parse(data, neither), Parse::Absent);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Versions = Versions {
        one: true,
        two: true,
    };

    fn source(bytes: &[u8]) -> Option<SocketAddr> {
        fuzz_proxy(bytes);
        match parse(bytes, BOTH) {
            Parse::Complete { source, .. } => source,
            other => panic!("{other:?}"),
        }
    }

    fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, body].concat()
    }

    #[test]
    fn lines_name_the_client() {
        let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(
            source(line),
            Some("192.0.2.7:56324".parse().expect("address"))
        );
        let line = b"PROXY TCP6 2001:db8::7 ::1 1 443\r\n";
        assert_eq!(
            source(line),
            Some("[2001:db8::7]:1".parse().expect("address"))
        );
        assert_eq!(source(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(source(b"PROXY UNKNOWN ffff:f...f 65535 x\r\n"), None);
    }

    #[test]
    fn binary_heads_name_the_client() {
        let body = [192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 1, 0xbb, 3, 0, 0];
        let head = second(1, 0x11, &body);
        assert_eq!(
            source(&head),
            Some("192.0.2.7:56324".parse().expect("address"))
        );
        let mut body = [0; 36];
        (body[15], body[33]) = (1, 80);
        assert_eq!(
            source(&second(1, 0x21, &body)),
            Some("[::1]:80".parse().expect("address"))
        );
        // A health check of the proxy's own, and a family without an address.
        assert_eq!(source(&second(0, 0x11, &[])), None);
        assert_eq!(source(&second(1, 0x31, &[0; 216])), None);
    }

    #[test]
    fn what_begins_so_and_is_none_is_refused() {
        for line in [
            &b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n"[..],
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 1\r\n",
            b"PROXY TCP4 ::1 10.0.0.1 1 443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 99999 443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 443\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 1 443\r\n",
            &[b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 107]].concat(),
            &second(2, 0x11, &[0; 12]),
            &second(1, 0x11, &[0; 11]),
            &second(1, 0x21, &[0; 35]),
            &[&SIGNATURE[..], &[0x11, 0x11, 0, 12], &[0; 12]].concat(),
        ] {
            fuzz_proxy(line);
            assert_eq!(parse(line, BOTH), BROKEN, "{line:?}");
        }
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"PROXYX", b"\r\n\r\n\r\n"] {
            assert_eq!(parse(other, BOTH), Parse::Absent);
        }
        let one = Versions { two: false, ..BOTH };
        assert_eq!(parse(&second(0, 0, &[]), one), Parse::Absent);
    }
}
