//! One-shot poll: wait until a socket takes bytes again.
//!
//! Owns the in-flight key; dropping cancels.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Socket;
use crate::driver::{Interest, Operation};
use crate::event_loop::{errno, launch, try_with, with};
use crate::flight::{Key, Payload, Yield};

impl Socket {
    /// Waits until the socket's buffer has room, or the connection has failed (the next send says how).
    pub fn writable(&self) -> Writable<'_> {
        Writable {
            socket: self,
            key: None,
        }
    }
}

/// Future of [`Socket::writable`].
#[must_use = "futures do nothing unless polled"]
pub struct Writable<'a> {
    socket: &'a Socket,
    key: Option<Key>,
}

impl Future for Writable<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let key = match self.key {
            Some(key) => key,
            None => {
                let handle = self.socket.handle_to_push();
                // SAFETY: a poll points at no memory.
                let key = unsafe {
                    launch(Payload::None, Yield::Count, |_| Operation::Poll {
                        handle,
                        interest: Interest::Writable,
                        stay: false,
                    })
                };
                self.key = Some(key);
                key
            }
        };
        match with(|core| core.flights.borrow_mut().collect(key, cx.waker())) {
            Some((result, _)) => {
                self.key = None;
                Poll::Ready(if result < 0 {
                    Err(errno(result))
                } else {
                    Ok(())
                })
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Writable<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        try_with(|core| {
            if core.flights.borrow_mut().abandon(key, |_, _| {}) {
                core.cancel(key.user_data());
            }
        });
    }
}
