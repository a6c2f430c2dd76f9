//! One pending operation of the simulation, and what it takes to complete.
//!
//! Owns its reference to the object, as the kernel's request does. Reads and writes the caller's memory only in `perform`,
//! that is, between submission and last completion.

use std::ffi::CStr;
use std::rc::Rc;

use super::world::{Object, World};
use crate::driver::{Handle, Interest, Operation};
use sys::errno;

pub struct Pending {
    pub user_data: u64,
    pub operation: Operation,
    pub cancelled: bool,
    pub last_at: u64,
    /// The first descriptor's object, or why there is none.
    object: Result<Rc<Object>, i32>,
    /// Bytes moved so far, or rings or arrivals heard.
    done: u64,
}

pub enum Progress {
    None,
    /// Something moved; look again.
    Partial,
    Complete {
        result: i32,
        more: bool,
    },
}

fn last(result: i32) -> Progress {
    Progress::Complete {
        result,
        more: false,
    }
}

fn ended(result: Result<usize, i32>) -> Progress {
    last(result.map_or_else(|number| -number, |count| count as i32))
}

impl Pending {
    pub fn new(user_data: u64, operation: Operation, world: &World) -> Pending {
        let object = world.object(subject(&operation));
        Pending {
            user_data,
            operation,
            cancelled: false,
            last_at: 0,
            object,
            done: 0,
        }
    }

    pub fn into_object(self) -> Option<Rc<Object>> {
        self.object.ok()
    }

    pub fn perform(&mut self, world: &mut World) -> Progress {
        if self.cancelled {
            return match self.done {
                // What a send has moved counts, cancelled or not.
                moved @ 1.. if matches!(self.operation, Operation::Send { .. }) => {
                    last(moved as i32)
                }
                _ => last(-errno::ECANCELED),
            };
        }
        let object = match &self.object {
            Ok(object) => object.clone(),
            // A real descriptor in a simulated world: nothing ever happens on it.
            Err(_) if !subject(&self.operation).is_virtual() => return Progress::None,
            Err(number) => return last(-number),
        };
        match (self.operation, &*object) {
            (Operation::Accept { .. }, Object::Listener(queue)) => {
                if queue.borrow().is_empty() {
                    return Progress::None;
                }
                accept(world, &mut queue.borrow_mut())
            }
            (
                Operation::Send {
                    bytes,
                    length,
                    whole,
                    ..
                },
                Object::Socket(connection),
            ) => self.send(world, *connection, bytes, length, whole),
            (Operation::SendMessage { message, .. }, Object::Socket(connection)) => {
                // SAFETY: the flight keeps the message and its pieces until the last completion.
                let bytes = unsafe { gather(message) };
                match world.send(*connection, &bytes) {
                    Err(errno::EAGAIN) => Progress::None,
                    result => ended(result),
                }
            }
            (
                Operation::Poll {
                    interest: Interest::Writable,
                    ..
                },
                Object::Socket(connection),
            ) => {
                if world.is_writable(*connection) {
                    last(1)
                } else {
                    Progress::None
                }
            }
            (
                Operation::Poll {
                    interest: Interest::Readable,
                    stay,
                    ..
                },
                Object::Socket(connection),
            ) => self.tell(world, *connection, stay),
            (Operation::Poll { stay, .. }, Object::Bell(count)) => {
                if count.get() <= self.done {
                    return Progress::None;
                }
                self.done = count.get();
                let more = stay
                    && !{
                        let chance = world.faults.ended;
                        world.random.chance(chance)
                    };
                Progress::Complete { result: 1, more }
            }
            (Operation::Open { path, how, .. }, Object::Directory(root)) => {
                // SAFETY: the flight keeps both until the last completion.
                let (path, how) = unsafe { (CStr::from_ptr(path), *how) };
                let result = super::inline::open_path(world, root, path, &how);
                last(result.map_or_else(|number| -number, |handle| handle.0))
            }
            (
                Operation::Read {
                    buffer,
                    length,
                    offset,
                    ..
                },
                Object::File(node),
            ) => {
                if world.io_error() {
                    return last(-errno::EIO);
                }
                let contents = node.contents.borrow();
                let from = (offset as usize).min(contents.len());
                let count = world.shorten((contents.len() - from).min(length as usize));
                // SAFETY: the flight keeps `length` writable bytes there until the last completion.
                unsafe { buffer.copy_from_nonoverlapping(contents[from..].as_ptr(), count) };
                last(count as i32)
            }
            // What becomes of it shows in `is_cached`, which is as the seed wills.
            (Operation::ReadAhead { .. }, Object::File(_)) => {
                last(if world.io_error() { -errno::EIO } else { 0 })
            }
            (Operation::Read { .. }, Object::End) => last(0),
            _ => last(-errno::EINVAL),
        }
    }

    /// A poll tells of every arrival once, if something of it is still there to be read.
    fn tell(&mut self, world: &mut World, connection: usize, stay: bool) -> Progress {
        let stream = &world.connections[connection].to_server;
        let over = stream.reset || stream.ended || stream.deaf;
        if stream.news == std::mem::replace(&mut self.done, stream.news)
            || !over && stream.arrived.is_empty()
        {
            return Progress::None;
        }
        let ended = if over { sys::transfer::POLL_ENDED } else { 0 };
        let more = stay && !world.random.chance(world.faults.ended);
        Progress::Complete {
            result: 1 | ended as i32,
            more,
        }
    }

    fn send(
        &mut self,
        world: &mut World,
        connection: usize,
        bytes: *const u8,
        length: u32,
        whole: bool,
    ) -> Progress {
        // SAFETY: the flight keeps `length` bytes there until the last completion.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, length as usize) };
        match world.send(connection, &bytes[self.done as usize..]) {
            Err(errno::EAGAIN) => Progress::None,
            Err(number) if self.done == 0 => last(-number),
            Err(_) => last(self.done as i32),
            Ok(count) => {
                self.done += count as u64;
                let give_up = world.random.chance(world.faults.short / 4);
                if whole && self.done < u64::from(length) && !give_up {
                    return Progress::Partial;
                }
                last(self.done as i32)
            }
        }
    }
}

/// The descriptor an operation is about.
fn subject(operation: &Operation) -> Handle {
    match *operation {
        Operation::Accept { listener } => listener,
        Operation::Send { socket, .. } | Operation::SendMessage { socket, .. } => socket,
        Operation::Poll { handle, .. } | Operation::Close { handle, .. } => handle,
        Operation::Open { directory, .. } => directory,
        Operation::Read { file, .. } | Operation::ReadAhead { file, .. } => file,
        Operation::Cancel { .. } => Handle(-1),
    }
}

fn accept(world: &mut World, queue: &mut std::collections::VecDeque<usize>) -> Progress {
    if world.random.chance(world.faults.accept) {
        if world.random.chance(500) {
            return last(-errno::EMFILE);
        }
        return last(-errno::ECONNABORTED);
    }
    let Some(connection) = queue.pop_front() else {
        return Progress::None;
    };
    let handle = world.open(Object::Socket(connection));
    world.note(connection as u64);
    let more = !world.random.chance(world.faults.ended);
    Progress::Complete {
        result: handle.0,
        more,
    }
}

/// The bytes of a `struct msghdr`.
///
/// # Safety
/// It and its pieces are alive.
unsafe fn gather(message: std::ptr::NonNull<std::ffi::c_void>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // SAFETY: passed on.
    for (at, length) in unsafe { sys::transfer::pieces(message) } {
        // SAFETY: the pieces are alive.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(at, length) });
    }
    bytes
}
