//! Who the client is and how it came, where a server in front is believed: X-Forwarded-For and the headers that say https.
//!
//! Pure. Invariant: a header counts only if the peer that sent it is trusted, and an address only if all behind it are.

use config::{Forwarded, Trusted};
use proto::Head;
use std::net::{IpAddr, SocketAddr};

/// Addresses of one chain that are looked at; a longer one is cut at its far end.
const HOPS_MAX: usize = 32;

/// What the application is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// `None`: a unix socket.
    pub address: Option<IpAddr>,
    /// 0 where nobody says.
    pub port: u16,
    pub https: bool,
}

impl Client {
    /// By the peer's word, if it is trusted, else the peer itself.
    pub fn of(head: &Head<'_, '_>, peer: Option<SocketAddr>, forwarded: &Forwarded) -> Client {
        let own = Client::peer(peer);
        if forwarded.trusted.has(own.address) {
            Said::of(head, forwarded).about(own)
        } else {
            own
        }
    }

    pub const NOBODY: Client = Client {
        address: None,
        port: 0,
        https: false,
    };

    fn peer(peer: Option<SocketAddr>) -> Client {
        Client {
            address: peer.map(|peer| peer.ip()),
            port: peer.map_or(0, |peer| peer.port()),
            https: false,
        }
    }
}

/// What a head says of the client, whoever sent it.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    far_end: Option<(IpAddr, u16)>,
    https: bool,
}

impl Said {
    pub fn of(head: &Head<'_, '_>, forwarded: &Forwarded) -> Said {
        Said {
            far_end: far_end(head, forwarded),
            https: is_secure(head, forwarded),
        }
    }

    /// [`Client::of`] for this head from a peer.
    pub fn client(self, peer: Option<SocketAddr>, forwarded: &Forwarded) -> Client {
        let own = Client::peer(peer);
        if forwarded.trusted.has(own.address) {
            self.about(own)
        } else {
            own
        }
    }

    fn about(self, peer: Client) -> Client {
        Client {
            address: self
                .far_end
                .map_or(peer.address, |(address, _)| Some(address)),
            port: self.far_end.map_or(peer.port, |(_, port)| port),
            https: self.https,
        }
    }
}

