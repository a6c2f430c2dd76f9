//! A mount's directory, followed when its path comes to name another one: a deployment that swaps a link, a directory made anew.
//!
//! Owns the descriptor that paths below are resolved from. Invariant: there always is one; while the path leads nowhere the old
//! directory stays. Nothing here sleeps on the ring thread, except `open`. Must not know entries or requests.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use uring::fs::{Directory, File, OpenHow, Walk};

pub struct Mount {
    path: CString,
    directory: RefCell<Rc<Directory>>,
    /// Device and inode of `directory`; unknown until the first look.
    identity: Cell<Option<(u64, u64)>>,
    looked_ns: Cell<u64>,
    /// A look through the ring is under way.
    looking: Cell<bool>,
}

impl Mount {
    /// Opens the directory; may wait for the disk, so only at the start.
    pub fn open(path: &Path) -> io::Result<Mount> {
        let directory = Directory::open(path)?;
        Ok(Mount {
            path: CString::new(path.as_os_str().as_bytes())?,
            directory: RefCell::new(Rc::new(directory)),
            identity: Cell::new(None),
            looked_ns: Cell::new(0),
            looking: Cell::new(false),
        })
    }

    /// What paths are resolved from now.
    pub fn directory(&self) -> Rc<Directory> {
        Rc::clone(&self.directory.borrow())
    }

    /// Looks where the path leads if the last look is older than `fresh_ns`. True: to another directory than before. What is not in
    /// the kernel's caches is looked for through the ring, and found by a later look.
    pub fn has_moved(self: &Rc<Mount>, now_ns: u64, fresh_ns: u64) -> bool {
        if self.identity.get().is_some() && now_ns < self.looked_ns.get().saturating_add(fresh_ns) {
            return false;
        }
        self.looked_ns.set(now_ns);
        let how = OpenHow::root(Walk::CachedOnly);
        match self.directory().try_open_file(&self.path, &how) {
            Ok(found) => self.turn_to(found),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.look_through_ring();
                false
            }
            Err(_) => false,
        }
    }

    /// Makes the kernel read the names on the way, so that the next look finds them.
    fn look_through_ring(self: &Rc<Mount>) {
        if self.looking.replace(true) {
            return;
        }
        let mount = Rc::clone(self);
        uring::spawn(async move {
            let how = OpenHow::root(Walk::MayBlock);
            let found = mount.directory().open_file(mount.path.clone(), how).await;
            // Where it leads is judged by the next look, which can tell its caller.
            drop(found);
            mount.looking.set(false);
            mount.identity.set(None);
        });
    }

    fn turn_to(&self, found: File) -> bool {
        let Ok(stat) = found.stat() else { return false };
        let identity = (stat.device, stat.inode);
        let known = self.identity.replace(Some(identity));
        if known == Some(identity) {
            return false;
        }
        self.directory.replace(Rc::new(found.into_directory()));
        true
    }
}
