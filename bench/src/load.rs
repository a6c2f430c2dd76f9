//! The closed-loop load: one `wrk` run and what it printed.

use std::path::PathBuf;
use std::process::Command;

pub struct Load<'a> {
    pub url: &'a str,
    pub connections: usize,
    pub threads: usize,
    pub seconds: u64,
    /// Cores the load generator may use.
    pub cpus: &'a [usize],
    /// A wrk script (POST bodies, pipelining).
    pub script: Option<PathBuf>,
    /// A header sent with every request.
    pub header: Option<&'a str>,
}

#[derive(Debug, PartialEq)]
pub struct Answer {
    pub requests: u64,
    pub seconds: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Answers other than 2xx/3xx, and socket errors: a figure with any of them is no figure.
    pub errors: u64,
}

pub fn run(load: &Load) -> Result<Answer, String> {
    let cpus = load
        .cpus
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let mut command = Command::new("taskset");
    command.args(["-c", &cpus, "wrk", "--latency"]);
    command
        .arg(format!("-t{}", load.threads))
        .arg(format!("-c{}", load.connections))
        .arg(format!("-d{}s", load.seconds));
    if let Some(script) = &load.script {
        command.arg("-s").arg(script);
    }
    if let Some(header) = load.header {
        command.arg("-H").arg(header);
    }
    let output = command
        .arg(load.url)
        .output()
        .map_err(|error| format!("cannot run wrk (is it installed?): {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!(
            "wrk failed: {}{}",
            text,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    parse(&text).ok_or_else(|| format!("wrk printed something unknown:\n{text}"))
}

fn parse(text: &str) -> Option<Answer> {
    let percentile = |name: &str| {
        text.lines()
            .find_map(|line| milliseconds(line.trim().strip_prefix(name)?.trim()))
    };
    let totals = text
        .lines()
        .find(|line| line.contains(" requests in "))?
        .trim();
    let (requests, rest) = totals.split_once(" requests in ")?;
    let seconds = milliseconds(rest.split(',').next()?.trim())? / 1000.0;
    let mut errors = 0;
    for line in text.lines() {
        if let Some(count) = line.trim().strip_prefix("Non-2xx or 3xx responses: ") {
            errors += count.trim().parse::<u64>().ok()?;
        }
        if let Some(kinds) = line.trim().strip_prefix("Socket errors: ") {
            errors += kinds
                .split(',')
                .filter_map(|kind| kind.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum::<u64>();
        }
    }
    Some(Answer {
        requests: requests.parse().ok()?,
        seconds,
        p50_ms: percentile("50%")?,
        p99_ms: percentile("99%")?,
        errors,
    })
}

/// wrk's durations: `412.00us`, `1.20ms`, `2.00s`, `1.5m`.
fn milliseconds(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let value: f64 = text[..split].parse().ok()?;
    match &text[split..] {
        "us" => Some(value / 1000.0),
        "ms" => Some(value),
        "s" => Some(value * 1000.0),
        "m" => Some(value * 60_000.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_output() {
        let text = "Running 4s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Latency Distribution\n     50%  480.00us\n     75%  600.00us\n     90%    1.10ms\n     99%    2.20ms\n  420368 requests in 4.01s, 50.00MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 4\nRequests/sec: 105092.00\n";
        assert_eq!(
            parse(text),
            Some(Answer {
                requests: 420_368,
                seconds: 4.01,
                p50_ms: 0.48,
                p99_ms: 2.2,
                errors: 7
            })
        );
    }
}
