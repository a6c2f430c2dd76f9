//! The ideal central queue, simulated: what the fast requests of the mixed case would meet if every free worker took the next request at once and
//! nothing but the application took time. The measure for all servers, computed from the same arrivals.

use crate::openloop::{Latencies, Mix, arrivals, summary};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub fn run(mix: &Mix, workers: usize, fast_ms: f64, slow_ms: f64) -> Latencies {
    let mut latencies = Vec::new();
    // When each worker is free again, in microseconds, soonest first.
    let mut free: BinaryHeap<Reverse<u64>> = (0..workers).map(|_| Reverse(0)).collect();
    for arrival in arrivals(mix) {
        let at = (arrival.at_seconds * 1e6) as u64;
        let Some(Reverse(worker)) = free.pop() else {
            break;
        };
        let took_ms = if arrival.slow { slow_ms } else { fast_ms };
        let end = worker.max(at) + (took_ms * 1000.0) as u64;
        free.push(Reverse(end));
        if !arrival.slow {
            latencies.push((end - at) as f64 / 1000.0);
        }
    }
    summary(latencies, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(requests_per_second: f64) -> Mix {
        Mix {
            port: 0,
            connections: 1,
            requests_per_second,
            seconds: 10,
            slow_share: 0.05,
            seed: 3,
        }
    }

    #[test]
    fn nobody_waits_where_there_is_room_and_everybody_where_there_is_none() {
        let calm = run(&mix(1.0), 4, 5.0, 200.0);
        assert_eq!((calm.p50_ms, calm.p99_ms), (5.0, 5.0));
        let busy = run(&mix(2000.0), 4, 5.0, 200.0);
        assert!(busy.p50_ms > 1000.0, "{busy:?}");
        let wide = run(&mix(2000.0), 400, 5.0, 200.0);
        assert_eq!(wide.p99_ms, 5.0);
    }
}
