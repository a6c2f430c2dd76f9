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
    bind(&[cpu])
}

/// Lets the calling thread run wherever the process may, and only on what the others leave over (nice 10: a tenth of a contended
/// processor), in slices so long that whoever wakes goes first: for work beside a pinned thread that started it.
pub fn step_back() -> io::Result<()> {
    bind(&allowed_to_process()?)?;
    let attributes = libc::sched_attr {
        size: mem::size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: 10,
        sched_priority: 0,
        sched_runtime: LONG_SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Longer than the usual 1 to 3 ms, so that threads which wake go before this one (Linux 6.12; older kernels pass over it).
const LONG_SLICE_NS: u64 = 5_000_000;

fn bind(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: a cpu_set_t is plain data; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for &cpu in cpus {
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: the index is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
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

    #[test]
    fn a_thread_that_steps_back_leaves_its_parent_where_it_is() {
        let all = allowed_to_process().expect("affinity");
        std::thread::spawn(move || {
            pin(all[0]).expect("pin");
            std::thread::spawn(|| {
                step_back().expect("no right is needed");
                assert_eq!(
                    allowed().expect("affinity"),
                    allowed_to_process().expect("affinity")
                );
                // SAFETY: touches no memory.
                assert_eq!(unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }, 10);
            })
            .join()
            .expect("inner thread");
            assert_eq!(allowed().expect("affinity"), [all[0]]);
            // SAFETY: touches no memory.
            assert!(unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } < 10);
        })
        .join()
        .expect("thread");
    }
}
