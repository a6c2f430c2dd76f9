//! UTF-8 checked as it arrives: a character may be split anywhere, and a fault shows at its first wrong byte.

/// Invariant: `pending[..have]` is a proper beginning of a character, at most 3 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8 {
    pending: [u8; 4],
    have: u8,
}

impl Utf8 {
    /// False: what came so far is no beginning of any UTF-8 text.
    #[must_use]
    pub fn push(&mut self, mut bytes: &[u8]) -> bool {
        while self.have > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return true;
            };
            let have = usize::from(self.have);
            self.pending[have] = byte;
            match std::str::from_utf8(&self.pending[..=have]) {
                Ok(_) => self.have = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => self.have += 1,
            }
            bytes = rest;
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let tail = &bytes[error.valid_up_to()..];
                self.pending[..tail.len()].copy_from_slice(tail);
                self.have = tail.len() as u8;
                true
            }
        }
    }

    /// Whether the text may end here. Starts over.
    #[must_use]
    pub fn finish(&mut self) -> bool {
        std::mem::take(&mut self.have) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn any_cut_gives_the_verdict_of_the_whole() {
        let mut seed = Seed::new(7);
        let pieces: [&[u8]; 14] = [
            b"a",
            "\u{e9}".as_bytes(),
            "\u{20ac}".as_bytes(),
            "\u{10ffff}".as_bytes(),
            "\u{1f600}".as_bytes(),
            b"plain text of some length",
            b"\x80",
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf8",
            b"\xe2\x82",
            b"\xf0\x9f\x98",
        ];
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..1 + seed.below(6) {
                let bound = if seed.below(3) == 0 { 14 } else { 6 };
                text.extend_from_slice(pieces[seed.below(bound) as usize]);
            }
            let mut utf8 = Utf8::default();
            let mut good = true;
            let mut rest = &text[..];
            let mut seen = 0;
            while good && !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + seed.below(rest.len() as u64) as usize);
                good = utf8.push(piece);
                seen += piece.len();
                // As soon as it can be known, and not before.
                let known = std::str::from_utf8(&text[..seen]);
                assert_eq!(
                    good,
                    known.is_ok_and(|_| true) || known.is_err_and(|e| e.error_len().is_none())
                );
                rest = after;
            }
            assert_eq!(
                good && utf8.finish(),
                std::str::from_utf8(&text).is_ok(),
                "{text:?}"
            );
        }
    }
}
