//! Child processes: started with chosen descriptors, tied to their parent's life, watched by pidfd.
//!
//! Invariant: a child of [`spawn`] dies with its parent (PR_SET_PDEATHSIG) and gains no privileges by exec. It stays in the
//! parent's process group, so that a terminal can stop and continue the whole. Signals that only the parent is to act upon (Ctrl-C reaches
//! all) are the child's to ignore; until it does, what the parent watches is blocked in it (`signal::unblock_all`).

use crate::identity::{self, Identity};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a child of ours finds its end of the control channel.
pub const CONTROL_FD: RawFd = 3;

/// Takes over a descriptor that this process was started with, and makes it close-on-exec.
///
/// Each number is handed out once; a second call, a closed descriptor or stdio is an error.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    static TAKEN: AtomicU64 = AtomicU64::new(0b111);
    if !(0..64).contains(&fd) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "an inherited descriptor is a number from 3 to 63",
        ));
    }
    if TAKEN.fetch_or(1 << fd, Ordering::Relaxed) & (1 << fd) != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this descriptor has an owner already",
        ));
    }
    // SAFETY: fcntl on a number; if it is not open the kernel says so.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open (fcntl succeeded) and TAKEN gives each number to one caller. Callers ask before they open
    // anything themselves, so the number still means what the parent put there.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts `command` with `control` as its descriptor [`CONTROL_FD`].
pub fn spawn(command: &mut Command, control: BorrowedFd<'_>) -> io::Result<Child> {
    spawn_as(command, control, None)
}

/// The same as somebody else; `None`: as ourselves.
pub fn spawn_as(
    command: &mut Command,
    control: BorrowedFd<'_>,
    identity: Option<&Identity>,
) -> io::Result<Child> {
    // std reports a failed exec over a pipe of its own; if number 3 were free here, that pipe could sit on it and be
    // overwritten in the child. So the number is kept occupied meanwhile.
    // SAFETY: duplicates a borrowed, hence open, descriptor.
    let occupied = unsafe { libc::fcntl(control.as_raw_fd(), libc::F_DUPFD_CLOEXEC, CONTROL_FD) };
    if occupied < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened for us alone.
    let occupied = unsafe { OwnedFd::from_raw_fd(occupied) };
    let source = control.as_raw_fd();
    let parent = std::process::id();
    let identity = identity.cloned();
    // SAFETY: the closure only makes async-signal-safe system calls on captured integers.
    unsafe {
        command.pre_exec(move || {
            // First of all: a change of identity undoes the signal at the parent's death.
            identity.as_ref().map_or(Ok(()), identity::take_on)?;
            prepare_child(source, parent)
        });
    }
    let child = command.spawn();
    drop(occupied);
    child
}

