//! The status document: what `ringgate status` shows and monitoring reads.
//!
//! Pure over the world it is given, but for the look at its processes' memory; owns the document's shape. Numbers come from counters that ring threads write meanwhile, so
//! sums may be off by what is in flight. Names end in their unit; times are seconds, as floating point.

use super::world::{RingHandle, World};
use crate::stats::{BUCKETS, Histogram};
use serde_json::{Map, Value, json};
use shm::{WorkerId, WorkerStatus};
use std::collections::HashMap;

/// Everything, as one JSON object.
pub fn document(world: &World) -> Value {
    look_at_memory(world);
    let now_ns = sys::clock::monotonic_ns();
    let rings = &world.rings;
    let sum = |field: &dyn Fn(&RingHandle) -> u64| rings.iter().map(field).sum::<u64>();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "edge": {
            "pid": std::process::id(),
            "epoch": world.epoch,
            "uptime_s": seconds(now_ns.saturating_sub(world.started_ns)),
            "state": state(world),
        },
        "listeners": world.listeners.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "processes": world.processes,
        "apps": (0..world.config.apps.len()).map(|app| app_document(world, app, now_ns)).collect::<Vec<_>>(),
        "statics": world.config.statics,
        "connections": {
            "open": sum(&|ring| ring.stats.connections_open.value()),
            "active": sum(&|ring| ring.stats.connections_active.value()),
            "accepted": sum(&|ring| ring.stats.connections_accepted.value()),
            "refused": sum(&|ring| ring.stats.connections_refused.value()),
            "accept_failures": sum(&|ring| ring.stats.accept_failures.value()),
        },
        "requests": {
            "total": sum(&|ring| ring.stats.requests.value()),
            "static": sum(&|ring| ring.stats.static_requests.value()),
            "by_status": by_status(rings),
            "bytes_in": sum(&|ring| ring.stats.bytes_in.value()),
            "bytes_out": sum(&|ring| ring.stats.bytes_out.value()),
        },
        "rings": rings.iter().enumerate().map(|(index, ring)| ring_document(index, ring)).collect::<Vec<_>>(),
        "log": { "lost_lines": world.lost.lines },
        "statsd": { "lost_answers": world.lost.answers },
    })
}

fn state(world: &World) -> &'static str {
    match () {
        () if world.draining => "draining",
        () if !world.rings.iter().all(|ring| ring.up) => "starting",
        () if world.accepting => "accepting",
        () => "waiting",
    }
}

fn by_status(rings: &[RingHandle]) -> Value {
    let mut codes = std::collections::BTreeMap::<u16, u64>::new();
    for ring in rings {
        for (code, count) in ring.stats.codes() {
            *codes.entry(code).or_default() += count;
        }
    }
    let mut document: Map<String, Value> = codes
        .into_iter()
        .map(|(code, count)| (code.to_string(), json!(count)))
        .collect();
    let other: u64 = rings.iter().map(|ring| ring.stats.other_codes()).sum();
    if other > 0 {
        document.insert("other".into(), json!(other));
    }
    Value::Object(document)
}

fn ring_document(index: usize, ring: &RingHandle) -> Value {
    let stats = &ring.stats;
    json!({
        "index": index,
        "turns": stats.turns.value(),
        "turn_max_s": seconds(stats.turn_max_ns.value()),
        "connections": stats.connections_open.value(),
        "requests": stats.requests.value(),
        "bytes_out": stats.bytes_out.value(),
    })
}

fn app_document(world: &World, app: usize, now_ns: u64) -> Value {
    let configured = &world.config.apps[app];
    let view = &world.snapshot.apps[app];
    let stats: Vec<_> = world
        .rings
        .iter()
        .filter_map(|ring| ring.stats.apps.get(app))
        .collect();
    let sum = |field: &dyn Fn(&crate::stats::AppStats) -> u64| {
        stats.iter().map(|app| field(app)).sum::<u64>()
    };
    let mut generations: Vec<u32> = view
        .workers
        .iter()
        .map(|worker| worker.generation)
        .collect();
    generations.sort_unstable();
    generations.dedup();
    json!({
        "name": configured.name,
        "mount": configured.mount,
        "target": configured.target,
        "state": view.state,
        "message": view.message,
        "generations": generations,
        "replacement": replacement(world, app, now_ns),
        "queue_length": world.segments[app].as_ref().map(|segment| segment.queue_len()),
        "requests": sum(&|app| app.requests.value()),
        "in_flight": sum(&|app| app.in_flight.value()),
        "refused": sum(&|app| app.refused.value()),
        "abandoned": sum(&|app| app.abandoned.value()),
        "broken": sum(&|app| app.broken.value()),
        "timed_out": sum(&|app| app.timed_out.value()),
        "websockets_open": sum(&|app| app.websockets_open.value()),
        "websockets": sum(&|app| app.websockets.value()),
        "queue_time": times(stats.iter().map(|app| &app.queue_time)),
        "app_time": times(stats.iter().map(|app| &app.app_time)),
        "workers": workers(world, app, now_ns),
    })
}

/// Why a worker or host of the app was last replaced, other than by a reload, and how long ago.
fn replacement(world: &World, app: usize, now_ns: u64) -> Option<Value> {
    let apps = world.processes.get("apps")?;
    let replacement = apps.get(app)?.get("replacement")?;
    let at_ns = replacement
        .get("at_ms")?
        .as_u64()?
        .saturating_mul(1_000_000);
    Some(json!({
        "reason": replacement.get("reason")?,
        "ago_s": seconds(now_ns.saturating_sub(at_ns)),
    }))
}

