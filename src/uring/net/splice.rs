//! Pages from a file to a socket through a pooled pipe: the ring's splice where the disk may be asked (kernel workers
//! wait, not we), inline where the pages are known to be hot.
//!
//! Owns the pipe for the time of the transfer. Invariant: a pipe goes back to the pool empty or not at all.

use std::io;

use super::Socket;
use crate::event_loop::with;
use crate::fs::File;
use crate::pipe::Pipe;

impl Socket {
    /// Up to `length` bytes of a file, inline and without sleeping: file to pipe (non-blocking), pipe to socket. Returns
    /// how many left; what the socket did not take is read again next time. `WouldBlock` when the socket is full, or the
    /// pages are not cached: the same answer, so ask `File::is_cached` first.
    pub fn try_splice(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        let pipe = Pipe::take()?;
        let wanted = length.min(pipe.capacity());
        let filled = with(|core| {
            core.driver.borrow_mut().splice_now(
                file.handle(),
                Some(offset),
                pipe.write_end(),
                wanted,
                false,
            )
        })?;
        let sent = with(|core| {
            core.driver.borrow_mut().splice_now(
                pipe.read_end(),
                None,
                self.handle(),
                filled,
                filled < length,
            )
        });
        if matches!(sent, Ok(sent) if sent == filled) {
            pipe.put_back();
        }
        sent
    }

    /// Up to `length` bytes of a file, whatever it takes: the kernel's workers read the disk, this task waits for the
    /// peer. Returns the bytes sent; fewer than `length` only at the end of the file. On an error an unknown part has left.
    pub async fn splice_from_file(&self, file: &File, offset: u64, length: u64) -> io::Result<u64> {
        let pipe = Pipe::take()?;
        let mut sent = 0;
        while sent < length {
            let wanted = (length - sent).min(pipe.capacity() as u64) as u32;
            let filled =
                crate::fs::splice(file.handle(), Some(offset + sent), pipe.write_end(), wanted)
                    .await?;
            if filled == 0 {
                break;
            }
            let mut left = filled;
            while left > 0 {
                let more = sent + (filled as u64) < length;
                let moved = with(|core| {
                    core.driver.borrow_mut().splice_now(
                        pipe.read_end(),
                        None,
                        self.handle(),
                        left,
                        more,
                    )
                });
                match moved {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => left -= count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.writable().await?
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            sent += filled as u64;
        }
        pipe.put_back();
        Ok(sent)
    }
}