/// Runs in the child between fork and exec.
fn prepare_child(source: RawFd, parent: u32) -> io::Result<()> {
    let check = |result: libc::c_int| {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    if source == CONTROL_FD {
        // SAFETY: clears close-on-exec of an open descriptor.
        check(unsafe { libc::fcntl(CONTROL_FD, libc::F_SETFD, 0) })?;
    } else {
        // SAFETY: `source` is open in the parent during spawn, so it is here; number 3 is occupied by our own duplicate
        // or by something that is close-on-exec anyway.
        check(unsafe { libc::dup2(source, CONTROL_FD) })?;
    }
    // SAFETY: prctl with integer arguments.
    check(unsafe {
        libc::prctl(
            libc::PR_SET_PDEATHSIG,
            libc::SIGKILL as libc::c_ulong,
            0,
            0,
            0,
        )
    })?;
    // SAFETY: prctl with integer arguments.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as libc::c_ulong, 0, 0, 0) })?;
    // The parent may have died before PDEATHSIG was set; then no signal will ever come.
    // SAFETY: no arguments.
    if unsafe { libc::getppid() } != parent as libc::pid_t {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Starts `command` in a session of its own, not tied to our life, with `passed` as its descriptor `number`.
pub fn spawn_apart(
    command: &mut Command,
    passed: BorrowedFd<'_>,
    number: RawFd,
) -> io::Result<Child> {
    spawn_passing(command, passed, number, stand_apart)
}

/// The same in our session: it takes our place, at our terminal too if there is one.
pub fn spawn_beside(
    command: &mut Command,
    passed: BorrowedFd<'_>,
    number: RawFd,
) -> io::Result<Child> {
    spawn_passing(command, passed, number, pass_on)
}

/// `prepare` runs in the child between fork and exec, and is one of the two below.
fn spawn_passing(
    command: &mut Command,
    passed: BorrowedFd<'_>,
    number: RawFd,
    prepare: fn(RawFd, RawFd) -> io::Result<()>,
) -> io::Result<Child> {
    let source = passed.as_raw_fd();
    // SAFETY: the closure only makes async-signal-safe system calls on captured integers.
    unsafe {
        command.pre_exec(move || prepare(source, number));
    }
    command.spawn()
}

/// A descriptor that tells of the end of `process`. Without one it must not live on, and is killed.
pub fn watched(mut process: Child) -> io::Result<(Child, OwnedFd)> {
    match pidfd(process.id()) {
        Ok(pidfd) => Ok((process, pidfd)),
        Err(error) => {
            process.kill()?;
            process.wait()?;
            Err(error)
        }
    }
}

/// Runs in the child between fork and exec.
fn stand_apart(source: RawFd, number: RawFd) -> io::Result<()> {
    // SAFETY: no arguments; a forked child leads no group, so it may.
    if unsafe { libc::setsid() } < 0 {
        return Err(io::Error::last_os_error());
    }
    pass_on(source, number)
}

/// Runs in the child between fork and exec.
fn pass_on(source: RawFd, number: RawFd) -> io::Result<()> {
    let result = if source == number {
        // SAFETY: clears close-on-exec of a descriptor that is open in the parent during spawn.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) }
    } else {
        // SAFETY: `source` is open in the parent during spawn; a duplicate has no close-on-exec.
        unsafe { libc::dup2(source, number) }
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Asks the kernel to kill this process when its parent thread ends. For children that are forked without exec.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: prctl with integer arguments.
    if unsafe {
        libc::prctl(
            libc::PR_SET_PDEATHSIG,
            libc::SIGKILL as libc::c_ulong,
            0,
            0,
            0,
        )
    } < 0
    {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends a signal. `Ok` also when the process is gone already.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    if pid <= 1 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: no memory is passed.
    if unsafe { libc::kill(pid, signal) } < 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ESRCH) {
            return Err(error);
        }
    }
    Ok(())
}

/// A descriptor that becomes readable when the process ends. `pid` must be a child that has not been waited for.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: integers only. pidfd_open sets close-on-exec by itself.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// What a process holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Everything mapped and present, shared or not.
    pub resident_bytes: u64,
}

/// From /proc; `None` if the process is gone or another user's.
pub fn memory(pid: u32) -> Option<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Memory {
        resident_bytes: pages * page_bytes(),
    })
}

/// Memory as the kernel accounts for it when pages are shared; slower than [`memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryShares {
    pub resident_bytes: u64,
    /// Shared pages count by the share of each process that has them.
    pub proportional_bytes: u64,
    /// Pages that nobody else has.
    pub private_bytes: u64,
}

/// From /proc/PID/smaps_rollup; `None` if the process is gone or may not be looked at.
pub fn memory_shares(pid: u32) -> Option<MemoryShares> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let mut shares = MemoryShares::default();
    for line in text.lines().skip(1) {
        let (name, rest) = line.split_once(':')?;
        let kib: u64 = rest.trim().trim_end_matches("kB").trim().parse().ok()?;
        match name {
            "Rss" => shares.resident_bytes = kib * 1024,
            "Pss" => shares.proportional_bytes = kib * 1024,
            "Private_Clean" | "Private_Dirty" => shares.private_bytes += kib * 1024,
            _ => {}
        }
    }
    Some(shares)
}

