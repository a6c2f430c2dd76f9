//! HTTP dates (RFC 9110 section 5.6.7) and the two other spellings of an instant that a server writes: the access log's
//! and RFC 3339's. Instants are seconds since 1970-01-01 UTC; there is no clock here.

/// The last second of the year 9999: dates beyond are shown as this.
const LAST: u64 = 253_402_300_799;
const DAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn imf_fixdate(seconds: u64) -> [u8; 29] {
    let civil = Civil::of(seconds);
    let mut text = *b"___, __ ___ ____ __:__:__ GMT";
    text[0..3].copy_from_slice(DAYS[civil.weekday]);
    two(&mut text[5..], civil.day);
    text[8..11].copy_from_slice(MONTHS[civil.month - 1]);
    four(&mut text[12..], civil.year);
    clock(&mut text[17..], &civil);
    text
}

/// `06/Nov/1994:08:49:37 +0000`, as the combined log format has it.
pub fn log_date(seconds: u64) -> [u8; 26] {
    let civil = Civil::of(seconds);
    let mut text = *b"__/___/____:__:__:__ +0000";
    two(&mut text, civil.day);
    text[3..6].copy_from_slice(MONTHS[civil.month - 1]);
    four(&mut text[7..], civil.year);
    clock(&mut text[12..], &civil);
    text
}

/// `1994-11-06T08:49:37.123Z` (RFC 3339).
pub fn rfc3339(seconds: u64, milliseconds: u32) -> [u8; 24] {
    let civil = Civil::of(seconds);
    let mut text = *b"____-__-__T__:__:__.___Z";
    four(&mut text, civil.year);
    two(&mut text[5..], civil.month);
    two(&mut text[8..], civil.day);
    clock(&mut text[11..], &civil);
    let milliseconds = milliseconds.min(999) as usize;
    text[20] = b'0' + (milliseconds / 100) as u8;
    two(&mut text[21..], milliseconds % 100);
    text
}

/// The current `Date` value, formatted once per second.
#[derive(Clone, Debug)]
pub struct DateCache {
    second: u64,
    text: [u8; 29],
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache::new()
    }
}

impl DateCache {
    pub fn new() -> DateCache {
        DateCache {
            second: 0,
            text: imf_fixdate(0),
        }
    }

    /// The text for `seconds`; cheap while the second stays the same.
    #[inline]
    pub fn at(&mut self, seconds: u64) -> &[u8; 29] {
        if seconds != self.second {
            self.second = seconds;
            self.text = imf_fixdate(seconds);
        }
        &self.text
    }
}

