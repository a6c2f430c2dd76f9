//! A request body's bytes as they come off the connection, without their framing.
//!
//! Pure. Invariant: nothing behind the body is touched.

use super::input::Input;
use proto::http1::chunked::{Decoder, Step};
use proto::{Body, Reject};

/// Handed on at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// Where in its framing a body is.
pub enum Source {
    Plain { left: u64 },
    Chunked(Decoder),
}

impl Source {
    pub fn new(body: Body) -> Source {
        match body {
            Body::Chunked => Source::Chunked(Decoder::new()),
            Body::Length(length) => Source::Plain { left: length },
            Body::None => Source::Plain { left: 0 },
        }
    }

    /// Moves what has arrived into `sink`, until it says false. True: the body is complete.
    pub fn draw<E: From<Reject>>(
        &mut self,
        input: &mut Input,
        mut sink: impl FnMut(&[u8]) -> Result<bool, E>,
    ) -> Result<bool, E> {
        match self {
            Source::Plain { left } => loop {
                if *left == 0 {
                    return Ok(true);
                }
                let bytes = input.bytes();
                let count = bytes
                    .len()
                    .min(PIECE_BYTES)
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                if count == 0 {
                    return Ok(false);
                }
                let goes_on = sink(&bytes[..count])?;
                input.consume(count);
                *left -= count as u64;
                if !goes_on {
                    return Ok(*left == 0);
                }
            },
            Source::Chunked(decoder) => loop {
                let bytes = input.bytes();
                let window = &bytes[..bytes.len().min(PIECE_BYTES)];
                match decoder.step(window)? {
                    Step::More if window.len() == bytes.len() => {
                        input.clear();
                        return Ok(false);
                    }
                    Step::More => {
                        let count = window.len();
                        input.consume(count);
                    }
                    Step::Data { data, consumed } => {
                        let goes_on = sink(data)?;
                        input.consume(consumed);
                        if !goes_on {
                            return Ok(false);
                        }
                    }
                    Step::Done { consumed } => {
                        input.consume(consumed);
                        return Ok(true);
                    }
                }
            },
        }
    }

    /// What is still to come, as far as that was announced.
    pub fn left(&self) -> Option<u64> {
        match self {
            Source::Plain { left } => Some(*left),
            Source::Chunked(_) => None,
        }
    }
}
