//! Processors: which may be used, and binding a thread to one.

use std::io;
use std::mem;

/// The processors this thread may run on, in order. Never empty.
pub fn allowed() -> io::Result<Vec<usize>> {
    allowed_to(0)
}

fn allowed_to(thread: libc::pid_t) -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is plain data, filled by the call below.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is writable for the size given; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(thread, mem::size_of_val(&set), &mut set) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let cpus: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the index is below CPU_SETSIZE.
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect();
    Ok(cpus)
}

/// The processors that the process's first thread may run on: what it was given, however its other threads have bound themselves.
pub fn allowed_to_process() -> io::Result<Vec<usize>> {
    allowed_to(std::process::id() as libc::pid_t)
}

/// Binds the calling thread to one processor.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: a cpu_set_t is plain data; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the index is below CPU_SETSIZE, checked above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is readable for the size given; 0 is the calling thread.
    if unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &set) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// How many threads can run at once here: the affinity mask cut by the cgroup's quota.
pub fn usable() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_allowed_one_processor() {
        let cpu = allowed().expect("affinity")[0];
        std::thread::spawn(move || {
            pin(cpu).expect("pin");
            assert_eq!(allowed().expect("affinity"), [cpu]);
        })
        .join()
        .expect("thread");
    }
}