/// Reads an HTTP date in any of the three forms a recipient must accept: IMF-fixdate, RFC 850, asctime. `None` for
/// anything else; negative before 1970 (some libraries' zero is the year 1). The name of the day is not compared with the date.
///
/// Two-digit years: 70 to 99 are 19xx, others 20xx. (The RFC asks for "not more than 50 years ahead"; without a clock
/// this comes to the same until the 2020s end, for any date that was ever a real modification time.)
pub fn parse(text: &[u8]) -> Option<i64> {
    let fields = match text {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [_, _, _, b',', b' ', date @ ..] if text.len() == 29 => {
            is_day(&text[..3])?;
            let [
                d1,
                d2,
                b' ',
                m1,
                m2,
                m3,
                b' ',
                y1,
                y2,
                y3,
                y4,
                b' ',
                time @ ..,
            ] = date
            else {
                return None;
            };
            let year = digits(&[*y1, *y2, *y3, *y4])?;
            (
                year,
                month(&[*m1, *m2, *m3])?,
                digits(&[*d1, *d2])?,
                gmt(time)?,
            )
        }
        // Sun Nov  6 08:49:37 1994
        [_, _, _, b' ', m1, m2, m3, b' ', d1, d2, b' ', rest @ ..] if text.len() == 24 => {
            is_day(&text[..3])?;
            let [time @ .., b' ', y1, y2, y3, y4] = rest else {
                return None;
            };
            let day = if *d1 == b' ' {
                digits(&[*d2])?
            } else {
                digits(&[*d1, *d2])?
            };
            (
                digits(&[*y1, *y2, *y3, *y4])?,
                month(&[*m1, *m2, *m3])?,
                day,
                time_of_day(time)?,
            )
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        _ => {
            let comma = text.iter().position(|&byte| byte == b',')?;
            let (name, rest) = text.split_at(comma);
            let long = [
                &b"Sunday"[..],
                b"Monday",
                b"Tuesday",
                b"Wednesday",
                b"Thursday",
                b"Friday",
                b"Saturday",
            ];
            long.contains(&name).then_some(())?;
            let [
                b',',
                b' ',
                d1,
                d2,
                b'-',
                m1,
                m2,
                m3,
                b'-',
                y1,
                y2,
                b' ',
                time @ ..,
            ] = rest
            else {
                return None;
            };
            let year = digits(&[*y1, *y2])?;
            let year = if year >= 70 { 1900 + year } else { 2000 + year };
            (
                year,
                month(&[*m1, *m2, *m3])?,
                digits(&[*d1, *d2])?,
                gmt(time)?,
            )
        }
    };
    let (year, month, day, seconds) = fields;
    if day < 1 || day > days_in(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86400 + seconds as i64)
}

/// A calendar date and time of day, UTC.
struct Civil {
    year: usize,
    month: usize,
    day: usize,
    weekday: usize,
    second_of_day: usize,
}

impl Civil {
    /// Howard Hinnant's `civil_from_days`: eras of 400 years that begin on 1 March.
    fn of(seconds: u64) -> Civil {
        let seconds = seconds.min(LAST) as usize;
        let days = seconds / 86400;
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Civil {
            year: era * 400 + year_of_era + usize::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            // 1970-01-01 was a Thursday.
            weekday: (days + 4) % 7,
            second_of_day: seconds % 86400,
        }
    }
}

/// Days since 1970-01-01.
fn days_from_civil(year: u64, month: u64, day: u64) -> i64 {
    // A whole era later, lest the year before the first be negative.
    let year = if month <= 2 { year + 399 } else { year + 400 };
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    days as i64 - 146_097 - 719_468
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_day(name: &[u8]) -> Option<()> {
    DAYS.iter().any(|day| &day[..] == name).then_some(())
}

/// 1 to 12.
fn month(name: &[u8; 3]) -> Option<u64> {
    MONTHS
        .iter()
        .position(|month| *month == name)
        .map(|index| index as u64 + 1)
}

fn digits(text: &[u8]) -> Option<u64> {
    crate::text::decimal(text)
}

fn gmt(text: &[u8]) -> Option<u64> {
    time_of_day(text.strip_suffix(b" GMT")?)
}

/// `08:49:37` in seconds. A leap second (60) counts as the last ordinary one.
fn time_of_day(text: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hours, minutes, seconds) = (
        digits(&[*h1, *h2])?,
        digits(&[*m1, *m2])?,
        digits(&[*s1, *s2])?,
    );
    (hours < 24 && minutes < 60 && seconds <= 60)
        .then(|| hours * 3600 + minutes * 60 + seconds.min(59))
}

fn two(text: &mut [u8], number: usize) {
    text[0] = b'0' + (number / 10) as u8;
    text[1] = b'0' + (number % 10) as u8;
}

fn four(text: &mut [u8], number: usize) {
    two(text, number / 100);
    two(&mut text[2..], number % 100);
}

fn clock(text: &mut [u8], civil: &Civil) {
    two(text, civil.second_of_day / 3600);
    two(&mut text[3..], civil.second_of_day / 60 % 60);
    two(&mut text[6..], civil.second_of_day % 60);
}

/// Fuzz: no panic, and a date that was read is written as one that reads the same.
pub fn fuzz_date(data: &[u8]) {
    if let Some(seconds) = parse(data)
        && let Ok(positive) = u64::try_from(seconds)
    {
        assert_eq!(parse(&imf_fixdate(positive)), Some(seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written() {
        assert_eq!(&imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&imf_fixdate(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&imf_fixdate(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(
            &imf_fixdate(4_102_444_799),
            b"Thu, 31 Dec 2099 23:59:59 GMT"
        );
        assert_eq!(&imf_fixdate(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(&log_date(784_111_777), b"06/Nov/1994:08:49:37 +0000");
        assert_eq!(&rfc3339(784_111_777, 123), b"1994-11-06T08:49:37.123Z");
        let mut cache = DateCache::new();
        assert_eq!(cache.at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.at(784_111_778), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn all_three_forms_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(
            parse(b"Thu Nov 16 08:49:37 1994"),
            Some(784_111_777 + 864_000)
        );
        assert_eq!(parse(b"Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        assert_eq!(parse(b"Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
        assert_eq!(
            parse(b"Mon, 01 Jan 0001 00:00:00 GMT"),
            Some(-62_135_596_800)
        );
        assert_eq!(
            parse(b"Sat, 01 Jan 0000 00:00:00 GMT"),
            Some(-62_167_219_200)
        );
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Mon, 29 Feb 2001 00:00:00 GMT",
            "Mon, 00 Jan 2001 00:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 08:+9:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 94",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "784111777",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in 0..146_097 {
            let seconds = day * 86_400 + (day * 7919) % 86_400;
            assert_eq!(parse(&imf_fixdate(seconds)), Some(seconds as i64));
        }
    }
}
