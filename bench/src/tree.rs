//! Which process of a running ringgate is which: the edge, the app hosts, the forked workers.

use std::fs;

#[derive(Debug, Default, PartialEq)]
pub struct Tree {
    pub edge: Option<i32>,
    pub hosts: Vec<i32>,
    /// Children of the app hosts: workers of kind `processes`.
    pub workers: Vec<i32>,
    /// Ended children of any of these that nobody has waited for.
    pub zombies: usize,
}

/// Reads the children of `supervisor` and theirs from /proc.
pub fn read(supervisor: i32) -> Tree {
    let processes = processes();
    let children = |parent: i32| {
        processes
            .iter()
            .filter(move |process| process.parent == parent)
    };
    let mut tree = Tree::default();
    for child in children(supervisor) {
        if child.is_zombie {
            tree.zombies += 1;
        } else if child
            .arguments
            .get(1)
            .is_some_and(|argument| argument == "edge")
        {
            tree.edge = Some(child.pid);
        } else {
            tree.hosts.push(child.pid);
            let (zombies, workers): (Vec<_>, Vec<_>) =
                children(child.pid).partition(|worker| worker.is_zombie);
            tree.zombies += zombies.len();
            tree.workers.extend(workers.iter().map(|worker| worker.pid));
        }
    }
    tree
}

struct Process {
    pid: i32,
    parent: i32,
    arguments: Vec<String>,
    is_zombie: bool,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let is_zombie = fields.next()? == "Z";
            let parent = fields.next()?.parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let arguments = line
                .split(|&byte| byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            Some(Process {
                pid,
                parent,
                arguments,
                is_zombie,
            })
        })
        .collect()
}

/// Memory that only this process holds, bytes (`Private_*` of smaps_rollup, proc(5)).
pub fn private_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib: u64 = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    Some(kib * 1024)
}
