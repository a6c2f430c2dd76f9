//! A mount's directory, followed when its path comes to name another one: a deployment that swaps a link, a directory made anew.
//!
//! Owns the descriptor that paths below are resolved from. Invariant: there always is one; while the path leads nowhere the old
//! directory stays. Nothing here sleeps on the ring thread. Must not know entries or requests.

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
}

impl Mount {
    /// `directory` is what the path leads to now.
    pub fn new(path: &Path, directory: Directory) -> io::Result<Mount> {
        Ok(Mount {
            path: CString::new(path.as_os_str().as_bytes())?,
            directory: RefCell::new(Rc::new(directory)),
            identity: Cell::new(None),
            looked_ns: Cell::new(0),
        })
    }

    /// What paths are resolved from now.
    pub fn directory(&self) -> Rc<Directory> {
        Rc::clone(&self.directory.borrow())
    }

    /// When it was last known where the path leads; what was found below is not known for longer.
    pub fn looked_ns(&self) -> u64 {
        self.looked_ns.get()
    }

    fn is_due(&self, now_ns: u64, fresh_ns: u64) -> bool {
        self.identity.get().is_none() || now_ns >= self.looked_ns.get().saturating_add(fresh_ns)
    }

    /// Looks where the path leads if the last look is older than `fresh_ns`. True: to another directory than before. `WouldBlock`: the
    /// kernel does not know it by heart; use `look`.
    pub fn try_look(&self, now_ns: u64, fresh_ns: u64) -> io::Result<bool> {
        if !self.is_due(now_ns, fresh_ns) {
            return Ok(false);
        }
        let how = OpenHow::root(Walk::CachedOnly);
        match self.directory().try_open_file(&self.path, &how) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            found => Ok(self.turn_to(found, now_ns)),
        }
    }

    /// The same through the ring.
    pub async fn look(&self, now_ns: u64, fresh_ns: u64) -> bool {
        if !self.is_due(now_ns, fresh_ns) {
            return false;
        }
        let how = OpenHow::root(Walk::MayBlock);
        let found = self.directory().open_file(self.path.clone(), how).await;
        // Another look may have been quicker.
        self.is_due(now_ns, fresh_ns) && self.turn_to(found, now_ns)
    }

    /// An error means: nowhere; then the old directory is the best there is.
    fn turn_to(&self, found: io::Result<File>, looked_ns: u64) -> bool {
        self.looked_ns.set(looked_ns);
        let Ok(found) = found else { return false };
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
