//! Request header names and what a protocol keeps of each: found by the bytes of the name, learned as requests bring new ones.
//!
//! A client can make a table learn [`LEARNED_MAX`] names, no more, and look at [`PROBES_MAX`] places for one, no more.

use crate::ffi::Result;

/// Headers that almost every request has. Their values seldom change, so what was made of the last one is kept. No secrets among them.
pub const COMMON: [&[u8]; 24] = [
    b"host",
    b"user-agent",
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"connection",
    b"cache-control",
    b"pragma",
    b"content-type",
    b"content-length",
    b"origin",
    b"upgrade",
    b"upgrade-insecure-requests",
    b"sec-fetch-dest",
    b"sec-fetch-mode",
    b"sec-fetch-site",
    b"sec-fetch-user",
    b"sec-ch-ua",
    b"sec-ch-ua-mobile",
    b"sec-ch-ua-platform",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"dnt",
    b"te",
];

/// Names that requests may teach us.
const LEARNED_MAX: usize = 512;
/// Longest value that is kept.
pub const KEPT_BYTES_MAX: usize = 256;
/// Buckets of the table; a power of two, twice what it may hold.
const BUCKETS: usize = 2048;
/// Buckets looked at before a name counts as unknown.
const PROBES_MAX: usize = 8;

pub struct Names<T> {
    /// Index + 1 into `entries`, 0: empty.
    buckets: Vec<u16>,
    entries: Vec<T>,
}

impl<T> Names<T> {
    /// With an entry for each of [`COMMON`].
    pub fn new(mut make: impl FnMut(&'static [u8]) -> Result<T>) -> Result<Names<T>> {
        let mut names = Names {
            buckets: vec![0; BUCKETS],
            entries: Vec::new(),
        };
        for name in COMMON {
            names.find(name, |_| false, || make(name))?;
        }
        Ok(names)
    }

    /// The entry that `is` this name's; one made by `make` if there is none. `None`: the table is full, or somebody aims at one of its buckets.
    #[inline]
    pub fn find(
        &mut self,
        name: &[u8],
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Option<&mut T>> {
        let start = hash(name);
        for probe in 0..PROBES_MAX {
            let bucket = start.wrapping_add(probe) % BUCKETS;
            match self.buckets[bucket] {
                0 if self.entries.len() < COMMON.len() + LEARNED_MAX => {
                    self.entries.push(make()?);
                    self.buckets[bucket] = self.entries.len() as u16;
                    return Ok(self.entries.last_mut());
                }
                0 => return Ok(None),
                index => {
                    let index = usize::from(index - 1);
                    if is(&self.entries[index]) {
                        return Ok(Some(&mut self.entries[index]));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Quick, not strong: see [`PROBES_MAX`]. Blind to the case of letters.
#[inline]
fn hash(name: &[u8]) -> usize {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let mut hash = name.len() as u64;
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        hash = (hash ^ (u64::from_le_bytes(*word) | LOWER))
            .wrapping_mul(FACTOR)
            .rotate_left(29);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte | 0x20))
            .wrapping_mul(FACTOR)
            .rotate_left(29);
    }
    (hash >> 32) as usize
}
