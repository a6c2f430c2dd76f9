//! Sending through the ring: the buffer moves into the flight and comes back with the result.
//!
//! Owns the in-flight key. Invariant: a dropped future cancels its operation, and the buffer stays in the flight until
//! the kernel has let go.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Socket;
use crate::driver::{Handle, Operation};
use crate::event_loop::{errno, launch, try_with, with};
use crate::flight::{Key, Payload, Yield};
use sys::transfer::Message;

mod sealed {
    pub trait Sealed {}
    impl Sealed for Vec<u8> {}
    impl Sealed for std::rc::Rc<[u8]> {}
    impl Sealed for &'static [u8] {}
}

/// Bytes at an address that stays when their owner moves.
pub trait IoBuf: sealed::Sealed + Sized + 'static {
    #[doc(hidden)]
    fn into_payload(self) -> PayloadBox;
    #[doc(hidden)]
    fn from_payload(payload: PayloadBox) -> Self;
}

/// An opaque buffer in the flight.
#[doc(hidden)]
pub struct PayloadBox(Payload);

impl IoBuf for Vec<u8> {
    fn into_payload(self) -> PayloadBox {
        PayloadBox(Payload::Bytes(self))
    }
    fn from_payload(payload: PayloadBox) -> Vec<u8> {
        match payload.0 {
            Payload::Bytes(bytes) => bytes,
            _ => unreachable!("a flight returns what it took"),
        }
    }
}

impl IoBuf for Rc<[u8]> {
    fn into_payload(self) -> PayloadBox {
        PayloadBox(Payload::Shared(self))
    }
    fn from_payload(payload: PayloadBox) -> Rc<[u8]> {
        match payload.0 {
            Payload::Shared(bytes) => bytes,
            _ => unreachable!("a flight returns what it took"),
        }
    }
}

impl IoBuf for &'static [u8] {
    fn into_payload(self) -> PayloadBox {
        PayloadBox(Payload::Static(self))
    }
    fn from_payload(payload: PayloadBox) -> &'static [u8] {
        match payload.0 {
            Payload::Static(bytes) => bytes,
            _ => unreachable!("a flight returns what it took"),
        }
    }
}

/// The bytes of a payload. The pointer stays valid while the payload lives, wherever it moves.
fn bytes_of(payload: &Payload) -> &[u8] {
    match payload {
        Payload::Bytes(bytes) => bytes,
        Payload::Shared(bytes) => bytes,
        Payload::Static(bytes) => bytes,
        Payload::None | Payload::Parts(_) | Payload::Open(_) => &[],
    }
}

