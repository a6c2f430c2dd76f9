//! The peer, in the same thread and in virtual time.
//!
//! Owns the client's end of one connection; dropping closes it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::world::World;

/// A client of the simulated server.
pub struct Client {
    world: Rc<RefCell<World>>,
    connection: usize,
}

impl Client {
    pub(super) fn new(world: Rc<RefCell<World>>, connection: usize) -> Client {
        Client { world, connection }
    }

    /// Sends; the bytes arrive in pieces, as the seed wills. The client's own buffers have no bound.
    pub fn write(&self, bytes: &[u8]) {
        let mut world = self.world.borrow_mut();
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = world.shorten(rest.len());
            let at = world.travel();
            let connection = &mut world.connections[self.connection];
            if connection.to_server.closed {
                return;
            }
            if connection.to_server.deaf {
                // A closed server answers with a reset.
                connection.to_client.reset(at);
                return;
            }
            connection.to_server.put(&rest[..count], at);
            rest = &rest[count..];
        }
    }

    /// Some bytes; none at the end. `ConnectionReset` when the server, or fate, has reset the connection.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        self.read_at_most(usize::MAX).await
    }

    /// At most `most` bytes, leaving the rest where it blocks the server.
    pub async fn read_at_most(&self, most: usize) -> io::Result<Vec<u8>> {
        poll_fn(|cx| {
            let mut world = self.world.borrow_mut();
            let connection = &mut world.connections[self.connection];
            let count = connection.to_client.arrived.len().min(most);
            if count > 0 {
                connection.received += count;
                let bytes = connection.to_client.take(count);
                if connection
                    .dies_at
                    .is_some_and(|at| connection.received >= at)
                {
                    drop(world);
                    self.reset();
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                return Poll::Ready(Ok(bytes));
            }
            if connection.to_client.reset || connection.to_client.deaf {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if connection.to_client.ended {
                return Poll::Ready(Ok(Vec::new()));
            }
            connection.client = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Reads until `done` says that this is all; fails with `UnexpectedEof` when the end comes first.
    pub async fn read_until(&self, mut done: impl FnMut(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while !done(&all) {
            let bytes = self.read().await?;
            if bytes.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    String::from_utf8_lossy(&all),
                ));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// Reads until `count` bytes are there, never more.
    pub async fn read_exact(&self, count: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < count {
            let bytes = self.read_at_most(count - all.len()).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// Everything up to the end of the stream.
    pub async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let bytes = self.read().await?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&bytes);
        }
    }

    /// Says that nothing more will be written; reading goes on.
    pub fn shutdown(&self) {
        let mut world = self.world.borrow_mut();
        let at = world.travel();
        world.connections[self.connection].to_server.end(at);
    }

    /// Dies without a word: what travels is lost, both ways.
    pub fn reset(&self) {
        let mut world = self.world.borrow_mut();
        let at = world.travel();
        let connection = &mut world.connections[self.connection];
        connection.to_server.reset(at);
        connection.to_client.deafen();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut world = self.world.borrow_mut();
        let at = world.travel();
        let connection = &mut world.connections[self.connection];
        connection.to_server.end(at);
        if !connection.to_client.arrived.is_empty() {
            connection.to_server.reset(at);
        }
        connection.to_client.deafen();
    }
}
