//! The figures as people read them, and as programs do: the median of the rounds, and every round.

use crate::cases::{Outcome, Round};
use serde_json::{Value, json};
use std::fmt::Write;

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

pub fn table(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}, {} cores, kernel {}; server on {} core(s), {} connections, {} rounds of {} s, medians\n",
        outcome.machine.cpu,
        outcome.machine.cores,
        outcome.machine.kernel,
        outcome.cores,
        outcome.connections,
        outcome.rounds,
        outcome.seconds
    );
    for (case, rows) in &outcome.figures {
        let ours = rows
            .iter()
            .find(|(name, _)| name == "ringgate")
            .map(|(_, rounds)| median(rounds, |round| round.cpu_us));
        line(
            &mut text,
            format_args!(
                "\n{case:<22}{:>10}{:>10}{:>10}{:>10}{:>12}{:>10}{:>9}{:>8}",
                "req/s", "p50 ms", "p95 ms", "p99 ms", "us CPU/req", "vs ours", "RSS MiB", "errors"
            ),
        );
        for (server, rounds) in rows {
            let cpu = median(rounds, |round| round.cpu_us);
            let p95 = rounds
                .first()
                .and_then(|round| round.p95_ms)
                .map_or("-".to_owned(), |_| {
                    format!("{:.1}", median(rounds, |round| round.p95_ms.unwrap_or(0.0)))
                });
            let ratio = ours
                .filter(|&ours| ours > 0.0)
                .map_or("-".to_owned(), |ours| format!("{:.2}x", cpu / ours));
            line(
                &mut text,
                format_args!(
                    "  {server:<20}{:>10.0}{:>10.2}{p95:>10}{:>10.2}{cpu:>12.2}{ratio:>10}{:>9.0}{:>8}",
                    median(rounds, |round| round.requests_per_second),
                    median(rounds, |round| round.p50_ms),
                    median(rounds, |round| round.p99_ms),
                    median(rounds, |round| round.resident_bytes as f64) / 1048576.0,
                    rounds.iter().map(|round| round.errors).sum::<u64>(),
                ),
            );
        }
    }
    if !outcome.absent.is_empty() {
        text.push_str("\nleft out:\n");
        for reason in &outcome.absent {
            line(&mut text, format_args!("  {reason}"));
        }
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments) {
    text.write_fmt(arguments)
        .expect("a String takes everything");
    text.push('\n');
}

pub fn json(outcome: &Outcome) -> Value {
    let cases: Vec<Value> = outcome
        .figures
        .iter()
        .map(|(case, rows)| {
            let servers: Vec<Value> = rows.iter().map(|(server, rounds)| json!({ "server": server, "rounds": rounds.iter().map(round).collect::<Vec<_>>() })).collect();
            json!({ "case": case, "servers": servers })
        })
        .collect();
    json!({
        "machine": { "cpu": outcome.machine.cpu, "cores": outcome.machine.cores, "kernel": outcome.machine.kernel },
        "server_cores": outcome.cores, "connections": outcome.connections, "rounds": outcome.rounds, "seconds": outcome.seconds,
        "cases": cases, "absent": outcome.absent,
    })
}

fn round(round: &Round) -> Value {
    json!({
        "requests_per_second": round.requests_per_second, "p50_ms": round.p50_ms, "p95_ms": round.p95_ms, "p99_ms": round.p99_ms,
        "cpu_us_per_request": round.cpu_us, "resident_bytes": round.resident_bytes, "errors": round.errors,
    })
}
