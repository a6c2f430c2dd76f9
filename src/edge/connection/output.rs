//! What a connection has to send and not yet sent.
//!
//! Several pipelined answers gather here and leave in one send. Positions count every byte ever appended, so that an answer
//! that went wrong can be taken back as long as none of it has left. Invariant: `sent <= bytes.len()`.

use std::io::{self, IoSlice};
use uring::net::Socket;

#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that were in `bytes` before what is there now.
    before: u64,
}

impl Output {
    pub fn new(buffer: Vec<u8>) -> Output {
        debug_assert!(buffer.is_empty());
        Output {
            bytes: buffer,
            sent: 0,
            before: 0,
        }
    }

    /// The buffer, emptied, for the next connection.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }

    /// Makes sure of a buffer, for a holder that gives its own up while it rests.
    pub fn ensure(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffer();
        }
    }

    /// The buffer, if nothing waits in it, for others to use until `ensure`. Positions go on.
    pub fn lend(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() {
            return None;
        }
        self.start_over();
        Some(std::mem::take(&mut self.bytes))
    }

    /// Where to append.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes waiting.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits, for a sender that takes it along.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// What waited has left by other means.
    pub fn forget(&mut self) {
        self.start_over();
    }

    /// The first `count` bytes of what waited have left by other means.
    pub fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            self.start_over();
        }
    }

    /// Bytes ever appended.
    pub fn position(&self) -> u64 {
        self.before + self.bytes.len() as u64
    }

    /// What was appended since `position`, as long as none of it has left.
    pub fn since(&self, position: u64) -> &[u8] {
        let start = position.checked_sub(self.before);
        let bytes = start.and_then(|start| self.bytes.get(start as usize..));
        bytes.unwrap_or_default()
    }

    /// Forgets what was appended since `position`; false if some of it has left.
    pub fn rewind(&mut self, position: u64) -> bool {
        let Some(length) = position.checked_sub(self.before) else {
            return false;
        };
        if length < self.sent as u64 {
            return false;
        }
        self.bytes.truncate(length as usize);
        true
    }

    /// Sends what the socket takes now. True: everything has left.
    pub fn try_flush(&mut self, socket: &Socket) -> io::Result<bool> {
        self.send_waiting(|bytes| socket.try_send(bytes))
    }

    /// As `try_flush`, when the connection is closed behind it: the last bytes may wait for that, and share a segment with the FIN
    /// (kernel-notes/last-answer-with-fin.md).
    pub fn try_flush_last(&mut self, socket: &Socket) -> io::Result<bool> {
        self.send_waiting(|bytes| socket.try_send_more(bytes))
    }

    #[inline]
    fn send_waiting(
        &mut self,
        mut send: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match send(&self.bytes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.start_over();
        Ok(true)
    }

    /// Sends what waits and `parts` behind it, in one call; what the socket does not take is kept. True: everything has left.
    pub fn try_send_through(&mut self, socket: &Socket, parts: [&[u8]; 3]) -> io::Result<bool> {
        let waiting = self.len();
        let total: usize = waiting + parts.iter().map(|part| part.len()).sum::<usize>();
        let slices = [
            IoSlice::new(&self.bytes[self.sent..]),
            IoSlice::new(parts[0]),
            IoSlice::new(parts[1]),
            IoSlice::new(parts[2]),
        ];
        let count = match socket.try_send_parts(&slices, false) {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                0
            }
            Err(error) => return Err(error),
        };
        self.sent += count.min(waiting);
        let mut skip = count.saturating_sub(waiting);
        let was = self.position();
        if self.is_empty() {
            self.start_over();
        }
        self.before = was - self.bytes.len() as u64 + skip as u64;
        if count == total {
            return Ok(true);
        }
        for part in parts {
            let gone = skip.min(part.len());
            self.bytes.extend_from_slice(&part[gone..]);
            skip -= gone;
        }
        Ok(false)
    }

    fn start_over(&mut self) {
        self.before += self.bytes.len() as u64;
        self.bytes.clear();
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_can_be_taken_back_until_it_leaves() {
        let mut output = Output::default();
        output.buffer().extend_from_slice(b"first");
        let start = output.position();
        output.buffer().extend_from_slice(b"second");
        assert!(output.rewind(start));
        assert_eq!(output.len(), 5);
        output.sent = 5;
        output.start_over();
        assert!(output.rewind(start) && output.is_empty());
        output.buffer().extend_from_slice(b"third");
        output.sent = 1;
        assert!(!output.rewind(start) && output.len() == 4);
    }

    #[test]
    fn a_buffer_that_was_lent_changes_no_position() {
        let mut output = Output::default();
        output.buffer().extend_from_slice(b"waits");
        assert_eq!(output.lend(), None);
        output.sent = 5;
        assert!(output.lend().is_some_and(|buffer| buffer.is_empty()));
        let start = output.position();
        assert_eq!(start, 5);
        output.ensure(|| Vec::with_capacity(9));
        output.buffer().extend_from_slice(b"more");
        assert_eq!(output.since(start), b"more");
        assert!(output.rewind(start) && output.is_empty());
    }
}
