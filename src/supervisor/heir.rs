//! The server that this one started to take its place: this executable's file as it is now, with our arguments and listeners.
//!
//! Owns the process handle and this end of the conversation. Invariant: it is not tied to our life, for it is to outlive us.

use crate::listen::Listener;
use crate::policy::End;
use config::{Address, Config};
use control::Channel;
use control::heir::{FromHeir, ToHeir, VARIABLE};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it finds its end.
const CHANNEL_FD: i32 = 58;

/// How this server was started, noted while it is young: later its file may be another and its directory gone.
pub struct Launch {
    program: PathBuf,
    name: OsString,
    /// As the shell called it: a link to the current release leads to the next one by then.
    directory: Option<PathBuf>,
}

pub struct Heir {
    process: std::process::Child,
    pidfd: OwnedFd,
    channel: Channel,
    /// It says nothing more.
    silent: bool,
    /// What it said before it ended.
    pub complaint: Option<String>,
    /// Which of our listeners it has.
    pub listeners: Vec<Address>,
}

impl Launch {
    pub fn note() -> Launch {
        let name = std::env::args_os().next().unwrap_or_default();
        let program = typed(&name).or_else(|| std::env::current_exe().ok());
        let same = |path: &PathBuf| {
            let here = std::fs::metadata(".");
            let there = std::fs::metadata(path);
            here.and_then(|here| Ok((here, there?)))
                .is_ok_and(|(here, there)| (here.dev(), here.ino()) == (there.dev(), there.ino()))
        };
        Launch {
            program: program.unwrap_or_else(|| PathBuf::from("/proc/self/exe")),
            name,
            directory: std::env::var_os("PWD")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute() && same(path)),
        }
    }
}

/// The command as it was typed, if it leads to this executable: an installation may switch a link.
fn typed(name: &OsString) -> Option<PathBuf> {
    // A name that leads to whatever asks says nothing.
    let path = Some(Path::new(name)).filter(|path| !path.starts_with("/proc"))?;
    let candidates: Vec<PathBuf> = if path.components().count() > 1 {
        vec![std::env::current_dir().ok()?.join(path)]
    } else {
        let places = std::env::var_os("PATH")?;
        std::env::split_paths(&places)
            .map(|place| place.join(path))
            .collect()
    };
    let own = std::fs::metadata("/proc/self/exe").ok()?;
    candidates.into_iter().find(|path| {
        std::fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (own.dev(), own.ino()))
    })
}

impl Heir {
    pub fn start(
        launch: &Launch,
        config: &Config,
        listeners: &[Listener],
        control: &Path,
    ) -> io::Result<Heir> {
        let (ours, theirs) = Channel::pair()?;
        for listener in listeners {
            let sockets: Vec<BorrowedFd<'_>> = listener.sockets.iter().map(AsFd::as_fd).collect();
            let message = ToHeir::Listener {
                asked: listener.asked.clone(),
                address: listener.address.clone(),
            };
            ours.send(&message, &sockets)?;
        }
        let house = ToHeir::House {
            control: control.to_owned(),
        };
        ours.send(&house, &[])?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&launch.program);
        command
            .arg0(&launch.name)
            .args(std::env::args_os().skip(1))
            .env_remove(crate::daemon::VARIABLE)
            .env(VARIABLE, CHANNEL_FD.to_string());
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        if config.inherited.is_empty() {
            // They were meant for another process.
            command.env_remove("LISTEN_FDS");
        }
        let theirs = theirs.into_fd();
        let process = sys::process::spawn_beside(&mut command, theirs.as_fd(), CHANNEL_FD)
            .map_err(|error| {
                let program = launch.program.display();
                io::Error::new(error.kind(), format!("{program} cannot be run: {error}"))
            })?;
        let (process, pidfd) = sys::process::watched(process)?;
        Ok(Heir {
            process,
            pidfd,
            channel: ours,
            silent: false,
            complaint: None,
            listeners: Vec::new(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    pub fn take_over(&self) -> io::Result<()> {
        self.channel.send(&ToHeir::TakeOver, &[])
    }

    /// Whether there is any use in watching the channel.
    pub fn may_speak(&self) -> bool {
        !self.silent
    }

    /// The next thing that it says.
    pub fn listen(&mut self) -> Option<FromHeir> {
        loop {
            match self.channel.recv::<FromHeir>() {
                Ok(Some((message, _))) => return Some(message),
                // Words of a later version.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Ok(None) | Err(_) => {
                    self.silent = true;
                    return None;
                }
            }
        }
    }

    /// How it ended, if it has.
    pub fn end(&mut self) -> Option<End> {
        let status = self.process.try_wait().ok()??;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => End::Code(code),
            (None, signal) => End::Signal(signal.unwrap_or(0)),
        })
    }

    /// Its children die with it.
    pub fn kill(&mut self) {
        // Ended already: its end is on the way.
        drop(self.process.kill());
    }
}
