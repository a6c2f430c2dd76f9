//! What a connection has received and not yet used.
//!
//! Usually one receive buffer of the thread's, read in place; bytes are copied only when a request spans two receives or the
//! buffer would be held while waiting. Invariant: the unread bytes are either all in `chunk` or all in `carry`.

use uring::net::RecvBuf;

/// A `carry` that grew beyond this is not kept for the next request.
const CARRY_KEPT_BYTES: usize = 16 * 1024;

#[derive(Default)]
pub struct Input {
    /// A receive buffer, read up to `at`.
    chunk: Option<RecvBuf>,
    carry: Vec<u8>,
    /// Bytes already used, of `chunk` or `carry`.
    at: usize,
}

impl Input {
    pub fn of(chunk: RecvBuf) -> Input {
        Input {
            chunk: Some(chunk),
            carry: Vec::new(),
            at: 0,
        }
    }

    /// Everything unread.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.chunk {
            Some(chunk) => &chunk[self.at..],
            None => &self.carry[self.at..],
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Marks `count` bytes as used; a used-up receive buffer goes back.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        debug_assert!(
            self.at
                <= self
                    .chunk
                    .as_ref()
                    .map_or(self.carry.len(), |chunk| chunk.len())
        );
        if self.bytes().is_empty() {
            self.chunk = None;
            self.at = 0;
            self.carry.clear();
            if self.carry.capacity() > CARRY_KEPT_BYTES {
                self.carry = Vec::new();
            }
        }
    }

    /// Takes in what has arrived.
    pub fn push(&mut self, chunk: RecvBuf) {
        if self.is_empty() {
            *self = Input {
                chunk: Some(chunk),
                carry: std::mem::take(&mut self.carry),
                at: 0,
            };
            self.carry.clear();
        } else {
            self.own();
            self.carry.extend_from_slice(&chunk);
        }
    }

    /// Gives the receive buffer back; before a wait of unknown length.
    pub fn own(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.carry.clear();
            self.carry.extend_from_slice(&chunk[self.at..]);
            self.at = 0;
        } else if self.at > 0 {
            self.carry.drain(..self.at);
            self.at = 0;
        }
    }

    /// Forgets everything unread.
    pub fn clear(&mut self) {
        *self = Input::default();
    }
}
