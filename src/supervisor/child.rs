//! A child process with its channel: spawned, listened to, waited for.
//!
//! Owns the process handle. Invariant: the end is reported once, after every message that the child sent before it.

use crate::policy::End;
use crate::python::Python;
use control::Channel;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use sys::identity::Identity;

/// Messages taken from one child before others are looked at.
const BURST_MAX: usize = 64;

pub struct Child {
    process: std::process::Child,
    pidfd: OwnedFd,
    channel: Channel,
    heard_all: bool,
}

/// What a look at a child brought.
pub enum News<M> {
    Message(M),
    /// It talks nonsense: a broken build.
    Nonsense(io::Error),
}

impl Child {
    /// Starts `command` with a channel on descriptor 3.
    pub fn spawn(command: &mut Command, identity: Option<&Identity>) -> io::Result<Child> {
        let (ours, theirs) = Channel::pair()?;
        ours.set_nonblocking(true)?;
        let process = sys::process::spawn_as(command, theirs.as_fd(), identity)?;
        let (process, pidfd) = sys::process::watched(process)?;
        Ok(Child {
            process,
            pidfd,
            channel: ours,
            heard_all: false,
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Whether there is any use in watching the channel: its other end may have been closed long before the process ends.
    pub fn may_speak(&self) -> bool {
        !self.heard_all
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.channel.send(message, descriptors)
    }

    pub fn send_with_many<T: Serialize>(
        &self,
        message: &T,
        more: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.channel.send_with_many(message, more, descriptors)
    }

    /// What it has said, at most a burst.
    pub fn listen<M: DeserializeOwned>(&mut self) -> Vec<News<M>> {
        let mut news = Vec::new();
        for _ in 0..BURST_MAX {
            match self.channel.recv::<M>() {
                Ok(Some((message, _))) => news.push(News::Message(message)),
                Ok(None) => {
                    self.heard_all = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    news.push(News::Nonsense(error));
                    break;
                }
            }
        }
        news
    }

    /// How it ended, if it has.
    pub fn end(&mut self) -> Option<End> {
        match self.process.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(match (status.code(), status.signal()) {
                (Some(code), _) => End::Code(code),
                (None, signal) => End::Signal(signal.unwrap_or(0)),
            }),
            Err(error) => Some(End::NotStarted(error.to_string())),
        }
    }

    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }
}

/// `ringgate edge`: this very executable, even if its file has been replaced meanwhile.
pub fn edge_command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("ringgate").arg("edge").stdin(Stdio::null());
    command
}

/// An app host: the app's own Python with our bootstrap.
pub fn host_command(
    python: &Python,
    extension: &Path,
    name: &str,
    chdir: &Path,
    env: &[(String, String)],
) -> Command {
    const BOOTSTRAP: &str = include_str!("bootstrap.py");
    let mut command = Command::new(&python.program);
    if python.free_threaded {
        // The extension relies on it, and turned on by an import it would be warned about.
        command.args(["-X", "gil=1"]);
    }
    command.args(["-c", BOOTSTRAP]).arg(extension).arg(name);
    command
        .current_dir(chdir)
        .env_remove(crate::daemon::VARIABLE)
        .env_remove(control::heir::VARIABLE)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}
