//! Request headers as pairs of `bytes`: names that came before are not made again, and whole pairs of headers that seldom change neither.

use crate::ffi::{Object, Python, Result};
use crate::names::{COMMON, KEPT_BYTES_MAX, Names};

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

impl Entry {
    fn new(py: Python<'_>, name: &[u8]) -> Result<Entry> {
        let lower = name.to_ascii_lowercase();
        Ok(Entry {
            sent: name.into(),
            name: py.bytes(&lower)?,
            keeps: COMMON.contains(&lower.as_slice()),
            kept: None,
        })
    }
}

pub struct Pairs(Names<Entry>);

impl Pairs {
    pub fn new(py: Python<'_>) -> Result<Pairs> {
        Names::new(|name| Entry::new(py, name)).map(Pairs)
    }

    /// `(name in lower case, value)`.
    #[inline]
    pub fn pair(&mut self, py: Python<'_>, name: &[u8], value: &[u8]) -> Result<Object> {
        let known = |entry: &Entry| *entry.sent == *name;
        let Some(entry) = self.0.find(name, known, || Entry::new(py, name))? else {
            return py.tuple(&[&py.bytes(&name.to_ascii_lowercase())?, &py.bytes(value)?]);
        };
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
}
