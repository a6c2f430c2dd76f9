//! The way out when an import has started threads: this process becomes itself anew, and leaves what did it to its workers.

use super::preload::Share;
use crate::ffi::Python;
use crate::line::Descriptors;
use control::Channel;
use control::message::{HostSpec, ToHost};
use std::os::fd::AsFd;
use std::process::Command;

/// Last argument of a host that became itself anew: its orders are on the passed descriptor.
const WITHOUT_IMPORT: &str = "--resume-without-import";
const WITH_IMPORT: &str = "--resume-with-import";

/// What this process, having become itself anew, may still share; `None`: it is in its first life.
pub fn resumed() -> Option<Share> {
    let arguments = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let known = |argument: &[u8]| match std::str::from_utf8(argument) {
        Ok(WITHOUT_IMPORT) => Some(Share::Nothing),
        Ok(WITH_IMPORT) => Some(Share::Import),
        _ => None,
    };
    // Of several lives the last.
    arguments.rsplit(|byte| *byte == 0).find_map(known)
}

/// The same process from its beginning, with the same orders.
pub fn start(
    py: Python<'_>,
    spec: HostSpec,
    descriptors: Descriptors,
    share: Share,
) -> std::io::Error {
    let (resume, what) = match share {
        Share::Nothing => (
            WITHOUT_IMPORT,
            "importing the app started threads; each worker imports it by itself",
        ),
        _ => (
            WITH_IMPORT,
            "importing the app's URLs started threads; each worker imports them by itself",
        ),
    };
    eprintln!("[{}] {what}", spec.name);
    let restart = || -> std::io::Result<std::io::Error> {
        let (ours, theirs) = Channel::pair()?;
        let fds: Vec<_> = std::iter::once(&descriptors.segment)
            .chain(&descriptors.doorbells)
            .chain(
                descriptors
                    .seats
                    .iter()
                    .flat_map(|ends| [&ends.socket, &ends.wake]),
            )
            .map(AsFd::as_fd)
            .collect();
        let start = ToHost::Start {
            spec: Box::new(spec),
        };
        ours.send_with_many(&start, &ToHost::Descriptors {}, &fds)?;
        drop(ours);
        let arguments = std::fs::read("/proc/self/cmdline")?;
        let mut arguments = arguments.split(|byte| *byte == 0);
        let program = py
            .import(c"sys")
            .and_then(|sys| sys.member(c"executable")?.text());
        let program = program.map_err(|raised| std::io::Error::other(raised.take().line()))?;
        let mut command = Command::new(program);
        arguments.next();
        // What follows the last NUL is no argument.
        let mut arguments: Vec<_> = arguments.map(as_os_str).collect();
        arguments.pop();
        command.args(arguments).arg(resume);
        Ok(sys::process::become_program(&mut command, theirs.as_fd()))
    };
    restart().unwrap_or_else(|error| error)
}

fn as_os_str(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