impl Socket {
    /// Sends from the beginning of `buffer`; the count may be short.
    pub fn send<B: IoBuf>(&self, buffer: B) -> SendFuture<'_, B> {
        self.send_from(buffer, 0)
    }

    /// Sends from `start` on; the count may be short. At most 2 GiB at a time.
    pub fn send_from<B: IoBuf>(&self, buffer: B, start: usize) -> SendFuture<'_, B> {
        let key = launch_send(self.handle_to_push(), buffer.into_payload().0, start, false);
        SendFuture {
            key: Some(key),
            socket: PhantomData,
            buffer: PhantomData,
        }
    }

    /// Sends everything, or fails. The kernel goes on after short counts by itself.
    pub async fn send_all<B: IoBuf>(&self, buffer: B) -> (io::Result<()>, B) {
        let mut payload = buffer.into_payload().0;
        let mut sent = 0;
        while sent < bytes_of(&payload).len() {
            let key = launch_send(self.handle_to_push(), payload, sent, true);
            let future = SendFuture::<B> {
                key: Some(key),
                socket: PhantomData,
                buffer: PhantomData,
            };
            let (result, back) = future.raw().await;
            payload = back;
            match result {
                0 => {
                    return (
                        Err(io::ErrorKind::WriteZero.into()),
                        B::from_payload(PayloadBox(payload)),
                    );
                }
                1.. => sent += result as usize,
                _ => return (Err(errno(result)), B::from_payload(PayloadBox(payload))),
            }
        }
        (Ok(()), B::from_payload(PayloadBox(payload)))
    }

    /// Sends several buffers in one operation; the count may be short, at most 1024 are looked at.
    pub async fn send_vectored<B: IoBuf>(&self, buffers: Vec<B>) -> (io::Result<usize>, Vec<B>) {
        let payloads: Vec<Payload> = buffers
            .into_iter()
            .map(|buffer| buffer.into_payload().0)
            .collect();
        // SAFETY: the pieces live in `payloads`, which travels in the same flight as the message.
        let message = unsafe {
            Message::new(payloads.iter().map(|payload| {
                let bytes = bytes_of(payload);
                (bytes.as_ptr(), bytes.len())
            }))
        };
        let socket = self.handle_to_push();
        let payload = Payload::Parts(Box::new((message, payloads)));
        // SAFETY: the header, the pieces' list and the pieces are the payload's.
        let key = unsafe {
            launch(payload, Yield::Count, |payload| match payload {
                Payload::Parts(parts) => Operation::SendMessage {
                    socket,
                    message: parts.0.as_ptr(),
                    whole: false,
                },
                _ => unreachable!("just put there"),
            })
        };
        let future = SendFuture::<B> {
            key: Some(key),
            socket: PhantomData,
            buffer: PhantomData,
        };
        let (result, payload) = future.raw().await;
        let buffers = match payload {
            Payload::Parts(parts) => parts
                .1
                .into_iter()
                .map(|part| B::from_payload(PayloadBox(part)))
                .collect(),
            _ => unreachable!("a flight returns what it took"),
        };
        (count(result), buffers)
    }

    /// Sends everything and forgets about it: errors show at the next receive or send. Later sends must wait until an
    /// earlier detached one is known to be out, or bytes may overtake each other.
    pub fn send_detached<B: IoBuf>(&self, buffer: B) {
        let socket = self.handle_to_push();
        let payload = buffer.into_payload().0;
        with(|core| {
            let mut flights = core.flights.borrow_mut();
            let key = flights.detach(payload, Yield::Count);
            let operation =
                flights.with_payload(key, |payload| operation(socket, bytes_of(payload), true));
            drop(flights);
            // SAFETY: the bytes stay in the entry until the last completion (`Flights`).
            unsafe { core.driver.borrow_mut().push(key.user_data(), &operation) };
        });
    }
}

fn operation(socket: Handle, bytes: &[u8], whole: bool) -> Operation {
    /// The kernel's bound on one transfer (MAX_RW_COUNT).
    const LENGTH_MAX: usize = 0x7fff_f000;
    let length = bytes.len().min(LENGTH_MAX) as u32;
    Operation::Send {
        socket,
        bytes: bytes.as_ptr(),
        length,
        whole,
        more: false,
    }
}

fn launch_send(socket: Handle, payload: Payload, start: usize, whole: bool) -> Key {
    // SAFETY: the bytes are the payload's.
    unsafe {
        launch(payload, Yield::Count, |payload| {
            let bytes = bytes_of(payload);
            operation(socket, &bytes[start.min(bytes.len())..], whole)
        })
    }
}

fn count(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| errno(result))
}

/// A send in flight. Dropping it cancels the send, which may have gone out wholly, partly or not at all.
#[must_use = "a send that is not awaited is cancelled"]
pub struct SendFuture<'a, B: IoBuf> {
    key: Option<Key>,
    socket: PhantomData<&'a Socket>,
    buffer: PhantomData<B>,
}

impl<B: IoBuf> SendFuture<'_, B> {
    fn poll_raw(&mut self, cx: &mut Context<'_>) -> Poll<(i32, Payload)> {
        let key = self.key.expect("not polled after its end");
        match with(|core| core.flights.borrow_mut().collect(key, cx.waker())) {
            Some(done) => {
                self.key = None;
                Poll::Ready(done)
            }
            None => Poll::Pending,
        }
    }

    async fn raw(mut self) -> (i32, Payload) {
        std::future::poll_fn(|cx| self.poll_raw(cx)).await
    }
}

impl<B: IoBuf> Unpin for SendFuture<'_, B> {}

impl<B: IoBuf> Future for SendFuture<'_, B> {
    type Output = (io::Result<usize>, B);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_raw(cx)
            .map(|(result, payload)| (count(result), B::from_payload(PayloadBox(payload))))
    }
}

impl<B: IoBuf> Drop for SendFuture<'_, B> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        try_with(|core| {
            let in_kernel = core.flights.borrow_mut().abandon(key, |_, _| {});
            if in_kernel {
                core.cancel(key.user_data());
            }
        });
    }
}
