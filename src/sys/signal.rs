//! Signals as readable descriptors.
//!
//! Invariant: a watched signal is blocked in the calling thread, so it is seen here and nowhere else.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use crate::eventfd::EventFd;

/// The signals we act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Term,
    Int,
    Quit,
    Hup,
    Usr1,
    Usr2,
    Winch,
    /// SIGTTIN, as gunicorn has it.
    MoreWorkers,
    /// SIGTTOU, as gunicorn has it.
    FewerWorkers,
    Child,
}

const NUMBERS: [(Signal, i32); 10] = [
    (Signal::Term, libc::SIGTERM),
    (Signal::Int, libc::SIGINT),
    (Signal::Quit, libc::SIGQUIT),
    (Signal::Hup, libc::SIGHUP),
    (Signal::Usr1, libc::SIGUSR1),
    (Signal::Usr2, libc::SIGUSR2),
    (Signal::Winch, libc::SIGWINCH),
    (Signal::MoreWorkers, libc::SIGTTIN),
    (Signal::FewerWorkers, libc::SIGTTOU),
    (Signal::Child, libc::SIGCHLD),
];

/// A non-blocking signalfd.
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks these signals in this thread (and those it starts later) and watches them.
    pub fn watch(signals: &[Signal]) -> io::Result<Signals> {
        // SAFETY: a sigset_t is plain data, made valid by sigemptyset.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is writable.
        unsafe { libc::sigemptyset(&mut set) };
        for (signal, number) in NUMBERS {
            if signals.contains(&signal) {
                // SAFETY: `set` is initialised, the number valid.
                unsafe { libc::sigaddset(&mut set, number) };
            }
        }
        // SAFETY: `set` is initialised; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened for us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Signals { fd })
    }

    /// The next signal that arrived, or `None`. Several of a kind may be one.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        // SAFETY: plain data.
        let mut info: libc::signalfd_siginfo = unsafe { mem::zeroed() };
        let size = mem::size_of_val(&info);
        // SAFETY: `info` is writable for `size` bytes.
        let count = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        }
        Ok(NUMBERS
            .iter()
            .find(|(_, number)| *number == info.ssi_signo as i32)
            .map(|(signal, _)| *signal))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets every signal in, in this thread and those it starts later. A child inherits what its parent has blocked, and so would its own children,
/// who would not hear a SIGTERM.
pub fn unblock_all() -> io::Result<()> {
    // SAFETY: a sigset_t is plain data, made valid by sigemptyset.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is writable.
    unsafe { libc::sigemptyset(&mut set) };
    // SAFETY: `set` is initialised; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Makes a signal do nothing in this process, e.g. SIGHUP in a child whose parent acts upon it.
pub fn ignore(signal: Signal) -> io::Result<()> {
    let number = NUMBERS
        .iter()
        .find(|(known, _)| *known == signal)
        .map_or(0, |(_, number)| *number);
    // SAFETY: no code of ours runs in signal context.
    if unsafe { libc::signal(number, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Where the handler below rings, or -1.
static TERM_BELL: AtomicI32 = AtomicI32::new(-1);
/// Who notes it.
static TERM_PID: AtomicU32 = AtomicU32::new(0);
/// SIGTERM has come.
static TERM_NOTED: AtomicBool = AtomicBool::new(false);

/// Notes SIGTERM instead of dying of it, and rings `bell` each time. Unlike a watched signal it is not blocked, and the programs that
/// this process starts get the default action back, and so do its copies: for processes that run foreign code. System calls are interrupted.
pub fn note_term(bell: &'static EventFd) -> io::Result<()> {
    TERM_NOTED.store(false, Ordering::Relaxed);
    TERM_PID.store(std::process::id(), Ordering::Relaxed);
    TERM_BELL.store(bell.as_fd().as_raw_fd(), Ordering::Relaxed);
    // SAFETY: plain data; all zero is a valid sigaction without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = term_handler as extern "C" fn(libc::c_int) as usize;
    // SAFETY: a complete action whose handler only makes async-signal-safe calls; the old one is not asked for.
    if unsafe { libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether SIGTERM has come since [`note_term`].
pub fn term_noted() -> bool {
    TERM_NOTED.load(Ordering::Relaxed)
}

extern "C" fn term_handler(signal: libc::c_int) {
    // SAFETY: no arguments, async-signal-safe.
    if unsafe { libc::getpid() } as u32 != TERM_PID.load(Ordering::Relaxed) {
        // A copy that somebody forked, and this signal means: end. It is blocked until we return, then it strikes.
        // SAFETY: both are async-signal-safe, and the default action is one.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        return;
    }
    TERM_NOTED.store(true, Ordering::Relaxed);
    let one: u64 = 1;
    // SAFETY: errno is thread-local memory; write is async-signal-safe, the descriptor belongs to a 'static EventFd, and a failed write (it is
    // non-blocking) changes nothing.
    unsafe {
        let errno = libc::__errno_location();
        let kept = *errno;
        libc::write(
            TERM_BELL.load(Ordering::Relaxed),
            (&raw const one).cast(),
            size_of::<u64>(),
        );
        *errno = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_from_the_descriptor() {
        let signals = Signals::watch(&[Signal::Usr1]).expect("signalfd");
        // To this thread alone: other tests' threads have not blocked it.
        // SAFETY: raise has no memory arguments; the signal is blocked in this thread.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        assert_eq!(signals.next().expect("read"), Some(Signal::Usr1));
        assert_eq!(signals.next().expect("read"), None);
    }
}
