//! A server under test: a process group pinned to cores, its CPU time, its end.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to end after TERM before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// One process and everything it started, as one process group.
pub struct Group {
    child: Child,
    group: i32,
}

impl Group {
    /// Starts `argv` pinned to `cpus`, output appended to `log`.
    pub fn start(
        argv: &[String],
        cpus: &[usize],
        directory: &Path,
        env: &[(String, String)],
        log: &Path,
    ) -> io::Result<Group> {
        let out = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let cpus = cpus.to_vec();
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0);
        command.envs(env.iter().map(|(key, value)| (key, value)));
        // SAFETY: sched_setaffinity is async-signal-safe, and the closure touches only memory that it owns.
        unsafe { command.pre_exec(move || pin(&cpus)) };
        let child = command.spawn()?;
        let group = child.id().cast_signed();
        Ok(Group { child, group })
    }

    /// Waits until something accepts on `port`; an early end of the process is an error at once.
    pub fn wait_for_port(&mut self, port: u16) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at start with {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!(
            "did not listen on port {port} within {START_LIMIT:?}"
        ))
    }

    /// The first process's id, which is the group's as well.
    pub fn id(&self) -> i32 {
        self.group
    }

    /// CPU seconds (user + system, ended children included) that the group's processes have used.
    pub fn cpu_seconds(&self) -> f64 {
        members(self.group)
            .iter()
            .map(|stat| stat.cpu_seconds)
            .sum()
    }

    /// Resident memory of the group, bytes; shared pages count once per process.
    pub fn resident_bytes(&self) -> u64 {
        members(self.group)
            .iter()
            .map(|stat| stat.resident_bytes)
            .sum()
    }

    pub fn stop(mut self) {
        // SAFETY: kill has no memory effects; the group is the one this value started.
        unsafe { libc::kill(-self.group, libc::SIGTERM) };
        let started = Instant::now();
        while started.elapsed() < STOP_LIMIT && !members(self.group).is_empty() {
            if let Err(error) = self.child.try_wait() {
                eprintln!("ringgate-bench: waiting for {}: {error}", self.group);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // SAFETY: as above; ESRCH is what one hopes for.
        unsafe { libc::kill(-self.group, libc::SIGKILL) };
        if let Err(error) = self.child.wait() {
            eprintln!("ringgate-bench: waiting for {}: {error}", self.group);
        }
    }
}

/// From now on the calling thread goes before all usual ones: what measures must not wait for the load. Takes privileges; without
/// them the figures are less sharp.
pub fn go_first() {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const first) };
}

/// From now on the calling thread goes behind usual ones, without starving: load that asks for as much as it can get.
pub fn go_last() {
    // SAFETY: no memory is passed; on Linux it concerns the calling thread alone.
    unsafe { libc::nice(15) };
}

/// Binds the calling thread.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        // SAFETY: CPU_SET bounds-checks the index against the set's size.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: the set outlives the call and its size is given.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

struct Stat {
    cpu_seconds: f64,
    resident_bytes: u64,
}

/// The living processes whose process group is `group`. A server that calls setsid for its workers would be missed; those measured do not.
fn members(group: i32) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            parse_stat(&text, group)
        })
        .collect()
}

/// proc(5): fields after the parenthesised name: state ppid pgrp ... utime(14) stime(15) cutime(16) cstime(17) ... rss(24).
fn parse_stat(text: &str, group: i32) -> Option<Stat> {
    let rest = text.rsplit_once(") ")?.1;
    let fields: Vec<&str> = rest.split(' ').collect();
    if fields.first() == Some(&"Z") || fields.get(2)?.parse::<i32>().ok()? != group {
        return None;
    }
    let ticks: u64 = (11..15)
        .map(|index| {
            fields
                .get(index)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        })
        .sum();
    let pages: u64 = fields.get(21)?.parse().ok()?;
    // Linux fixes USER_HZ at 100 on every architecture that runs this.
    Some(Stat {
        cpu_seconds: ticks as f64 / 100.0,
        resident_bytes: pages * 4096,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_spaces_in_the_name() {
        let line = "7 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 100 1000 25 18446744073709551615";
        let stat = parse_stat(line, 42).expect("group 42");
        assert_eq!(stat.cpu_seconds, 2.1);
        assert_eq!(stat.resident_bytes, 25 * 4096);
        assert!(parse_stat(line, 43).is_none());
    }
}
