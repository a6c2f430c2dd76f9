//! `--daemon`: the same command again, in a session of its own; the first one waits until that serves, and tells how it went.
//!
//! Owns the pipe between the two. The background one has no terminal: what it has to say goes to its logs, and before it serves into the pipe.

use crate::terminal::complain;
use config::{Config, LogTarget};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

/// Tells the background one which descriptor the pipe is.
pub const VARIABLE: &str = "RINGGATE_DAEMON";
const PIPE_FD: i32 = 59;
const READY: &str = "ready\n";
const EXIT_FAILURE: u8 = 1;

/// The background one's end of the pipe; `None` in everybody else.
pub struct Waiting(File);

impl Waiting {
    pub fn find() -> Option<Waiting> {
        let number = std::env::var(VARIABLE).ok()?.parse().ok()?;
        let pipe = sys::process::inherited(number).ok()?;
        Some(Waiting(File::from(pipe)))
    }

    /// It serves: the first one ends.
    pub fn ready(self) {
        self.say(READY);
    }

    /// It does not, and why.
    pub fn say(mut self, text: &str) {
        // Whoever waited may have been interrupted.
        drop(self.0.write_all(text.as_bytes()));
    }
}

/// Starts the background one; the exit code of this process.
pub fn start(config: &Config) -> ExitCode {
    if config.error_log == LogTarget::Stderr {
        complain("in the background stderr goes nowhere; name a file with --error-log");
    }
    let start = || -> std::io::Result<(std::process::Child, String)> {
        let (read, write) = sys::socket::pipe()?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(std::env::args_os().next().unwrap_or_default())
            .args(std::env::args_os().skip(1))
            .env(VARIABLE, PIPE_FD.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = sys::process::spawn_apart(&mut command, write.as_fd(), PIPE_FD)?;
        drop(write);
        let mut said = String::new();
        File::from(read).read_to_string(&mut said)?;
        Ok((child, said))
    };
    match start() {
        Ok((_, said)) if said == READY => ExitCode::SUCCESS,
        Ok((mut child, said)) => {
            match said.trim_end() {
                "" => complain("it did not come up; the error log says why"),
                said => complain(said),
            }
            let code = child.wait().ok().and_then(|status| status.code());
            ExitCode::from(
                code.and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(EXIT_FAILURE),
            )
        }
        Err(error) => {
            complain(format_args!("--daemon: {error}"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
