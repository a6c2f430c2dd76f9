//! The simulated driver's inline calls.

use std::ffi::CStr;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;

use super::Random;
use super::driver::SimDriver;
use super::files::{Found, Snapshot, links_of};
use super::world::{Object, World};
use crate::driver::{Handle, Inline, Shutdown};
use crate::reader::Reader;
use sys::errno;
use sys::file::{OpenHow, Stat, Symlinks, Walk};

fn failed(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// Opens a path below a directory.
pub(super) fn open_path(
    world: &mut World,
    root: &str,
    path: &CStr,
    how: &OpenHow,
) -> Result<Handle, i32> {
    let path = path.to_str().map_err(|_| errno::ENOENT)?;
    let names_only = how.flags == OpenHow::root(Walk::MayBlock).flags;
    let object = match world.files.tree.resolve(root, path, links_of(how))? {
        Found::File(_) if names_only => return Err(errno::ENOTDIR),
        Found::File(node) => Object::File(node),
        Found::Directory(path) => Object::Directory(path),
    };
    Ok(world.open(object))
}

impl SimDriver {
    /// An inline call that might have to wait does so when the seed wills.
    fn balk(&mut self) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let chance = world.faults.would_block;
        if world.random.chance(chance) {
            Err(failed(errno::EAGAIN))
        } else {
            Ok(())
        }
    }

    fn socket(&self, handle: Handle) -> io::Result<usize> {
        match &*self.world.borrow().object(handle).map_err(failed)? {
            Object::Socket(connection) => Ok(*connection),
            _ => Err(failed(errno::EINVAL)),
        }
    }
}

impl Inline for SimDriver {
    fn send_now(&mut self, socket: Handle, bytes: &[u8], _more: bool) -> io::Result<usize> {
        let connection = self.socket(socket)?;
        self.balk()?;
        self.world
            .borrow_mut()
            .send(connection, bytes)
            .map_err(failed)
    }

    fn send_parts_now(
        &mut self,
        socket: Handle,
        parts: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.send_now(socket, &bytes, more)
    }

    fn receive_now(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let connection = self.socket(socket)?;
        let balks = self.balk();
        let mut world = self.world.borrow_mut();
        let stream = &mut world.connections[connection].to_server;
        if balks.is_err() {
            // As if everything arrived a moment later.
            stream.news += 1;
            return Err(failed(errno::EAGAIN));
        }
        if stream.arrived.is_empty() {
            return match (stream.reset, stream.ended) {
                (true, _) => Err(failed(errno::ECONNRESET)),
                (false, true) => Ok(0),
                (false, false) => Err(failed(errno::EAGAIN)),
            };
        }
        let available = stream.arrived.len().min(buffer.len());
        let count = world.shorten(available);
        let stream = &mut world.connections[connection].to_server;
        if count < available.min(buffer.len()) {
            // A short count empties the queue: as if the rest arrived a moment later.
            stream.news += 1;
        }
        let bytes = stream.take(count);
        buffer[..count].copy_from_slice(&bytes);
        Ok(count)
    }

    fn sendfile_now(
        &mut self,
        socket: Handle,
        file: Handle,
        offset: u64,
        length: usize,
    ) -> io::Result<usize> {
        let connection = self.socket(socket)?;
        self.balk()?;
        let mut world = self.world.borrow_mut();
        let object = world.object(file).map_err(failed)?;
        let Object::File(node) = &*object else {
            return Err(failed(errno::EINVAL));
        };
        if world.io_error() {
            return Err(failed(errno::EIO));
        }
        let contents = node.contents.borrow();
        let from = (offset as usize).min(contents.len());
        let to = from.saturating_add(length).min(contents.len());
        world.send(connection, &contents[from..to]).map_err(failed)
    }

    fn shutdown_now(&mut self, socket: Handle, how: Shutdown) -> io::Result<()> {
        let connection = self.socket(socket)?;
        let mut world = self.world.borrow_mut();
        let at = world.travel();
        let connection = &mut world.connections[connection];
        if connection.to_server.reset {
            return Err(failed(errno::ENOTCONN));
        }
        if how != Shutdown::Read {
            connection.to_client.end(at);
        }
        if how != Shutdown::Write {
            connection.to_server.ended = true;
        }
        Ok(())
    }

