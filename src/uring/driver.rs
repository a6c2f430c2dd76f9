//! The one interface between the executor and whatever performs its operations: the real ring or the simulated one.
//!
//! Owns the vocabulary (`Handle`, `Operation`, `Completion`, `Wait`). Invariants: every pushed operation with a user
//! data other than `DETACHED` yields at least one completion, the last one without `more`; `push` never fails, a full
//! queue is flushed. Must not know tasks, timers or futures.

use std::ffi::{CStr, c_void};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::ptr::NonNull;

use crate::reader::Reader;
use sys::file::{OpenHow, Stat};
pub use sys::transfer::Shutdown;

/// A descriptor as its driver numbers it: the real ring's are the process's, a simulation's start at `VIRTUAL_BASE`.
/// Copying it copies no ownership; `Descriptor` owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub(crate) i32);

impl Handle {
    /// The first number that no process's descriptor table reaches (fs.nr_open ends far below).
    pub const VIRTUAL_BASE: i32 = 1 << 30;

    /// Does a simulation own this number?
    pub fn is_virtual(self) -> bool {
        self.0 >= Handle::VIRTUAL_BASE
    }

    /// The number, for messages and logs.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// User data of operations nobody waits for: their completions, if any, are dropped.
pub const DETACHED: u64 = 0;

/// What the ring is asked to do. Pointers follow the contract of [`Driver::push`].
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Multishot: every connection is a completion whose result is a descriptor, close-on-exec and non-blocking.
    Accept { listener: Handle },
    /// `whole`: go on after short counts until everything is out or an error stops it. `more`: more follows at once.
    Send {
        socket: Handle,
        bytes: *const u8,
        length: u32,
        whole: bool,
        more: bool,
    },
    /// `message` is a `struct msghdr` (`sys::transfer::Message`).
    SendMessage {
        socket: Handle,
        message: NonNull<c_void>,
        whole: bool,
    },
    /// One-shot, or multishot when `stay`: then every change tells once.
    Poll {
        handle: Handle,
        interest: Interest,
        stay: bool,
    },
    /// The result is a descriptor.
    Open {
        directory: Handle,
        path: *const std::ffi::c_char,
        how: *const OpenHow,
    },
    Read {
        file: Handle,
        buffer: *mut u8,
        length: u32,
        offset: u64,
    },
    /// Brings pages of a file into memory; completes once their reading is under way. Always runs on a kernel worker.
    ReadAhead {
        file: Handle,
        offset: u64,
        length: u32,
    },
    /// Ends the operation with this user data early; its own last completion still comes.
    Cancel { target: u64 },
    /// Closes; `cancel` names an operation that still holds the file and would keep the peer from seeing the end.
    Close { handle: Handle, cancel: Option<u64> },
}

/// What a poll waits for; errors and hang-ups always end the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Readable,
    Writable,
}

/// One completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    pub user_data: u64,
    /// `-errno`, or the operation's count or descriptor.
    pub result: i32,
    /// The operation goes on and will complete again.
    pub more: bool,
}

/// How long `enter` may sleep for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    No,
    /// Nanoseconds.
    AtMost(u64),
    Forever,
}

/// What performs operations. One per thread; never shared.
pub trait Driver: Inline {
    /// Queues an operation; full queues are flushed first, so this never fails.
    ///
    /// # Safety
    /// The memory an operation points at stays valid and, where it is written to, untouched until its last completion.
    unsafe fn push(&mut self, user_data: u64, operation: &Operation);

    /// Submits what is queued, waits as asked until there is at least one completion, and appends all there are.
    /// An early return with nothing is allowed (signals, time-outs).
    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()>;

    /// Whether something is known to have come for the next `enter`, which need not wait then. It may turn out to be nothing.
    fn has_news(&self) -> bool {
        false
    }

    /// Room for operations in the submission queue; how many are waiting there for the next `enter`.
    fn queued(&self) -> usize;

    /// Monotonic nanoseconds.
    fn now(&mut self) -> u64;
    /// Nanoseconds since the Unix epoch.
    fn wall(&mut self) -> u64;
}

/// Calls made at once, without the ring; they never sleep unless they say so: `WouldBlock` where they would.
pub trait Inline {
    fn send_now(&mut self, socket: Handle, bytes: &[u8], more: bool) -> io::Result<usize>;
    fn send_parts_now(
        &mut self,
        socket: Handle,
        parts: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize>;
    fn receive_now(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize>;
    /// Sleeps for pages that are not cached: ask `is_cached` first.
    fn sendfile_now(
        &mut self,
        socket: Handle,
        file: Handle,
        offset: u64,
        length: usize,
    ) -> io::Result<usize>;
    fn shutdown_now(&mut self, socket: Handle, how: Shutdown) -> io::Result<()>;
    /// Whether a connection waits to be accepted.
    fn is_waiting_now(&mut self, listener: Handle) -> bool;
    fn peer_now(&mut self, socket: Handle) -> io::Result<Option<SocketAddr>>;
    fn local_now(&mut self, socket: Handle) -> io::Result<Option<SocketAddr>>;
    /// The directory that opens resolve from (start-up only: may sleep).
    fn open_root_now(&mut self, path: &Path) -> io::Result<Handle>;
    fn open_now(&mut self, directory: Handle, path: &CStr, how: &OpenHow) -> io::Result<Handle>;
    fn stat_now(&mut self, file: Handle) -> io::Result<Stat>;
    fn read_now(&mut self, file: Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn is_cached(&mut self, file: Handle, offset: u64, length: u64) -> bool;
    /// For a thread that reads below a directory.
    fn reader_now(&mut self, directory: Handle) -> io::Result<Reader>;
    /// Starts a thread; what comes back is at its end when the work is done.
    fn thread_now(&mut self, work: Box<dyn FnOnce() + Send>) -> io::Result<Handle>;
}
