//! A seeded, simulated ring: virtual sockets and clock, files in memory, and everything that may go wrong.
//!
//! [`run`] gives a test a [`Sim`], in which it is the peer ([`Client`]) of the code under test, in one thread and in
//! virtual time: days pass in microseconds, and the same seed does the same again. Reads and writes are shortened,
//! completions delayed and reordered, queues and buffers run out, peers die. When nothing can ever happen again, it panics
//! and says what everybody waits for.

mod client;
mod driver;
mod faults;
mod files;
mod inline;
mod operation;
mod random;
mod stream;
mod world;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

pub use client::Client;
pub use driver::SimDriver;
pub use faults::Faults;
pub use random::Random;

use crate::driver::Handle;
use crate::net::{Listener, Socket};
use crate::{Doorbell, Options, Runtime};
use world::{Object, World};

/// Runs a test in a simulated world until its future ends.
///
/// # Panics
/// When the test does, or when nothing can ever happen again.
pub fn run<F, T>(seed: u64, faults: Faults, test: F) -> T
where
    F: AsyncFnOnce(Sim) -> T,
{
    let options = Options {
        entries: 64,
        ..Options::default()
    };
    run_with(seed, faults, options, test)
}

/// As [`run`], with options of one's own.
pub fn run_with<F, T>(seed: u64, faults: Faults, options: Options, test: F) -> T
where
    F: AsyncFnOnce(Sim) -> T,
{
    let driver = SimDriver::new(seed, faults);
    let sim = driver.sim();
    let mut runtime = Runtime::new(Box::new(driver), options);
    runtime.block_on(test(sim))
}

/// Runs a test once per seed, naming the seed that failed.
pub fn run_seeds<F, T>(
    seeds: std::ops::Range<u64>,
    mut faults: impl FnMut(u64) -> Faults,
    mut test: F,
) where
    F: AsyncFnMut(Sim) -> T,
{
    for seed in seeds {
        let named = Named(seed);
        run(seed, faults(seed), async |sim| test(sim).await);
        std::mem::forget(named);
    }
}

/// Prints its seed when a panic passes by.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        eprintln!("the simulation failed with seed {}", self.0);
    }
}

/// The test's hold on the simulated world.
#[derive(Clone)]
pub struct Sim {
    world: Rc<RefCell<World>>,
}

/// Where clients connect to.
#[derive(Clone)]
pub struct Address {
    listener: Weak<Object>,
}

impl Sim {
    /// A listening socket, and the address to connect to.
    pub fn listen(&self) -> (Listener, Address) {
        let (handle, listener) = self.world.borrow_mut().listener();
        (Listener::from_handle(handle), Address { listener })
    }

    /// A client whose connection waits to be accepted; reset at once when nobody listens any more.
    pub fn connect(&self, address: &Address) -> Client {
        let mut world = self.world.borrow_mut();
        let connection = world.connect();
        match address.listener.upgrade().as_deref() {
            Some(Object::Listener(queue)) => queue.borrow_mut().push_back(connection),
            _ => {
                let at = world.travel();
                world.connections[connection].to_client.reset(at);
            }
        }
        drop(world);
        Client::new(self.world.clone(), connection)
    }

    /// A connected socket and its peer.
    pub fn pair(&self) -> (Socket, Client) {
        let mut world = self.world.borrow_mut();
        let connection = world.connect();
        let handle = world.open(Object::Socket(connection));
        (
            Socket::from_handle(handle),
            Client::new(self.world.clone(), connection),
        )
    }

    /// Puts a file at an absolute path, with its modification time in seconds; replaces what was there.
    pub fn add_file(&self, path: &str, contents: impl Into<Vec<u8>>, modified_s: i64) {
        self.world
            .borrow_mut()
            .files
            .put(path, contents.into(), modified_s);
    }

    /// Puts a symbolic link at an absolute path.
    pub fn add_link(&self, path: &str, target: &str) {
        self.world.borrow_mut().files.link(path, target);
    }

    /// Cuts a file's contents, whoever has it open.
    pub fn truncate(&self, path: &str, size: usize) {
        self.world.borrow_mut().files.truncate(path, size);
    }

    /// A doorbell that makes the loop turn; clone it to wherever it is rung from.
    pub fn doorbell(&self) -> Bell {
        let count = Rc::new(Cell::new(0));
        let handle = self.world.borrow_mut().open(Object::Bell(count.clone()));
        Doorbell::from_handle(handle);
        Bell { count }
    }

    /// A number of the world's own randomness, so that tests stay seeded.
    pub fn random(&self, below: u64) -> u64 {
        self.world.borrow_mut().random.below(below)
    }

    /// Descriptors open now: what a test leaks shows here.
    pub fn open_handles(&self) -> Vec<Handle> {
        self.world
            .borrow()
            .table
            .keys()
            .map(|&number| Handle(number))
            .collect()
    }

    /// A digest of everything the driver has done: equal for equal seeds.
    pub fn digest(&self) -> u64 {
        self.world.borrow().digest
    }

    /// Changes what goes wrong from here on.
    pub fn set_faults(&self, faults: Faults) {
        self.world.borrow_mut().faults = faults;
    }
}

/// Rings a simulated doorbell.
#[derive(Clone)]
pub struct Bell {
    count: Rc<Cell<u64>>,
}

impl Bell {
    pub fn ring(&self) {
        self.count.set(self.count.get() + 1);
    }
}
