//! The driver over the kernel's io_uring.
//!
//! Owns the ring and its registered descriptor. Built and used on one thread (SINGLE_ISSUER).
//! Invariants: linked entries are pushed into one submission; completions only appear in `enter`, which always asks for
//! events (DEFER_TASKRUN). Must not know tasks or flights.

mod inline;
mod start;

use io_uring::{IoUring, Submitter, opcode, squeue, types};
use std::io;

use crate::driver::{Completion, DETACHED, Driver, Handle, Interest, Operation, Wait};
use sys::transfer;

/// One ring.
pub struct Ring {
    /// Knows the registered index of the ring's descriptor. Borrows `ring`, hence the order of fields and the box.
    submitter: Submitter<'static>,
    ring: Box<IoUring>,
    /// Completions that had to be taken in order to submit; the next `enter` hands them out.
    backlog: Vec<Completion>,
}

/// `IORING_ENTER_GETEVENTS`: run the deferred task work and flush overflown completions.
const ENTER_GETEVENTS: u32 = 1;

impl Ring {
    /// Pushes entries that belong together into one submission.
    ///
    /// # Safety
    /// As for [`Driver::push`].
    #[inline]
    unsafe fn push_entries(&mut self, entries: &[squeue::Entry]) {
        // SAFETY: forwarded to the caller; a refused push copies nothing.
        if unsafe { self.ring.submission().push_multiple(entries) }.is_err() {
            self.flush(entries.len());
            // SAFETY: as above.
            let pushed = unsafe { self.ring.submission().push_multiple(entries) };
            pushed.expect("flush made room");
        }
    }

    /// Submits until at least `room` entries are free.
    #[cold]
    fn flush(&mut self, room: usize) {
        /// A kernel that takes nothing a thousand times in a row, out of memory, will not recover under us.
        const ATTEMPTS_MAX: usize = 1000;
        for _ in 0..ATTEMPTS_MAX {
            // EINTR: again. EAGAIN and EBUSY: requests or completions are short of memory or room, which taking the
            // completions makes.
            if self.submitter.submit().is_err() {
                let Ring { ring, backlog, .. } = self;
                backlog.extend(ring.completion().map(completion));
            }
            let queue = self.ring.submission();
            if queue.capacity() - queue.len() >= room {
                return;
            }
        }
        panic!("the kernel takes no submissions");
    }

    /// One system call: submit all, wait as asked, collect task work.
    #[inline]
    fn enter_kernel(&mut self, wait: Wait) -> io::Result<usize> {
        match wait {
            Wait::No => {
                let queue = self.ring.submission();
                let (queued, events) = (queue.len(), queue.taskrun() || queue.cq_overflow());
                if queued == 0 && !events {
                    return Ok(0);
                }
                // SAFETY: no argument is passed; the flags need none.
                unsafe {
                    self.submitter
                        .enter::<u64>(queued as u32, 0, ENTER_GETEVENTS, None)
                }
            }
            Wait::Forever => self.submitter.submit_and_wait(1),
            Wait::AtMost(ns) => {
                let timeout = types::Timespec::new()
                    .sec(ns / 1_000_000_000)
                    .nsec((ns % 1_000_000_000) as u32);
                let arguments = types::SubmitArgs::new().timespec(&timeout);
                self.submitter.submit_with_args(1, &arguments)
            }
        }
    }
}

