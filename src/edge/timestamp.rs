//! Times as logs write them, formatted once per second and copied after that. UTC throughout: lines of several machines
//! sort together, and no time zone file is read.
//!
//! Owns the cached text. Time comes in as an argument (Unix nanoseconds). Must not know what is logged.

use proto::date;

/// The current second in both notations.
#[derive(Clone, Debug)]
pub struct Timestamp {
    second: u64,
    combined: [u8; 26],
    iso: [u8; 24],
}

/// Where `iso` has its three digits of milliseconds.
const MILLISECONDS: std::ops::Range<usize> = 20..23;

impl Default for Timestamp {
    fn default() -> Timestamp {
        Timestamp {
            second: 0,
            combined: date::log_date(0),
            iso: date::rfc3339(0, 0),
        }
    }
}

impl Timestamp {
    /// Appends `23/Nov/2026:01:02:03 +0000`.
    pub fn combined(&mut self, unix_ns: u64, out: &mut Vec<u8>) {
        self.turn_to(unix_ns / 1_000_000_000);
        out.extend_from_slice(&self.combined);
    }

    /// Appends `2026-11-23T01:02:03.123Z`.
    pub fn iso(&mut self, unix_ns: u64, out: &mut Vec<u8>) {
        self.turn_to(unix_ns / 1_000_000_000);
        let start = out.len();
        out.extend_from_slice(&self.iso);
        let ms = (unix_ns / 1_000_000 % 1000) as u16;
        let digits = [ms / 100, ms / 10 % 10, ms % 10].map(|digit| b'0' + digit as u8);
        out[start..][MILLISECONDS].copy_from_slice(&digits);
    }

    fn turn_to(&mut self, second: u64) {
        if self.second != second {
            self.second = second;
            self.combined = date::log_date(second);
            self.iso = date::rfc3339(second, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(stamp: &mut Timestamp, unix_s: u64) -> (String, String) {
        let (mut a, mut b) = (b"[".to_vec(), b"[".to_vec());
        stamp.combined(unix_s * 1_000_000_000, &mut a);
        stamp.iso(unix_s * 1_000_000_000 + 107_000_000, &mut b);
        (
            String::from_utf8(a).expect("ASCII"),
            String::from_utf8(b).expect("ASCII"),
        )
    }

    #[test]
    fn known_days() {
        let mut stamp = Timestamp::default();
        for (unix_s, combined, iso) in [
            (
                0,
                "[01/Jan/1970:00:00:00 +0000",
                "[1970-01-01T00:00:00.107Z",
            ),
            (
                951_782_400,
                "[29/Feb/2000:00:00:00 +0000",
                "[2000-02-29T00:00:00.107Z",
            ),
            (
                1_795_395_723,
                "[23/Nov/2026:01:02:03 +0000",
                "[2026-11-23T01:02:03.107Z",
            ),
            (
                0,
                "[01/Jan/1970:00:00:00 +0000",
                "[1970-01-01T00:00:00.107Z",
            ),
        ] {
            assert_eq!(
                both(&mut stamp, unix_s),
                (combined.to_owned(), iso.to_owned())
            );
        }
    }
}
