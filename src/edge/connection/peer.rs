//! The client's address, in few bytes: every connection at rest has one. And as text.
//!
//! Must not know what it is for.

use std::cell::Cell;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use uring::net::Socket;

/// Asked for when it is first needed; 19 bytes instead of the 32 of an `Option<SocketAddr>`.
#[derive(Default)]
pub struct Peer(Cell<Known>);

#[derive(Clone, Copy, Default)]
enum Known {
    #[default]
    Nothing,
    /// It may be named before the first request.
    Awaited,
    /// A unix socket, or a client that had gone by then.
    Nobody,
    V4([u8; 4], [u8; 2]),
    V6([u8; 16], [u8; 2]),
}

impl Peer {
    /// Somebody else may be named instead of who has connected.
    pub fn awaited() -> Peer {
        Peer(Cell::new(Known::Awaited))
    }

    #[inline]
    pub fn is_awaited(&self) -> bool {
        matches!(self.0.get(), Known::Awaited)
    }

    /// The wait is over: this is the client; `None`: it is who has connected.
    pub fn name(&self, client: Option<SocketAddr>) {
        self.0.set(match client {
            Some(client) => Known::of(Some(client)),
            None => Known::Nothing,
        });
    }

    pub fn address(&self, socket: &Socket) -> Option<SocketAddr> {
        match self.0.get() {
            Known::Nothing => self.0.set(Known::of(socket.peer().ok().flatten())),
            Known::Awaited => return socket.peer().ok().flatten(),
            _ => {}
        }
        self.0.get().address()
    }
}

impl Known {
    fn of(address: Option<SocketAddr>) -> Known {
        let Some(address) = address else {
            return Known::Nobody;
        };
        let port = address.port().to_ne_bytes();
        match address.ip() {
            IpAddr::V4(ip) => Known::V4(ip.octets(), port),
            IpAddr::V6(ip) => Known::V6(ip.octets(), port),
        }
    }

    fn address(self) -> Option<SocketAddr> {
        let (ip, port) = match self {
            Known::Nothing | Known::Awaited | Known::Nobody => return None,
            Known::V4(octets, port) => (IpAddr::V4(Ipv4Addr::from(octets)), port),
            Known::V6(octets, port) => (IpAddr::V6(Ipv6Addr::from(octets)), port),
        };
        Some(SocketAddr::new(ip, u16::from_ne_bytes(port)))
    }
}

/// An address as text, without the heap.
pub struct AddressText {
    bytes: [u8; 46],
    length: usize,
}

impl Default for AddressText {
    fn default() -> AddressText {
        AddressText {
            bytes: [0; 46],
            length: 0,
        }
    }
}

impl AddressText {
    /// Empty for a unix socket.
    pub fn of(address: Option<IpAddr>) -> AddressText {
        let mut text = AddressText::default();
        if let Some(address) = address {
            // Fits: the longest IPv6 address has 45 characters.
            write!(text, "{address}").ok();
        }
        text
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_out_as_it_went_in() {
        for text in ["192.0.2.1:80", "[2001:db8::7]:65535", "[::1]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(Known::of(Some(address)).address(), Some(address));
        }
        assert_eq!(Known::of(None).address(), None);
        assert!(size_of::<Peer>() <= 19);
    }
}