pub(crate) fn page_bytes() -> u64 {
    // SAFETY: no memory is passed.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

/// The effective user id.
pub fn user_id() -> u32 {
    // SAFETY: cannot fail, no memory.
    unsafe { libc::geteuid() }
}

/// Whether this process has a controlling terminal.
pub fn has_terminal() -> bool {
    // Without one the kernel refuses to open it: ENXIO.
    std::fs::File::open("/dev/tty").is_ok()
}

/// SIGKILL, for those who may not name libc.
pub const SIGKILL: i32 = libc::SIGKILL;
pub const SIGABRT: i32 = libc::SIGABRT;
pub const SIGQUIT: i32 = libc::SIGQUIT;
/// SIGTERM, likewise.
pub const SIGTERM: i32 = libc::SIGTERM;

/// The calling thread's handle, as pthread_self (and Python's `threading.get_ident`) has it.
pub fn thread_handle() -> u64 {
    // SAFETY: cannot fail, no memory.
    unsafe { libc::pthread_self() as u64 }
}

/// The calling thread's number in the kernel.
pub fn thread_id() -> i32 {
    // SAFETY: cannot fail, no memory.
    unsafe { libc::gettid() }
}

/// Sends a signal to one thread of this process; one that has ended is an error.
pub fn signal_thread(thread: i32, signal: i32) -> io::Result<()> {
    let process = std::process::id() as libc::pid_t;
    // SAFETY: numbers only.
    match unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many threads this process has.
pub fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exit(code) => write!(f, "exit code {code}"),
            Ended::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Collects a child that has ended; `None` while it lives. For children that were forked without std.
pub fn collect(pid: u32) -> io::Result<Option<Ended>> {
    let mut status = 0;
    // SAFETY: `status` is writable; WNOHANG never blocks.
    let result = unsafe { libc::waitpid(pid as libc::pid_t, &mut status, libc::WNOHANG) };
    match result {
        0 => Ok(None),
        result if result < 0 => Err(io::Error::last_os_error()),
        _ if libc::WIFSIGNALED(status) => Ok(Some(Ended::Signal(libc::WTERMSIG(status)))),
        _ => Ok(Some(Ended::Exit(libc::WEXITSTATUS(status)))),
    }
}

/// Calls `first` in every copy that is forked of this process from here on, before anything else runs there. (Programs that are started may have gone
/// by `vfork`, which calls nothing.) `first` is async-signal-safe. For code that stays loaded: it cannot be taken back.
pub fn begin_forks_with(first: extern "C" fn()) -> io::Result<()> {
    // SAFETY: registers a function that lives as long as the process, by the caller's promise.
    match unsafe { libc::pthread_atfork(None, None, Some(first)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Ends the process at once, without destructors and exit handlers of any runtime in it.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: never returns; what is buffered was flushed by the caller.
    unsafe { libc::_exit(code) }
}

/// Replaces this process by another program (or the same anew), which keeps the process's number, its parent's watch and the control channel;
/// `passed` becomes its descriptor [`PASSED_FD`]. Every other descriptor beyond stdio must be close-on-exec. Returns only if it fails.
pub fn become_program(command: &mut Command, passed: BorrowedFd<'_>) -> io::Error {
    // SAFETY: duplicates a borrowed, hence open, descriptor over number 4, which is close-on-exec by the caller's promise and lost either way.
    if unsafe { libc::dup2(passed.as_raw_fd(), PASSED_FD) } < 0 {
        return io::Error::last_os_error();
    }
    for fd in [CONTROL_FD, PASSED_FD] {
        // SAFETY: clears close-on-exec of a number; if it is not open the kernel says so.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
            return io::Error::last_os_error();
        }
    }
    command.exec()
}

/// What [`become_program`] passes on.
pub const PASSED_FD: RawFd = 4;

/// The process that started this one.
pub fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// A real-time signal that nobody else is known to use: asks a Python worker for its stack.
pub fn stack_signal() -> i32 {
    libc::SIGRTMIN() + 9
}

/// The one before it: tells a Python worker that its request ran over its time.
pub fn interrupt_signal() -> i32 {
    libc::SIGRTMIN() + 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{recv_with_fds, seqpacket_pair};
    use std::os::fd::AsFd;

    #[test]
    fn a_child_finds_its_channel_on_descriptor_3() {
        let (ours, theirs) = seqpacket_pair().expect("pair");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo hello >&3"]);
        let mut child = spawn(&mut command, theirs.as_fd()).expect("spawn");
        let mut buffer = [0; 16];
        let count = recv_with_fds(ours.as_fd(), &mut buffer, &mut Vec::new()).expect("recv");
        assert_eq!(&buffer[..count], b"hello\n");
        assert!(child.wait().expect("wait").success());
    }

    #[test]
    fn a_missing_program_is_reported_by_spawn() {
        let (_ours, theirs) = seqpacket_pair().expect("pair");
        let error = spawn(&mut Command::new("/nonexistent/python"), theirs.as_fd())
            .expect_err("no such file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn pidfd_wakes_at_the_end() {
        let (_ours, theirs) = seqpacket_pair().expect("pair");
        let mut child = spawn(&mut Command::new("/bin/true"), theirs.as_fd()).expect("spawn");
        let fd = pidfd(child.id()).expect("pidfd");
        let mut watch = [crate::socket::Watch::read(fd.as_fd())];
        crate::socket::poll(&mut watch, None).expect("poll");
        assert!(watch[0].readable);
        child.wait().expect("wait");
    }

    #[test]
    fn stdio_is_never_handed_out() {
        assert!(inherited(1).is_err());
        assert!(inherited(-1).is_err());
    }
}
