//! Times as logs write them, formatted once per second and copied after that. UTC throughout: lines of several machines
//! sort together, and no time zone file is read.
//!
//! Owns the cached text. Time comes in as an argument (Unix nanoseconds). Must not know what is logged.

/// `23/Nov/2026:01:02:03 +0000`
pub const COMBINED_BYTES: usize = 26;
/// `2026-11-23T01:02:03`; milliseconds and `Z` are appended per line.
const ISO_SECOND_BYTES: usize = 19;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The current second in both notations.
#[derive(Clone, Debug)]
pub struct Timestamp {
    second: u64,
    combined: [u8; COMBINED_BYTES],
    iso: [u8; ISO_SECOND_BYTES],
}

impl Default for Timestamp {
    fn default() -> Timestamp {
        let mut stamp = Timestamp {
            second: u64::MAX,
            combined: [b' '; COMBINED_BYTES],
            iso: [b' '; ISO_SECOND_BYTES],
        };
        stamp.turn_to(0);
        stamp
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
        out.extend_from_slice(&self.iso);
        let ms = (unix_ns / 1_000_000 % 1000) as u16;
        out.extend_from_slice(&[
            b'.',
            digit(ms / 100),
            digit(ms / 10 % 10),
            digit(ms % 10),
            b'Z',
        ]);
    }

    fn turn_to(&mut self, second: u64) {
        if self.second == second {
            return;
        }
        self.second = second;
        let (year, month, day) = civil(second / 86_400);
        let (hour, minute, second) = (
            (second / 3600 % 24) as u16,
            (second / 60 % 60) as u16,
            (second % 60) as u16,
        );
        let c = &mut self.combined;
        two(&mut c[0..2], day);
        c[2] = b'/';
        c[3..6].copy_from_slice(MONTHS[usize::from(month - 1)]);
        c[6] = b'/';
        two(&mut c[7..9], year / 100);
        two(&mut c[9..11], year % 100);
        c[11] = b':';
        clock(&mut c[12..20], hour, minute, second);
        c[20..26].copy_from_slice(b" +0000");
        let i = &mut self.iso;
        two(&mut i[0..2], year / 100);
        two(&mut i[2..4], year % 100);
        i[4] = b'-';
        two(&mut i[5..7], month);
        i[7] = b'-';
        two(&mut i[8..10], day);
        i[10] = b'T';
        clock(&mut i[11..19], hour, minute, second);
    }
}

/// `hh:mm:ss`
fn clock(out: &mut [u8], hour: u16, minute: u16, second: u16) {
    two(&mut out[0..2], hour);
    out[2] = b':';
    two(&mut out[3..5], minute);
    out[5] = b':';
    two(&mut out[6..8], second);
}

fn two(out: &mut [u8], n: u16) {
    out[0] = digit(n / 10 % 10);
    out[1] = digit(n % 10);
}

fn digit(n: u16) -> u8 {
    b'0' + n as u8
}

/// Days since 1970-01-01 to (year, month, day). Howard Hinnant's `civil_from_days`, for days after the epoch; years
/// beyond 9999 wrap in print only.
fn civil(days: u64) -> (u16, u16, u16) {
    let z = days + 719_468; // days since 0000-03-01
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year as u16, month as u16, day as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(unix_s: u64) -> (String, String) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut stamp = Timestamp::default();
        stamp.combined(unix_s * 1_000_000_000, &mut a);
        stamp.iso(unix_s * 1_000_000_000 + 7_000_000, &mut b);
        (
            String::from_utf8(a).expect("ascii"),
            String::from_utf8(b).expect("ascii"),
        )
    }

    #[test]
    fn known_days() {
        for (unix_s, combined, iso) in [
            (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00.007Z"),
            (
                951_782_399,
                "28/Feb/2000:23:59:59 +0000",
                "2000-02-28T23:59:59.007Z",
            ),
            (
                951_782_400,
                "29/Feb/2000:00:00:00 +0000",
                "2000-02-29T00:00:00.007Z",
            ),
            (
                1_795_395_723,
                "23/Nov/2026:01:02:03 +0000",
                "2026-11-23T01:02:03.007Z",
            ),
            (
                4_107_542_400,
                "01/Mar/2100:00:00:00 +0000",
                "2100-03-01T00:00:00.007Z",
            ),
        ] {
            assert_eq!(both(unix_s), (combined.to_owned(), iso.to_owned()));
        }
    }
}
