//! The files by which the world knows this server: its pid file, its control socket, its listening unix sockets.
//!
//! Two servers stand side by side during an upgrade. The new one's files have `.2` at the end, as gunicorn's pid file has, until the old one
//! steps aside; then they are renamed over the old one's, so that a name never leads nowhere. Invariant: a file that another server has is
//! never removed.

use config::Mistake;
use config::world::plain;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Behind the names of a server that is not yet the only one.
const BESIDE: &str = ".2";

/// The path of a unix socket of ours; removed when we are done, unless somebody put another there.
pub struct SocketName {
    path: PathBuf,
    inode: u64,
    ours: bool,
}

impl SocketName {
    /// A name of ours that leads to the socket bound to it.
    pub fn new(path: &Path) -> io::Result<SocketName> {
        Ok(SocketName {
            path: path.to_owned(),
            inode: fs::symlink_metadata(path)?.ino(),
            ours: true,
        })
    }

    /// A name that another server removes, until it is told not to.
    pub fn of_another(path: &Path) -> io::Result<SocketName> {
        let mut name = SocketName::new(path)?;
        name.ours = false;
        Ok(name)
    }

    /// Whether it leads to the socket that was bound to it.
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode)
    }

    pub fn take(&mut self) {
        self.ours = true;
    }

    pub fn leave(&mut self) {
        self.ours = false;
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        if self.ours && self.is_there() {
            // It may have gone meanwhile, which is what we want.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// `--pid`: locked while its server lives, so that no other writes its number over it; what a dead one left is free. Removed on drop, if it
/// still is ours.
pub struct PidFile {
    path: PathBuf,
    /// Held for its lock.
    _file: File,
    left: bool,
}

impl PidFile {
    pub fn write(path: PathBuf) -> Result<PidFile, Mistake> {
        let mistake = |why: String| Mistake(format!("--pid: {} {why}", path.display()));
        let cannot = |error: io::Error| mistake(format!("cannot be written ({})", plain(&error)));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(cannot)?;
        // A file system without locks is no reason not to serve.
        if let Ok(false) = sys::file::try_lock(file.as_fd()) {
            let number = fs::read_to_string(&path).unwrap_or_default();
            return Err(mistake(format!(
                "is that of a running server (pid {}); stop it, or choose another file",
                number.trim()
            )));
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(cannot)?;
        Ok(PidFile {
            path,
            _file: file,
            left: false,
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let is_ours = || {
            fs::read_to_string(&self.path)
                .is_ok_and(|text| text.trim() == std::process::id().to_string())
        };
        if !self.left && is_ours() {
            // It may have gone meanwhile, which is what we want.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// What this server is known by, and will be once it is the only one.
pub struct Names {
    pub pid_file: Option<PidFile>,
    pub control: SocketName,
    /// Where the control socket stands for those who ask.
    pub control_path: PathBuf,
    /// Another server has the proper names.
    beside: bool,
}

/// The name that is used while another server has `path`.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BESIDE);
    PathBuf::from(name)
}

impl Names {
    /// `beside`: another server has the proper ones; `control` is where the socket stands until then.
    pub fn new(
        pid_file: Option<PathBuf>,
        control: (PathBuf, SocketName),
        is_beside: bool,
    ) -> Result<Names, Mistake> {
        let pid_file = pid_file.map(|path| match is_beside {
            true => beside(&path),
            false => path,
        });
        Ok(Names {
            pid_file: pid_file.map(PidFile::write).transpose()?,
            control_path: control.0,
            control: control.1,
            beside: is_beside,
        })
    }

    /// Where the control socket will stand, if it does not already.
    pub fn shown_control(&self) -> PathBuf {
        let path = self.control_path.clone();
        match self.beside {
            true => proper(&path).unwrap_or(path),
            false => path,
        }
    }

    /// The other server leaves: its names are ours. Nothing if they are already.
    pub fn take_over(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.beside, false) {
            return Ok(());
        }
        let control = rename(&mut self.control_path);
        self.control.path.clone_from(&self.control_path);
        // Last: whoever reads our number in it finds the rest in place.
        let pid = self.pid_file.as_mut().map(|file| rename(&mut file.path));
        control.and(pid.unwrap_or(Ok(())))
    }

    /// The server that they were left to is gone. `control` stands beside the proper one, as a new server's would.
    pub fn take_back(
        &mut self,
        pid_file: Option<PathBuf>,
        control: (PathBuf, SocketName),
    ) -> Result<(), Mistake> {
        (self.control_path, self.control) = control;
        self.beside = true;
        let renamed = self.take_over();
        self.pid_file = pid_file.map(PidFile::write).transpose()?;
        renamed.map_err(|error| {
            let shown = self.control_path.display();
            Mistake(format!("{shown} cannot be renamed ({})", plain(&error)))
        })
    }

    /// Another server has them from now on.
    pub fn leave(&mut self) {
        // The file holds the other's number by now, or soon.
        if let Some(mut file) = self.pid_file.take() {
            file.left = true;
        }
        self.control.leave();
    }
}

/// Takes the ending away, from the file and from its name.
fn rename(path: &mut PathBuf) -> io::Result<()> {
    if let Some(proper) = proper(path) {
        fs::rename(&*path, &proper)?;
        *path = proper;
    }
    Ok(())
}

/// The name without the ending.
fn proper(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().as_bytes();
    let proper = name.strip_suffix(BESIDE.as_bytes())?;
    Some(PathBuf::from(OsStr::from_bytes(proper)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_of_a_living_server_is_not_taken() {
        let path = std::env::temp_dir().join(format!("ringgate-pid-{}", std::process::id()));
        fs::write(&path, "left by a dead one, and longer than a number\n").expect("a file");
        let first = PidFile::write(path.clone()).expect("nobody holds it");
        let own = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(&path).expect("a file"), own);
        let refused = PidFile::write(path.clone()).err().expect("it is held").0;
        assert!(
            refused.ends_with(&format!(
                "is that of a running server (pid {}); stop it, or choose another file",
                own.trim()
            )),
            "{refused}"
        );
        assert!(path.exists());
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn names_are_taken_over_without_a_gap_and_left_to_their_new_owner() {
        let dir = std::env::temp_dir().join(format!("ringgate-names-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (pid, control) = (dir.join("pid"), dir.join("control"));
        let names = |is_beside: bool| {
            let path = match is_beside {
                true => beside(&control),
                false => control.clone(),
            };
            fs::write(&path, "").expect("a file");
            let name = SocketName::new(&path).expect("a name");
            Names::new(Some(pid.clone()), (path, name), is_beside).expect("names")
        };
        let mut old = names(false);
        let mut new = names(true);
        assert!(pid.exists() && beside(&pid).exists());
        old.leave();
        new.take_over().expect("renamed");
        new.take_over().expect("nothing more to do");
        assert!(!beside(&pid).exists() && !beside(&control).exists());
        drop(old);
        assert!(pid.exists() && control.exists());
        assert_eq!(new.control_path, control);
        drop(new);
        assert!(!pid.exists() && !control.exists());
        fs::remove_dir_all(&dir).expect("ours");
    }
}
