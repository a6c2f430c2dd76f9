//! Accept-Encoding (RFC 9110 section 12.5.3): which of the codings at hand the client likes best.

use crate::text;

/// A content coding that a stored file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// As in Content-Encoding.
    pub const fn as_str(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The extension of a precompressed sibling.
    pub const fn extension(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

/// The client's weights, in thousandths; 0 refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferences {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// `*`
    other: Option<u16>,
}

impl Preferences {
    /// Reads all Accept-Encoding lines of a request. No line: identity only, the cautious reading (the RFC would allow
    /// any coding). A member with a malformed weight is ignored.
    pub fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Preferences {
        let mut preferences = Preferences {
            brotli: None,
            zstd: None,
            gzip: None,
            identity: None,
            other: None,
        };
        for member in lines.flat_map(text::list) {
            let (name, weight) = match member.iter().position(|&byte| byte == b';') {
                Some(at) => (text::trim(&member[..at]), weight(&member[at + 1..])),
                None => (member, Some(1000)),
            };
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            let (Some(weight), Some(place)) = (
                weight,
                match name {
                    _ if is("br") => Some(&mut preferences.brotli),
                    _ if is("zstd") => Some(&mut preferences.zstd),
                    _ if is("gzip") || is("x-gzip") => Some(&mut preferences.gzip),
                    _ if is("identity") => Some(&mut preferences.identity),
                    b"*" => Some(&mut preferences.other),
                    _ => None,
                },
            ) else {
                continue;
            };
            *place = Some(weight);
        }
        preferences
    }

    /// The weight of `coding`: its own, else that of `*`, else 0, and for identity the smallest there is.
    pub fn weight(&self, coding: Coding) -> u16 {
        let own = match coding {
            Coding::Identity => return self.identity.or(self.other).unwrap_or(1),
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        own.or(self.other).unwrap_or(0)
    }

    /// The best of `available`, which stands in the server's order of preference and decides between equals. `None`
    /// when the client refuses all of them; RFC 9110 15.5.7 lets a server then send identity all the same.
    pub fn best(&self, available: impl IntoIterator<Item = Coding>) -> Option<Coding> {
        let mut best = (0, None);
        for coding in available {
            let weight = self.weight(coding);
            if weight > best.0 {
                best = (weight, Some(coding));
            }
        }
        best.1
    }
}

/// `q=0.5` in thousandths (RFC 9110 12.4.2). Other parameters are malformed.
pub(crate) fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = text::trim(parameter) else {
        return None;
    };
    match value {
        [whole @ (b'0' | b'1')] => Some(u16::from(whole - b'0') * 1000),
        [whole @ (b'0' | b'1'), b'.', digits @ ..]
            if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) =>
        {
            let thousandths = [100, 10, 1]
                .iter()
                .zip(digits)
                .map(|(unit, digit)| unit * u16::from(digit - b'0'))
                .sum();
            match (whole, thousandths) {
                (b'0', thousandths) => Some(thousandths),
                (_, 0) => Some(1000),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Fuzz: no panic; what is chosen was offered and not refused.
pub fn fuzz_accept_encoding(data: &[u8]) {
    let preferences = Preferences::read(data.split(|&byte| byte == b'\n'));
    if let Some(coding) = preferences.best([Coding::Brotli, Coding::Gzip]) {
        assert!(coding != Coding::Identity && (1..=1000).contains(&preferences.weight(coding)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::*;

    fn best(line: &str) -> Option<Coding> {
        Preferences::read(std::iter::once(line.as_bytes())).best([Brotli, Zstd, Gzip, Identity])
    }

    #[test]
    fn the_best_coding_is_chosen() {
        for (line, expected) in [
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("GZIP;Q=1.0", Some(Gzip)),
            ("br;q=0.5, gzip;q=0.8", Some(Gzip)),
            ("br;q=0, gzip", Some(Gzip)),
            ("*", Some(Brotli)),
            ("*;q=0.1, gzip", Some(Gzip)),
            ("", Some(Identity)),
            ("deflate", Some(Identity)),
            ("identity", Some(Identity)),
            ("identity;q=1, gzip;q=0.5", Some(Identity)),
            ("gzip;q=0.001", Some(Gzip)),
            ("*;q=0", None),
            ("identity;q=0", None),
            ("identity;q=0, zstd;q=0.2", Some(Zstd)),
            ("gzip;q=2", Some(Identity)),
            ("gzip;q=1.001", Some(Identity)),
            ("gzip;q=0.1234", Some(Identity)),
            ("gzip;q=-1", Some(Identity)),
            ("gzip;level=9", Some(Identity)),
            ("gzip ; q=0.5", Some(Gzip)),
        ] {
            assert_eq!(best(line), expected, "{line}");
        }
        let none = Preferences::read(std::iter::empty());
        assert_eq!(none.best([Brotli, Gzip, Identity]), Some(Identity));
        let lines = [&b"br;q=0.1"[..], b"gzip"];
        assert_eq!(
            Preferences::read(lines.into_iter()).best([Brotli, Gzip]),
            Some(Gzip)
        );
    }
}
