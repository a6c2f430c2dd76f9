//! The request target (RFC 9112 section 3.2) and the authority in it or in `Host` (RFC 9110 sections 4.2 and 7.2).
//!
//! Stricter than RFC 3986 where a looser reading gives two systems two opinions: no userinfo, no fragment, host names
//! of unreserved characters only (no `%`, no sub-delims), IPv6 literals without zones.

use crate::reject::Reject;

/// The form in which the client wrote the target. Authority-form belongs to CONNECT, which we refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `*`, only with OPTIONS
    Asterisk,
}

/// A request target taken apart, nothing decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// Exactly as sent (RAW_URI, logs).
    pub raw: &'b str,
    pub form: Form,
    /// Begins with `/`; `*` in asterisk-form. Still percent-encoded: see [`crate::path::normalise`].
    pub path: &'b str,
    /// After the first `?`, without it; `""` when there is none.
    pub query: &'b str,
    /// Scheme and authority of an absolute-form target.
    pub origin: Option<(Scheme, Authority<'b>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// `host [":" port]`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'b> {
    /// As sent: what HTTP_HOST shows.
    pub raw: &'b str,
    /// Host name or address; IPv6 with its brackets. Never empty; case as sent.
    pub host: &'b str,
    pub port: Option<u16>,
}

impl<'b> Target<'b> {
    /// Takes a target apart. `raw` holds no space and no control character: the request line's parser saw to that.
    pub fn parse(raw: &'b str) -> Result<Target<'b>, Reject> {
        if raw.starts_with('/') {
            let (path, query) = split(raw)?;
            return Ok(Target {
                raw,
                form: Form::Origin,
                path,
                query,
                origin: None,
            });
        }
        if raw == "*" {
            return Ok(Target {
                raw,
                form: Form::Asterisk,
                path: raw,
                query: "",
                origin: None,
            });
        }
        Target::parse_absolute(raw)
    }

    #[cold]
    fn parse_absolute(raw: &'b str) -> Result<Target<'b>, Reject> {
        const MALFORMED: Reject = Reject::bad("malformed request target");
        let (scheme, rest) = raw.split_once("://").ok_or(MALFORMED)?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(MALFORMED),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = Authority::parse(authority).ok_or(MALFORMED)?;
        let (path, query) = split(rest)?;
        let path = if path.is_empty() { "/" } else { path };
        Ok(Target {
            raw,
            form: Form::Absolute,
            path,
            query,
            origin: Some((scheme, authority)),
        })
    }
}

/// Splits path and query; a fragment never belongs on the wire (RFC 9112 3.2).
fn split(target: &str) -> Result<(&str, &str), Reject> {
    let bytes = target.as_bytes();
    match memchr::memchr2(b'?', b'#', bytes) {
        None => Ok((target, "")),
        Some(at) if bytes[at] == b'?' && memchr::memchr(b'#', &bytes[at..]).is_none() => {
            Ok((&target[..at], &target[at + 1..]))
        }
        Some(_) => Err(Reject::bad("fragment in request target")),
    }
}

impl<'b> Authority<'b> {
    /// `None` unless `raw` is a host (name, IPv4 or bracketed IPv6) with an optional port.
    pub fn parse(raw: &'b str) -> Option<Authority<'b>> {
        let bytes = raw.as_bytes();
        let end = if bytes.first() == Some(&b'[') {
            let close = bytes.iter().position(|&byte| byte == b']')?;
            raw[1..close].parse::<std::net::Ipv6Addr>().ok()?;
            close + 1
        } else {
            bytes
                .iter()
                .position(|&byte| !is_host_byte(byte))
                .unwrap_or(bytes.len())
        };
        if end == 0 {
            return None;
        }
        let port = match &bytes[end..] {
            // RFC 3986 3.2.3: an empty port is the default port.
            [] | [b':'] => None,
            [b':', digits @ ..] if digits.len() <= 5 => {
                Some(u16::try_from(crate::text::decimal(digits)?).ok()?)
            }
            _ => return None,
        };
        Some(Authority {
            raw,
            host: &raw[..end],
            port,
        })
    }

    /// Whether both name the same place under `scheme`: case ignored, the default port implied.
    pub fn same_as(&self, other: &Authority<'_>, scheme: Scheme) -> bool {
        let default = scheme.default_port();
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

#[inline]
fn is_host_byte(byte: u8) -> bool {
    static HOST: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~');
            byte += 1;
        }
        table
    };
    HOST[byte as usize]
}

/// Fuzz: no panic; the parts of an accepted target are parts of what was sent.
pub fn fuzz_target(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(target) = Target::parse(raw) {
        assert!(target.path.starts_with('/') || target.path == "*");
        assert!(!target.path.contains(['?', '#']) && !target.query.contains('#'));
        assert!(target.path.len() + target.query.len() <= raw.len() + 1);
    }
    if let Some(authority) = Authority::parse(raw) {
        assert!(!authority.host.is_empty() && raw.starts_with(authority.host));
        assert!(authority.same_as(&authority, Scheme::Http));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        let target = Target::parse("/a/b?c=d?e").expect("origin form");
        assert_eq!(
            (target.path, target.query, target.form),
            ("/a/b", "c=d?e", Form::Origin)
        );
        let target = Target::parse("HTTP://Example.com:8080?x").expect("absolute form");
        assert_eq!(
            (target.path, target.query, target.form),
            ("/", "x", Form::Absolute)
        );
        let (scheme, authority) = target.origin.expect("has an authority");
        assert_eq!(
            (scheme, authority.host, authority.port),
            (Scheme::Http, "Example.com", Some(8080))
        );
        assert_eq!(
            Target::parse("*").map(|target| target.form),
            Ok(Form::Asterisk)
        );
        for bad in [
            "",
            "a",
            "a/b",
            "**",
            "/a#b",
            "/a?b#c",
            "ftp://a/",
            "http:///",
            "http://a@b/",
            "http://a/#",
            "http://[::1/",
            "://",
            "http:/a",
            "example.com:443",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn authorities() {
        for (raw, host, port) in [
            ("a", "a", None),
            ("a.b-c_d~:", "a.b-c_d~", None),
            ("A:80", "A", Some(80)),
            ("[::1]:8000", "[::1]", Some(8000)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
        ] {
            let authority = Authority::parse(raw).expect(raw);
            assert_eq!((authority.host, authority.port), (host, port));
        }
        for bad in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:000080",
            "a:+1",
            "a b",
            "a/b",
            "a@b",
            "[::1",
            "[]",
            "[::g]",
            "[::1]x",
            "[fe80::1%25eth0]",
            "a,b",
            "é",
            "a\\b",
            "a:80:80",
            "a%62",
        ] {
            assert_eq!(Authority::parse(bad), None, "{bad}");
        }
    }
}