/// The last address, counted from us, that a trusted one names.
fn far_end(head: &Head<'_, '_>, forwarded: &Forwarded) -> Option<(IpAddr, u16)> {
    const NAME: &str = "x-forwarded-for";
    let fields = head
        .headers
        .iter()
        .filter(|header| header.name.len() == NAME.len() && header.name.eq_ignore_ascii_case(NAME));
    let mut found = None;
    let hops = fields
        .rev()
        .flat_map(|header| header.value.rsplit(|byte| *byte == b','))
        .take(HOPS_MAX);
    for hop in hops {
        // What is no address ends the chain: nobody can say whether it is trusted.
        let Some((address, port)) = endpoint(hop) else {
            break;
        };
        found = Some((address, port));
        let goes_on =
            forwarded.trusted == Trusted::Everybody || forwarded.trusted.has(Some(address));
        if !goes_on {
            break;
        }
    }
    found
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]:567`, `"[::1]"`.
fn endpoint(text: &[u8]) -> Option<(IpAddr, u16)> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some((address, 0));
    }
    let endpoint = text.parse::<SocketAddr>().ok()?;
    Some((endpoint.ip(), endpoint.port()))
}

/// Some header says https, and none contradicts it.
fn is_secure(head: &Head<'_, '_>, forwarded: &Forwarded) -> bool {
    let mut secure = false;
    for header in head.headers {
        let named = forwarded
            .secure_headers
            .iter()
            .filter(|(name, _)| header.name.eq_ignore_ascii_case(name));
        let mut named = named.peekable();
        if named.peek().is_none() {
            continue;
        }
        // Of several values the last is the nearest server's.
        let said = header.value.rsplit(|byte| *byte == b',').next();
        let said = said.unwrap_or_default().trim_ascii();
        if !named.any(|(_, value)| said.eq_ignore_ascii_case(value.as_bytes())) {
            return false;
        }
        secure = true;
    }
    secure
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Network;
    use proto::{HeaderStorage, Limits, Parse};

    fn client(headers: &str, peer: Option<&str>, forwarded: &Forwarded) -> Client {
        let bytes = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let mut storage = HeaderStorage::new();
        let parsed =
            proto::http1::request::parse(bytes.as_bytes(), &mut storage, &Limits::default());
        let Parse::Complete { head, .. } = parsed else {
            panic!("a good head: {bytes}")
        };
        let peer = peer.map(|peer| peer.parse().expect("address"));
        Client::of(&head, peer, forwarded)
    }

    fn address(client: Client) -> String {
        client
            .address
            .map_or(String::new(), |address| address.to_string())
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        let headers = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
        let default = Forwarded::default();
        let near = client(headers, Some("127.0.0.1:5"), &default);
        assert_eq!(
            (address(near).as_str(), near.port, near.https),
            ("9.9.9.9", 0, true)
        );
        let far = client(headers, Some("10.0.0.1:5"), &default);
        assert_eq!(
            (address(far).as_str(), far.port, far.https),
            ("10.0.0.1", 5, false)
        );
        assert_eq!(address(client(headers, None, &default)), "9.9.9.9");
        let nobody = Forwarded {
            trusted: Trusted::Nobody,
            ..Forwarded::default()
        };
        assert_eq!(
            address(client(headers, Some("127.0.0.1:5"), &nobody)),
            "127.0.0.1"
        );
        assert_eq!(address(client(headers, None, &nobody)), "");
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_not_trusted() {
        let ten = Network {
            address: "10.0.0.0".parse().expect("address"),
            bits: 8,
        };
        let forwarded = Forwarded {
            trusted: Trusted::Networks(vec![ten]),
            ..Forwarded::default()
        };
        let at = |headers: &str| address(client(headers, Some("10.1.1.1:5"), &forwarded));
        // What the client itself sent stands at the far left.
        assert_eq!(
            at("X-Forwarded-For: 6.6.6.6, 8.8.8.8, 10.2.2.2\r\n"),
            "8.8.8.8"
        );
        assert_eq!(
            at("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 8.8.8.8\r\n"),
            "8.8.8.8"
        );
        assert_eq!(at("X-Forwarded-For: 10.3.3.3, 10.2.2.2\r\n"), "10.3.3.3");
        assert_eq!(at("X-Forwarded-For: 8.8.8.8, unknown\r\n"), "10.1.1.1");
        assert_eq!(at("X-Forwarded-For: unknown, 10.2.2.2\r\n"), "10.2.2.2");
        assert_eq!(at("X-Forwarded-For: [2001:db8::1]:99\r\n"), "2001:db8::1");
        assert_eq!(at("x-forwarded-for:\r\n"), "10.1.1.1");
        let everybody = Forwarded {
            trusted: Trusted::Everybody,
            ..Forwarded::default()
        };
        let chain = "X-Forwarded-For: 6.6.6.6:7, 8.8.8.8\r\n";
        let first = client(chain, Some("1.1.1.1:5"), &everybody);
        assert_eq!((address(first).as_str(), first.port), ("6.6.6.6", 7));
    }

    #[test]
    fn a_scheme_is_https_if_all_headers_agree() {
        let forwarded = Forwarded::default();
        let https = |headers: &str| client(headers, Some("127.0.0.1:5"), &forwarded).https;
        assert!(https("X-Forwarded-Proto: HTTPS\r\n"));
        assert!(https(
            "X-Forwarded-SSL: on\r\nX-Forwarded-Protocol: ssl\r\n"
        ));
        assert!(https("X-Forwarded-Proto: http, https\r\n"));
        assert!(!https("X-Forwarded-Proto: http\r\n"));
        assert!(!https(
            "X-Forwarded-Proto: https\r\nX-Forwarded-SSL: off\r\n"
        ));
        assert!(!https(""));
    }
}
