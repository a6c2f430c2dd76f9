//! Descriptors on a worker's socket: files the app wants sent, spooled bodies it wants to read.
//!
//! The socket is shared by all ring threads, so one of them may receive what belongs to another: a stash, shared as well,
//! keeps it. Nobody asks for what belongs to a request that was cancelled meanwhile, so it is swept out once the worker is through with that
//! request: else it would stay open, and in the end the worker could send no more. Invariants: nothing here waits; the stash is bounded, the
//! oldest descriptor is closed first.

use shm::handover::{LABEL_BYTES, Label};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Descriptors of one worker that nobody has asked for yet.
const STASH_MAX: usize = 1024;
/// Packets taken from the socket in one go; the kernel's own bound on a socket's queue is far below.
const PACKETS_MAX: usize = 1024;

/// The edge's end of one worker's socket, one clone per ring thread.
#[derive(Clone, Debug)]
pub struct WorkerSocket {
    socket: Arc<OwnedFd>,
    stash: Arc<Mutex<VecDeque<(Label, OwnedFd)>>>,
}

impl WorkerSocket {
    /// The socket must not block.
    pub fn new(socket: Arc<OwnedFd>) -> WorkerSocket {
        WorkerSocket {
            socket,
            stash: Arc::default(),
        }
    }

    /// The descriptor under this label, if it has come. The worker sends it before it names it.
    pub fn take(&self, label: Label) -> io::Result<Option<OwnedFd>> {
        let mut stash = self.stash.lock().unwrap_or_else(PoisonError::into_inner);
        self.receive(&mut stash)?;
        let place = stash.iter().position(|(other, _)| *other == label);
        Ok(place
            .and_then(|place| stash.remove(place))
            .map(|(_, fd)| fd))
    }

    /// Closes what nobody can ask for any more.
    pub fn sweep(&self, is_current: impl Fn(Label) -> bool) {
        let mut stash = self.stash.lock().unwrap_or_else(PoisonError::into_inner);
        // A socket that is broken yields nothing more; its worker's end tells.
        drop(self.receive(&mut stash));
        stash.retain(|(label, _)| is_current(*label));
    }

    #[cfg(test)]
    pub fn stashed(&self) -> usize {
        self.stash.lock().expect("no panics").len()
    }

    fn receive(&self, stash: &mut VecDeque<(Label, OwnedFd)>) -> io::Result<()> {
        let mut packet = [0; LABEL_BYTES];
        for _ in 0..PACKETS_MAX {
            let mut fds = Vec::new();
            match sys::socket::recv_with_fds(self.socket.as_fd(), &mut packet, &mut fds) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    // A packet that is no label comes from an app that misbehaves; its descriptors are closed here.
                    let label = Label::decode(&packet[..count]);
                    if let (Some(label), Some(fd)) = (label, fds.pop()) {
                        if stash.len() >= STASH_MAX {
                            stash.pop_front();
                        }
                        stash.push_back((label, fd));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands a descriptor to the worker.
    pub fn give(&self, label: Label, fd: BorrowedFd<'_>) -> io::Result<()> {
        sys::socket::send_with_fds(self.socket.as_fd(), &label.encode(), &[fd])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (WorkerSocket, OwnedFd) {
        let (edge, worker) = sys::socket::seqpacket_pair().expect("a pair");
        sys::socket::set_nonblocking(edge.as_fd(), true).expect("a flag");
        (WorkerSocket::new(Arc::new(edge)), worker)
    }

    #[test]
    fn descriptors_find_their_request_in_any_order() {
        let (edge, worker) = pair();
        let other_ring = edge.clone();
        let labels = [1, 2].map(|slot| Label {
            slot,
            ticket: 9,
            token: 0,
        });
        for label in labels {
            sys::socket::send_with_fds(worker.as_fd(), &label.encode(), &[worker.as_fd()])
                .expect("sent");
        }
        assert!(edge.take(labels[1]).expect("a socket").is_some());
        assert!(edge.take(labels[1]).expect("a socket").is_none());
        assert!(other_ring.take(labels[0]).expect("a socket").is_some());
        assert!(
            edge.take(Label {
                ticket: 8,
                ..labels[0]
            })
            .expect("a socket")
            .is_none()
        );
    }

    #[test]
    fn what_nobody_asks_for_is_swept_out() {
        let (edge, worker) = pair();
        for ticket in 0..2 * STASH_MAX as u32 {
            let label = Label {
                slot: 3,
                ticket,
                token: 1,
            };
            // It would not block: nothing waits in the socket.
            sys::socket::try_send_with_fds(worker.as_fd(), &label.encode(), &[worker.as_fd()])
                .expect("there is room");
            edge.sweep(|label| label.ticket == 7);
        }
        assert_eq!(edge.stashed(), 1);
        let label = Label {
            slot: 3,
            ticket: 7,
            token: 1,
        };
        assert!(edge.take(label).expect("a socket").is_some());
    }

    #[test]
    fn garbage_and_leftovers_are_bounded() {
        let (edge, worker) = pair();
        sys::socket::send_with_fds(worker.as_fd(), b"x", &[worker.as_fd()]).expect("sent");
        sys::socket::send_with_fds(worker.as_fd(), &[7; 40], &[]).expect("sent");
        for slot in 0..STASH_MAX as u32 + 1 {
            let label = Label {
                slot,
                ticket: 0,
                token: 0,
            };
            sys::socket::send_with_fds(worker.as_fd(), &label.encode(), &[worker.as_fd()])
                .expect("sent");
            assert!(
                edge.take(Label {
                    slot: 1 << 20,
                    ..label
                })
                .expect("a socket")
                .is_none()
            );
        }
        assert!(
            edge.take(Label {
                slot: 0,
                ticket: 0,
                token: 0
            })
            .expect("a socket")
            .is_none()
        );
        assert!(
            edge.take(Label {
                slot: 1,
                ticket: 0,
                token: 0
            })
            .expect("a socket")
            .is_some()
        );
    }
}
