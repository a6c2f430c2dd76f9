//! The simulated world: clock, descriptor table, connections.
//!
//! Owns every object. Invariant: an object lives while a descriptor or a pending operation refers to it, and a socket's
//! peer sees the end only when both are gone (closing is not closing).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::task::Waker;

use super::files::{Files, Node};
use super::stream::Stream;
use super::{Faults, Random};
use crate::driver::Handle;

pub enum Object {
    /// Connections that wait to be accepted.
    Listener(RefCell<VecDeque<usize>>),
    Socket(usize),
    Directory(String),
    File(Rc<Node>),
    Bell(Rc<Cell<u64>>),
    /// Of a thread that has done its work.
    End,
}

pub struct Connection {
    pub to_server: Stream,
    pub to_client: Stream,
    pub client: Option<Waker>,
    /// The client dies when it has received so many bytes.
    pub dies_at: Option<usize>,
    pub received: usize,
}

pub struct World {
    pub now: u64,
    pub random: Random,
    pub faults: Faults,
    pub table: BTreeMap<i32, Rc<Object>>,
    pub connections: Vec<Connection>,
    pub files: Files,
    /// A client was woken: the loop must turn.
    pub woken: bool,
    pub digest: u64,
}

/// Not zero, so that arithmetic into the past shows.
const START_NS: u64 = 1_000_000_000_000;
/// A Saturday in 2026.
pub const WALL_MINUS_MONOTONIC_NS: u64 = 1_780_000_000_000_000_000;

impl World {
    pub fn new(seed: u64, faults: Faults) -> World {
        World {
            now: START_NS,
            random: Random::new(seed),
            faults,
            table: BTreeMap::new(),
            connections: Vec::new(),
            files: Files::default(),
            woken: false,
            digest: seed,
        }
    }

    /// Notes something that happened, for comparing runs.
    pub fn note(&mut self, what: u64) {
        self.digest = (self.digest ^ what)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }

    /// The lowest free number, as the kernel does: stale handles meet strangers.
    pub fn open(&mut self, object: Object) -> Handle {
        let mut number = Handle::VIRTUAL_BASE;
        while self.table.contains_key(&number) {
            number += 1;
        }
        self.table.insert(number, Rc::new(object));
        Handle(number)
    }

    pub fn listener(&mut self) -> (Handle, Weak<Object>) {
        let handle = self.open(Object::Listener(RefCell::default()));
        (handle, Rc::downgrade(&self.table[&handle.0]))
    }

    pub fn connect(&mut self) -> usize {
        let dies = self.random.chance(self.faults.kill);
        let dies_at = dies.then(|| self.random.length(20_000));
        self.connections.push(Connection {
            to_server: Stream::new(),
            to_client: Stream::new(),
            client: None,
            dies_at,
            received: 0,
        });
        self.connections.len() - 1
    }

    pub fn object(&self, handle: Handle) -> Result<Rc<Object>, i32> {
        self.table.get(&handle.0).cloned().ok_or(sys::errno::EBADF)
    }

    /// Takes a descriptor out of the table.
    pub fn close(&mut self, handle: Handle) {
        if let Some(object) = self.table.remove(&handle.0) {
            self.release(object);
        }
    }

    /// Gives up one reference; the last one ends the object.
    pub fn release(&mut self, object: Rc<Object>) {
        if Rc::strong_count(&object) > 1 {
            return;
        }
        match &*object {
            Object::Socket(connection) => self.hang_up(*connection),
            Object::Listener(queue) => {
                for connection in queue.borrow_mut().drain(..) {
                    let at = self.travel();
                    self.connections[connection].to_client.reset(at);
                }
            }
            _ => {}
        }
    }

    /// The server's side is closed for good: an end, and a reset as well where bytes were left unread (as TCP does).
    fn hang_up(&mut self, connection: usize) {
        let (end_at, reset_at) = (self.travel(), self.travel());
        let connection = &mut self.connections[connection];
        connection.to_client.end(end_at);
        if connection.to_server.is_loaded() {
            connection.to_client.reset(end_at.max(reset_at));
        }
        connection.to_server.deafen();
    }

    /// When something sent now arrives.
    pub fn travel(&mut self) -> u64 {
        let most = if self.random.chance(self.faults.delay) {
            self.faults.delay_max_ns
        } else {
            20_000
        };
        self.now + 1 + self.random.below(most.max(1))
    }

    /// Lets arrive what is due.
    pub fn arrive(&mut self) {
        let now = self.now;
        for index in 0..self.connections.len() {
            let lossy = self.random.chance(self.faults.reset_loses);
            let connection = &mut self.connections[index];
            connection.to_server.arrive(now, lossy);
            if connection.to_client.arrive(now, lossy)
                && let Some(waker) = connection.client.take()
            {
                self.woken = true;
                waker.wake();
            }
            // Whatever still comes for a server that has hung up is answered with a reset.
            if connection.to_server.deaf && !connection.to_server.closed {
                connection.to_server.deafen();
            }
        }
    }

    /// When the next thing arrives.
    pub fn next_arrival(&self) -> Option<u64> {
        self.connections
            .iter()
            .flat_map(|connection| {
                [
                    connection.to_server.next_at(),
                    connection.to_client.next_at(),
                ]
            })
            .flatten()
            .min()
    }

    /// Does the disk fail now?
    pub fn io_error(&mut self) -> bool {
        self.random.chance(self.faults.io_error)
    }

    /// How much of `length` moves this time.
    pub fn shorten(&mut self, length: usize) -> usize {
        if length > 1 && self.random.chance(self.faults.short) {
            self.random.length(length)
        } else {
            length
        }
    }

    /// Sends to the client: the count, or an errno; `EAGAIN` when there is no room.
    pub fn send(&mut self, connection: usize, bytes: &[u8]) -> Result<usize, i32> {
        let window = self.faults.window;
        {
            let connection = &self.connections[connection];
            if connection.to_server.reset {
                return Err(sys::errno::ECONNRESET);
            }
            if connection.to_client.closed {
                return Err(sys::errno::EPIPE);
            }
            if bytes.is_empty() {
                return Ok(0);
            }
            if connection.to_client.room(window) == 0 {
                return Err(sys::errno::EAGAIN);
            }
        }
        if self.connections[connection].to_client.deaf {
            // The client's side is closed: it answers with a reset.
            let at = self.travel();
            self.connections[connection].to_server.reset(at);
        }
        let room = self.connections[connection].to_client.room(window);
        let count = self.shorten(bytes.len().min(room));
        let at = self.travel();
        self.connections[connection]
            .to_client
            .put(&bytes[..count], at);
        self.note(count as u64);
        Ok(count)
    }

    /// Would a send make progress (or fail)?
    pub fn is_writable(&self, connection: usize) -> bool {
        let window = self.faults.window;
        let connection = &self.connections[connection];
        connection.to_server.reset
            || connection.to_client.closed
            || connection.to_client.room(window) > 0
    }
}
