//! Request headers as pairs of `bytes`: names that came before are not made again, and whole pairs of headers that seldom change neither.
//!
//! A client can make the table learn [`LEARNED_MAX`] names, no more.

use crate::ffi::{Object, Python, Result};

/// Headers whose last pair is kept: their values seldom change. No secrets among them.
const COMMON: [&[u8]; 24] = [
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
const KEPT_BYTES_MAX: usize = 256;
/// Buckets of the table; a power of two, twice what it may hold.
const BUCKETS: usize = 2048;
/// Buckets looked at before a name counts as unknown.
const PROBES_MAX: usize = 8;

/// The last value of a header, and its pair.
struct Kept {
    value: Vec<u8>,
    pair: Object,
}

struct Entry {
    /// As it came; compared byte for byte.
    sent: Box<[u8]>,
    /// In lower case.
    name: Object,
    keeps: bool,
    kept: Option<Kept>,
}

pub struct Names {
    /// Index + 1 into `entries`, 0: empty.
    buckets: Vec<u16>,
    entries: Vec<Entry>,
}

impl Names {
    pub fn new(py: Python<'_>) -> Result<Names> {
        let mut names = Names {
            buckets: vec![0; BUCKETS],
            entries: Vec::new(),
        };
        for name in COMMON {
            names.place(py, name)?;
        }
        Ok(names)
    }

    /// `(name in lower case, value)`.
    #[inline]
    pub fn pair(&mut self, py: Python<'_>, name: &[u8], value: &[u8]) -> Result<Object> {
        let Some(index) = self.place(py, name)? else {
            // The table is full, or somebody aims at one of its buckets.
            return py.tuple(&[&py.bytes(&name.to_ascii_lowercase())?, &py.bytes(value)?]);
        };
        let entry = &mut self.entries[index];
        if let Some(kept) = &entry.kept
            && kept.value == value
        {
            return Ok(kept.pair.clone());
        }
        let pair = py.tuple(&[&entry.name, &py.bytes(value)?])?;
        if entry.keeps && value.len() <= KEPT_BYTES_MAX {
            entry.kept = Some(Kept {
                value: value.to_vec(),
                pair: pair.clone(),
            });
        }
        Ok(pair)
    }

    /// The entry of a name; makes one if there is room.
    #[inline]
    fn place(&mut self, py: Python<'_>, name: &[u8]) -> Result<Option<usize>> {
        let start = hash(name);
        for probe in 0..PROBES_MAX {
            let bucket = start.wrapping_add(probe) % BUCKETS;
            match self.buckets[bucket] {
                0 if self.entries.len() < COMMON.len() + LEARNED_MAX => {
                    let lower = name.to_ascii_lowercase();
                    self.entries.push(Entry {
                        sent: name.into(),
                        name: py.bytes(&lower)?,
                        keeps: COMMON.contains(&lower.as_slice()),
                        kept: None,
                    });
                    self.buckets[bucket] = self.entries.len() as u16;
                    return Ok(Some(self.entries.len() - 1));
                }
                0 => return Ok(None),
                index if *self.entries[usize::from(index - 1)].sent == *name => {
                    return Ok(Some(usize::from(index - 1)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Quick, not strong: see [`PROBES_MAX`].
#[inline]
fn hash(name: &[u8]) -> usize {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = name.len() as u64;
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word))
            .wrapping_mul(FACTOR)
            .rotate_left(29);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte))
            .wrapping_mul(FACTOR)
            .rotate_left(29);
    }
    (hash >> 32) as usize
}