    fn is_waiting_now(&mut self, listener: Handle) -> bool {
        match self.world.borrow().object(listener).as_deref() {
            Ok(Object::Listener(queue)) => !queue.borrow().is_empty(),
            _ => false,
        }
    }

    fn peer_now(&mut self, socket: Handle) -> io::Result<Option<SocketAddr>> {
        let connection = self.socket(socket)?;
        Ok(Some(SocketAddr::from((
            [192, 0, 2, 1],
            1024 + connection as u16,
        ))))
    }

    fn local_now(&mut self, socket: Handle) -> io::Result<Option<SocketAddr>> {
        self.socket(socket)?;
        Ok(Some(SocketAddr::from(([192, 0, 2, 80], 80))))
    }

    fn open_root_now(&mut self, path: &Path) -> io::Result<Handle> {
        let path = path.to_str().ok_or_else(|| failed(errno::ENOENT))?;
        let mut world = self.world.borrow_mut();
        match world.files.tree.resolve("/", path, Symlinks::Anywhere) {
            Ok(Found::Directory(path)) => Ok(world.open(Object::Directory(path))),
            Ok(Found::File(_)) => Err(failed(errno::ENOTDIR)),
            Err(number) => Err(failed(number)),
        }
    }

    fn open_now(&mut self, directory: Handle, path: &CStr, how: &OpenHow) -> io::Result<Handle> {
        if *how != how.may_block() {
            self.balk()?;
        }
        let mut world = self.world.borrow_mut();
        let object = world.object(directory).map_err(failed)?;
        let Object::Directory(root) = &*object else {
            return Err(failed(errno::ENOTDIR));
        };
        open_path(&mut world, root, path, how).map_err(|number| match number {
            // The kernel's cache of names answers for what is there.
            errno::ENOENT if *how != how.may_block() => failed(errno::EAGAIN),
            number => failed(number),
        })
    }

    fn stat_now(&mut self, file: Handle) -> io::Result<Stat> {
        let world = self.world.borrow();
        match &*world.object(file).map_err(failed)? {
            Object::File(node) => Ok(node.stat()),
            Object::Directory(path) => Ok(world.files.tree.stat_of_directory(path)),
            _ => Err(failed(errno::EINVAL)),
        }
    }

    fn read_now(&mut self, file: Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.balk()?;
        let mut world = self.world.borrow_mut();
        let object = world.object(file).map_err(failed)?;
        let Object::File(node) = &*object else {
            return Err(failed(errno::EINVAL));
        };
        if world.io_error() {
            return Err(failed(errno::EIO));
        }
        let contents = node.contents.borrow();
        let from = (offset as usize).min(contents.len());
        let count = world.shorten((contents.len() - from).min(buffer.len()));
        buffer[..count].copy_from_slice(&contents[from..from + count]);
        Ok(count)
    }

    fn is_cached(&mut self, _file: Handle, _offset: u64, _length: u64) -> bool {
        self.balk().is_ok()
    }

    fn reader_now(&mut self, directory: Handle) -> io::Result<Reader> {
        let mut world = self.world.borrow_mut();
        let object = world.object(directory).map_err(failed)?;
        let Object::Directory(root) = &*object else {
            return Err(failed(errno::ENOTDIR));
        };
        let seed = world.random.below(u64::MAX);
        Ok(Reader::simulated(Box::new(Snapshot {
            tree: world.files.snapshot(),
            root: root.clone(),
            random: Random::new(seed).into(),
            io_error: world.faults.io_error,
        })))
    }

    fn thread_now(&mut self, work: Box<dyn FnOnce() + Send>) -> io::Result<Handle> {
        if self.world.borrow_mut().io_error() {
            // What clone(2) says when there are too many.
            return Err(failed(errno::EAGAIN));
        }
        work();
        Ok(self.world.borrow_mut().open(Object::End))
    }
}
