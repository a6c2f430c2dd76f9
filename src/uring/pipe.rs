//! Pipes for splicing, pooled per thread: beyond a user's soft page limit new pipes shrink to two pages, so there are
//! never more than transfers in progress.
//!
//! Owns both ends. Invariant: a pooled pipe is empty.

use std::io;

use crate::descriptor::Descriptor;
use crate::driver::Handle;
use crate::event_loop::with;

/// Idle pipes kept by one thread.
const POOL_MAX: usize = 64;

/// An empty pipe.
pub(crate) struct Pipe {
    read: Descriptor,
    write: Descriptor,
    capacity: usize,
}

impl Pipe {
    /// From the pool, or a new one.
    pub fn take() -> io::Result<Pipe> {
        if let Some(pipe) = with(|core| core.pipes.borrow_mut().pop()) {
            return Ok(pipe);
        }
        let (read, write, capacity) = with(|core| core.driver.borrow_mut().pipe_now())?;
        Ok(Pipe {
            read: Descriptor::from_handle(read),
            write: Descriptor::from_handle(write),
            capacity,
        })
    }

    /// The pipe is empty again and may serve others.
    pub fn put_back(self) {
        let surplus = with(|core| {
            let mut pipes = core.pipes.borrow_mut();
            if pipes.len() < POOL_MAX {
                pipes.push(self);
                None
            } else {
                Some(self)
            }
        });
        drop(surplus);
    }

    pub fn read_end(&self) -> Handle {
        self.read.handle()
    }

    pub fn write_end(&self) -> Handle {
        self.write.handle()
    }

    /// Bytes that fit, counted in whole pages.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}
