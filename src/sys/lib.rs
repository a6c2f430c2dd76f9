//! Linux: the only caller of libc and socket2. One file per kernel facility; safe functions, `io::Result`, owned descriptors.
//!
//! Knows nothing of rings, protocols or Python.

pub mod clock;
pub mod cpu;
pub mod dynamic;
pub mod epoll;
pub mod errno;
pub mod eventfd;
pub mod file;
pub mod futex;
pub mod heap;
pub mod identity;
pub mod inotify;
pub mod limit;
pub mod memfd;
pub mod process;
pub mod signal;
pub mod socket;
pub mod transfer;
