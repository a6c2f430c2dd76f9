//! What a running ringgate holds at one moment: by the kernel's account for its processes, by its own for requests and connections.

use crate::tree::{self, Tree};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

pub const ROLES: [&str; 4] = ["supervisor", "edge", "hosts", "workers"];

/// What the processes of one role hold together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Holding {
    pub processes: usize,
    pub private_bytes: u64,
    pub threads: usize,
    /// By kind: `socket`, `anon_inode:[eventfd]`, `file` and so on.
    pub descriptors: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub at_s: f64,
    /// As in `ROLES`.
    pub holdings: [Holding; 4],
    pub zombies: usize,
    pub requests: u64,
    pub connections: u64,
    pub apps: Vec<App>,
}

#[derive(Clone, Debug, Default)]
pub struct App {
    pub name: String,
    pub queue_length: u64,
    pub in_flight: u64,
    pub websockets: u64,
    /// Requests that its workers say they run.
    pub running: u64,
}

impl Sample {
    pub fn take(supervisor: i32, status: &Value, at_s: f64) -> Sample {
        let tree = tree::read(supervisor);
        let number = |value: &Value, path: &str| {
            let found = value.pointer(path).and_then(Value::as_u64);
            found.unwrap_or(0)
        };
        let list = |value: &Value, key: &str| -> Vec<Value> {
            let found = value.get(key).and_then(Value::as_array);
            found.cloned().unwrap_or_default()
        };
        let apps = list(status, "apps").into_iter().map(|app| App {
            name: app["name"].as_str().unwrap_or_default().to_owned(),
            queue_length: number(&app, "/queue_length"),
            in_flight: number(&app, "/in_flight"),
            websockets: number(&app, "/websockets_open"),
            running: list(&app, "workers")
                .iter()
                .map(|worker| number(worker, "/running"))
                .sum(),
        });
        Sample {
            at_s,
            zombies: tree.zombies,
            holdings: holdings(supervisor, &tree),
            requests: number(status, "/requests/total"),
            connections: number(status, "/connections/open"),
            apps: apps.collect(),
        }
    }
}

fn holdings(supervisor: i32, tree: &Tree) -> [Holding; 4] {
    let edge: Vec<i32> = tree.edge.into_iter().collect();
    [&[supervisor][..], &edge, &tree.hosts, &tree.workers].map(|pids| {
        let mut all = Holding::default();
        for &pid in pids {
            all.processes += 1;
            all.private_bytes += private_dirty_bytes(pid).unwrap_or(0);
            all.threads += entries(&format!("/proc/{pid}/task")).count();
            for descriptor in entries(&format!("/proc/{pid}/fd")) {
                // One that is closed meanwhile has no name any more.
                if let Ok(target) = fs::read_link(descriptor.path()) {
                    let kind = kind_of(&target.to_string_lossy());
                    *all.descriptors.entry(kind).or_default() += 1;
                }
            }
        }
        all
    })
}

/// What the process has written and nobody else holds. Without clean pages, which are its own as soon as it is the only one of its program.
fn private_dirty_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn entries(directory: &str) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

/// proc(5): `socket:[1234]`, `anon_inode:[eventfd]`, `/memfd:name (deleted)`, else a path.
fn kind_of(target: &str) -> String {
    match target.split_once(':') {
        Some((kind @ ("socket" | "pipe"), _)) => kind.to_owned(),
        Some(("anon_inode" | "/memfd", _)) => target.to_owned(),
        _ => "file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_kinds_without_numbers() {
        let kinds = [
            "socket:[81]",
            "pipe:[7]",
            "anon_inode:[eventfd]",
            "/srv/a:b",
        ];
        let expected = ["socket", "pipe", "anon_inode:[eventfd]", "file"];
        assert_eq!(kinds.map(kind_of), expected);
    }
}
