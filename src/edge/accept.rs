//! Connections come in: a task for each listener, until it is closed or the ring thread drains.
//!
//! Owns the accepting operation. Invariant: whoever was accepted is served or turned away, also at the end; nobody is left in a queue whose
//! wake-up went to us.

use crate::connection::{Entrance, serve};
use crate::ring::Ring;
use config::LogLevel;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use uring::net::{AcceptStream, Listener, Socket};
use uring::time::Deadline;

/// How long accepting rests when the kernel has no descriptor or no memory for a connection: armed again at once, it would
/// spin.
const ACCEPT_BACKOFF_NS: u64 = 100_000_000;
/// Until when after its start a ring thread looks again for connections that nobody told it about: the first time after
/// `LOOK_AGAIN_NS`, then after twice as long each time. A dead predecessor's ring is gone long before.
const LOOK_AGAIN_NS: u64 = 5_000_000;
const LOOK_AGAIN_MAX_NS: u64 = 6_000_000_000;

pub(crate) fn listen(ring: &Rc<Ring>, entrance: Rc<Entrance>, socket: OwnedFd) {
    let ring = Rc::clone(ring);
    uring::spawn(accept(ring, entrance, Listener::from_fd(socket).accept()));
}

/// Takes connections in until the ring drains, the last of them included.
pub(crate) async fn accept(ring: Rc<Ring>, entrance: Rc<Entrance>, mut stream: AcceptStream) {
    ring.open_door();
    take_in(&ring, &entrance, &mut stream).await;
    while let Some(next) = poll_fn(|cx| stream.poll_last(cx)).await {
        // What cannot be accepted now is left to whoever has the socket too.
        let Ok(socket) = next else { break };
        welcome(&ring, &entrance, socket);
    }
    drop(stream);
    ring.close_door();
}

fn welcome(ring: &Rc<Ring>, entrance: &Rc<Entrance>, socket: Socket) {
    if ring.admit() {
        uring::spawn(serve(Rc::clone(ring), Rc::clone(entrance), socket));
    } else {
        turn_away(ring, &socket);
    }
}

async fn take_in(ring: &Rc<Ring>, entrance: &Rc<Entrance>, stream: &mut AcceptStream) {
    let mut looks = ring.looks();
    let mut look_again_ns = LOOK_AGAIN_NS;
    let look_again = Deadline::new();
    look_again.set_after(look_again_ns);
    loop {
        let next = poll_fn(|cx| {
            while look_again.poll_expired(cx).is_ready() {
                look_again.clear();
                // On the listener that it shared with us, a killed edge's ring may have taken a wake-up with it.
                stream.look_again();
                look_again_ns *= 2;
                if look_again_ns < LOOK_AGAIN_MAX_NS {
                    look_again.set_after(look_again_ns);
                }
            }
            if std::mem::replace(&mut looks, ring.looks()) != ring.looks() {
                stream.look_again();
            }
            match stream.poll_next(cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending if ring.is_draining() || entrance.is_closed() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match next.await {
            None => return,
            Some(Ok(socket)) => welcome(ring, entrance, socket),
            Some(Err(error)) => {
                ring.stats.accept_failures.add(1);
                ring.log(
                    LogLevel::Error,
                    format_args!("cannot accept connections: {error}"),
                );
                if ring.is_draining() {
                    return;
                }
                uring::time::sleep(ACCEPT_BACKOFF_NS).await;
            }
        }
    }
}

/// Too many connections: says so and closes. What the socket does not take at once is not worth waiting for.
#[cold]
fn turn_away(ring: &Ring, socket: &Socket) {
    let mut answer = ring.take_buffer();
    let (site, date) = (ring.site(), ring.date());
    let manner = crate::respond::Manner::LAST;
    crate::respond::page(
        &mut answer,
        503,
        "too many connections",
        manner,
        site.common(&date),
    );
    ring.stats.answered(503);
    if let Err(error) = socket.try_send(&answer) {
        ring.log(
            LogLevel::Debug,
            format_args!("a connection beyond the limit left by itself: {error}"),
        );
    }
    ring.give_buffer(answer);
}