/// Workers as the supervisor knows them, with what their records in the exchange say: written by the app's process, so
/// believed for display only.
fn workers(world: &World, app: usize, now_ns: u64) -> Value {
    let segment = world.segments[app].as_ref();
    let memory = memory(world, app);
    let rings = || {
        world
            .rings
            .iter()
            .filter_map(|ring| ring.stats.apps.get(app))
    };
    world.snapshot.apps[app]
        .workers
        .iter()
        .map(|worker| {
            let mut document = json!({
                "index": worker.index,
                "incarnation": worker.incarnation,
                "generation": worker.generation,
                "pid": worker.pid,
                "kind": worker.kind,
                "interface": worker.interface,
                "state": "starting",
                "age_s": seconds(now_ns.saturating_sub(worker.up_ns)),
                "memory": memory.get(&worker.pid),
                "queue_time": times(rings().filter_map(|app| app.worker(worker.index)?.queue_time(worker.incarnation))),
            });
            let record = segment.and_then(|segment| segment.worker(worker.index));
            if let Some(record) = record.filter(|record| record.incarnation == worker.incarnation) {
                document["state"] = match (record.status, record.slot) {
                    (WorkerStatus::Empty, _) => "starting".into(),
                    (_, Some(_)) => "running".into(),
                    (_, None) if record.draining => "draining".into(),
                    (_, None) => "idle".into(),
                };
                document["since_s"] = json!(seconds(now_ns.saturating_sub(record.since_ns)));
                document["served"] = json!(record.served);
                document["running"] = json!(if record.looped { record.running } else { u32::from(record.slot.is_some()) });
                let id = WorkerId {
                    index: worker.index,
                    incarnation: worker.incarnation,
                };
                let request = segment
                    .zip(record.slot)
                    .and_then(|(segment, slot)| segment.request_line(slot, id));
                // It may be shown on a terminal, and the app's process can write there.
                document["request"] =
                    json!(request.map(|text| text.replace(char::is_control, "?")));
            }
            document
        })
        .collect()
}

/// By process, the share of one worker: interpreters and threads have a process in common, which nobody can tell apart.
fn memory(world: &World, app: usize) -> HashMap<u32, Value> {
    let mut processes = HashMap::<u32, u64>::new();
    for worker in &world.snapshot.apps[app].workers {
        *processes.entry(worker.pid).or_default() += 1;
    }
    let memory = world.memory.borrow();
    let shares = processes.into_iter().filter_map(|(pid, workers)| {
        let memory = memory.of(pid)?;
        let document = json!({
            "private_bytes": memory.private_bytes / workers,
            "proportional_bytes": memory.proportional_bytes / workers,
            "resident_bytes": memory.resident_bytes / workers,
            "workers": workers,
        });
        Some((pid, document))
    });
    shares.collect()
}

/// Looks at the memory of all workers, as far as that is due.
fn look_at_memory(world: &World) {
    let apps = world.snapshot.apps.iter();
    let mut pids: Vec<u32> = apps
        .flat_map(|app| app.workers.iter().map(|worker| worker.pid))
        .collect();
    pids.sort_unstable();
    pids.dedup();
    let mut memory = world.memory.borrow_mut();
    memory.look(&pids, sys::clock::monotonic_ns, sys::process::memory_shares);
}

/// Several rings' histograms of one thing as count, mean, percentiles (upper bounds of their buckets) and maximum.
fn times<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Value {
    let mut buckets = [0u64; BUCKETS];
    let (mut sum_ns, mut max_ns) = (0u64, 0u64);
    for histogram in histograms {
        for (index, bucket) in buckets.iter_mut().enumerate() {
            *bucket += histogram.bucket(index);
        }
        sum_ns += histogram.sum_ns();
        max_ns = max_ns.max(histogram.max_ns());
    }
    let count: u64 = buckets.iter().sum();
    let percentile = |per_mille: u64| seconds(quantile_ns(&buckets, count, per_mille).min(max_ns));
    json!({
        "count": count,
        "mean_s": seconds(sum_ns.checked_div(count).unwrap_or(0)),
        "p50_s": percentile(500),
        "p95_s": percentile(950),
        "p99_s": percentile(990),
        "max_s": seconds(max_ns),
    })
}

/// The upper bound of the bucket in which the given share of the counts is reached. Bucket i holds less than 2^i us.
fn quantile_ns(buckets: &[u64; BUCKETS], count: u64, per_mille: u64) -> u64 {
    let wanted = (count * per_mille).div_ceil(1000);
    let mut seen = 0;
    for (index, bucket) in buckets.iter().enumerate() {
        seen += bucket;
        if seen >= wanted && seen > 0 {
            return if index == BUCKETS - 1 {
                u64::MAX
            } else {
                (1 << index) * 1000
            };
        }
    }
    0
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_bounded_by_what_was_seen() {
        let histogram = Histogram::default();
        for _ in 0..99 {
            histogram.record(3_000); // 3 us: below 4
        }
        histogram.record(50_000_000);
        let document = times([&histogram].into_iter());
        assert_eq!(document["count"], 100);
        assert_eq!(document["p50_s"], 4e-6);
        assert_eq!(document["p99_s"], 4e-6);
        assert_eq!(document["max_s"], 0.05);
        let none = times(std::iter::empty());
        assert_eq!(none["p99_s"], 0.0);
        assert_eq!(none["mean_s"], 0.0);
    }
}
