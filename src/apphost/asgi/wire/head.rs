//! Encoded heads (`shm::response`), header by header.

use super::Fault;
use crate::header;
use shm::response::Encoder;

/// Longest encoded head. The exchange's smallest sensible response ring holds it.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Appends a checked header to a head that begins `head`.
pub fn put_checked(head: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    check_header(name, value)?;
    put(head, name, value)
}

pub(super) fn put(head: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    encoded(Encoder::resume(head, 0).and_then(|mut encoder| {
        encoder.header(name, value)?;
        encoder.finish();
        Some(())
    }))?;
    if head.len() > HEAD_BYTES_MAX {
        return Err(too_long());
    }
    Ok(())
}

pub(super) fn check_header(name: &[u8], value: &[u8]) -> Result<(), Fault> {
    let fault = |fault: &str| {
        Fault::Value(format!(
            "{fault}: {}: {}",
            name.escape_ascii(),
            value.escape_ascii()
        ))
    };
    header::name(name).map_err(fault)?;
    header::value(value).map_err(fault)
}

/// An empty head, to be filled by [`put_checked`].
pub fn empty_head(status: u16) -> Vec<u8> {
    let mut head = Vec::new();
    Encoder::new(&mut head, status, b"")
        .map(Encoder::finish)
        .expect("an empty reason fits");
    head
}

pub(super) fn encoded(done: Option<()>) -> Result<(), Fault> {
    done.ok_or_else(too_long)
}

#[cold]
pub(super) fn too_long() -> Fault {
    Fault::Value("the headers are too long".to_owned())
}

/// A number's decimal digits, at the end of `buffer`.
pub(super) fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}