impl Driver for Ring {
    #[inline]
    unsafe fn push(&mut self, user_data: u64, operation: &Operation) {
        match *operation {
            Operation::Close {
                handle,
                cancel: Some(target),
            } => {
                // The link is hard: whatever becomes of the cancellation, the close is done.
                let first = opcode::AsyncCancel::new(target).build();
                let first = first.flags(squeue::Flags::IO_HARDLINK | squeue::Flags::SKIP_SUCCESS);
                let second = entry(&Operation::Close {
                    handle,
                    cancel: None,
                });
                let second = second
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(user_data);
                // SAFETY: neither points at memory.
                unsafe { self.push_entries(&[first.user_data(DETACHED), second]) };
            }
            _ => {
                let mut entry = entry(operation).user_data(user_data);
                if user_data == DETACHED {
                    entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
                }
                // SAFETY: the caller upholds it.
                unsafe { self.push_entries(std::slice::from_ref(&entry)) };
            }
        }
    }

    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        let wait = if self.backlog.is_empty() {
            wait
        } else {
            Wait::No
        };
        if let Err(error) = self.enter_kernel(wait) {
            use sys::errno::{EAGAIN, EBUSY, EINTR, ETIME};
            match error.raw_os_error() {
                // ETIME: the wait is over. EINTR: a signal; the loop comes round. EBUSY: completions overflowed and must
                // be taken first, as we do below. EAGAIN: no memory for requests just now; they stay queued.
                Some(ETIME | EINTR | EBUSY | EAGAIN) => {}
                // ENOMEM likewise, from task work allocation.
                Some(sys::errno::ENOMEM) => {}
                _ => return Err(error),
            }
        }
        completions.append(&mut self.backlog);
        completions.extend(self.ring.completion().map(completion));
        Ok(())
    }

    #[inline]
    fn has_news(&self) -> bool {
        // SAFETY: as in `queued`.
        unsafe { self.ring.submission_shared() }.taskrun()
    }

    fn queued(&self) -> usize {
        // SAFETY: the driver is on one thread and no other view of the queue exists while this one lives.
        unsafe { self.ring.submission_shared() }.len()
    }

    fn now(&mut self) -> u64 {
        sys::clock::monotonic_ns()
    }

    fn wall(&mut self) -> u64 {
        sys::clock::wall_ns()
    }
}

/// Our form of a completion.
#[inline]
fn completion(entry: io_uring::cqueue::Entry) -> Completion {
    Completion {
        user_data: entry.user_data(),
        result: entry.result(),
        more: io_uring::cqueue::more(entry.flags()),
    }
}

/// The kernel's form of an operation.
#[inline]
fn entry(operation: &Operation) -> squeue::Entry {
    let fd = |handle: Handle| types::Fd(handle.0);
    match *operation {
        Operation::Accept { listener } => opcode::AcceptMulti::new(fd(listener))
            .flags(transfer::ACCEPT_FLAGS)
            .build(),
        Operation::Send {
            socket,
            bytes,
            length,
            whole,
            more,
        } => {
            let mut flags = transfer::SEND_FLAGS;
            flags |= if whole { transfer::SEND_WHOLE } else { 0 };
            flags |= if more { transfer::SEND_MORE } else { 0 };
            opcode::Send::new(fd(socket), bytes, length)
                .flags(flags)
                .build()
        }
        Operation::SendMessage {
            socket,
            message,
            whole,
        } => {
            let flags = transfer::SEND_FLAGS | if whole { transfer::SEND_WHOLE } else { 0 };
            opcode::SendMsg::new(fd(socket), message.as_ptr().cast_const().cast())
                .flags(flags as u32)
                .build()
        }
        Operation::Poll {
            handle,
            interest,
            stay,
        } => {
            let events = match interest {
                Interest::Readable => transfer::POLL_READABLE,
                Interest::Writable => transfer::POLL_WRITABLE,
            };
            opcode::PollAdd::new(fd(handle), events).multi(stay).build()
        }
        Operation::Open {
            directory,
            path,
            how,
        } => {
            // `sys::file::OpenHow` has the layout of the kernel's `struct open_how`, as `types::OpenHow` has.
            opcode::OpenAt2::new(fd(directory), path, how.cast::<types::OpenHow>()).build()
        }
        Operation::Read {
            file,
            buffer,
            length,
            offset,
        } => opcode::Read::new(fd(file), buffer, length)
            .offset(offset)
            .build(),
        Operation::ReadAhead {
            file,
            offset,
            length,
        } => opcode::Fadvise::new(fd(file), length.into(), sys::file::WILL_NEED)
            .offset(offset)
            .build(),
        Operation::Cancel { target } => opcode::AsyncCancel::new(target).build(),
        Operation::Close { handle, .. } => opcode::Close::new(fd(handle)).build(),
    }
}
