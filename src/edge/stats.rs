//! Counters of one ring thread: written by that thread alone, read by the control thread at any time.
//!
//! A single writer needs no locked instruction: an update is a relaxed load and a relaxed store. Readers see each counter
//! whole, never a consistent set; sums may be off by what is in flight.

use shm::WorkerId;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// First and last status code counted one by one; anything else falls into `other`.
const CODE_FIRST: u16 = 100;
const CODE_LAST: u16 = 599;
const CODES: usize = (CODE_LAST - CODE_FIRST + 1) as usize;

/// Buckets of a time histogram: bucket i holds durations below 2^i microseconds, the last one everything longer (16 s and up).
pub const BUCKETS: usize = 25;

#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
    max_ns: Counter,
}

impl Histogram {
    pub fn record(&self, ns: u64) {
        let us = ns / 1000;
        let bucket = (64 - us.leading_zeros() as usize).min(BUCKETS - 1);
        self.buckets[bucket].add(1);
        self.sum_ns.add(ns);
        if ns > self.max_ns.value() {
            self.max_ns.set(ns);
        }
    }

    fn clear(&self) {
        self.buckets.iter().for_each(|bucket| bucket.set(0));
        self.sum_ns.set(0);
        self.max_ns.set(0);
    }

    pub fn bucket(&self, index: usize) -> u64 {
        self.buckets.get(index).map_or(0, Counter::value)
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::value).sum()
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.value()
    }

    pub fn max_ns(&self) -> u64 {
        self.max_ns.value()
    }
}

/// The requests of one worker, as this ring thread sees them: of the life that it answered last.
#[derive(Debug, Default)]
pub struct WorkerStats {
    incarnation: Counter,
    queue_time: Histogram,
}

impl WorkerStats {
    fn record(&self, incarnation: u16, queue_ns: u64) {
        let incarnation = u64::from(incarnation);
        if self.incarnation.value() != incarnation {
            // Whoever reads meanwhile sees a little of both.
            self.queue_time.clear();
            self.incarnation.set(incarnation);
        }
        self.queue_time.record(queue_ns);
    }

    /// Submitted to claimed; `None` if nothing of this life was answered here.
    pub fn queue_time(&self, incarnation: u16) -> Option<&Histogram> {
        (self.incarnation.value() == u64::from(incarnation)).then_some(&self.queue_time)
    }
}

/// One app, as this ring thread sees it.
#[derive(Debug, Default)]
pub struct AppStats {
    /// Requests handed to the exchange.
    pub requests: Counter,
    /// Requests in the exchange now: queued or running.
    pub in_flight: Counter,
    /// Refused for want of room or of workers (503).
    pub refused: Counter,
    /// Clients that left before the answer (499).
    pub abandoned: Counter,
    /// 502: worker died, or wrote what is no answer.
    pub broken: Counter,
    /// 504 and 503 by deadline.
    pub timed_out: Counter,
    /// WebSockets that are open.
    pub websockets_open: Counter,
    /// WebSockets that apps have accepted.
    pub websockets: Counter,
    /// Submitted to claimed.
    pub queue_time: Histogram,
    /// Claimed to last byte from the worker.
    pub app_time: Histogram,
    /// By seat; made when the seat answers for the first time.
    workers: Workers,
}

#[derive(Debug)]
struct Workers(Box<[OnceLock<Box<WorkerStats>>]>);

impl Default for Workers {
    fn default() -> Workers {
        let seats = (0..shm::layout::WORKERS_MAX).map(|_| OnceLock::new());
        Workers(seats.collect())
    }
}

impl AppStats {
    /// A request that this worker took is over.
    pub fn served(&self, worker: WorkerId, queue_ns: u64) {
        if let Some(place) = self.workers.0.get(usize::from(worker.index)) {
            let stats = place.get_or_init(Box::default);
            stats.record(worker.incarnation, queue_ns);
        }
    }

    pub fn worker(&self, index: u16) -> Option<&WorkerStats> {
        self.workers
            .0
            .get(usize::from(index))?
            .get()
            .map(|stats| &**stats)
    }
}

/// One ring thread.
#[derive(Debug)]
pub struct RingStats {
    pub connections_open: Counter,
    pub connections_accepted: Counter,
    /// Closed at once: over the limit of connections.
    pub connections_refused: Counter,
    /// Connections with a request in work.
    pub connections_active: Counter,
    pub requests: Counter,
    /// Requests answered from the static files.
    pub static_requests: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    /// Accept refused by the kernel (descriptors, memory) and backed off.
    pub accept_failures: Counter,
    /// Turns of the loop, and the longest one.
    pub turns: Counter,
    pub turn_max_ns: Counter,
    codes: Box<[Counter]>,
    other_codes: Counter,
    pub apps: Box<[AppStats]>,
}

impl RingStats {
    pub fn new(apps: usize) -> Self {
        Self {
            connections_open: Counter::default(),
            connections_accepted: Counter::default(),
            connections_refused: Counter::default(),
            connections_active: Counter::default(),
            requests: Counter::default(),
            static_requests: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            accept_failures: Counter::default(),
            turns: Counter::default(),
            turn_max_ns: Counter::default(),
            codes: (0..CODES).map(|_| Counter::default()).collect(),
            other_codes: Counter::default(),
            apps: (0..apps).map(|_| AppStats::default()).collect(),
        }
    }

    /// Counts one answered request.
    pub fn answered(&self, status: u16) {
        self.requests.add(1);
        match self.codes.get(usize::from(status.wrapping_sub(CODE_FIRST))) {
            Some(code) => code.add(1),
            None => self.other_codes.add(1),
        }
    }

    /// The codes seen so far, with how often.
    pub fn codes(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (CODE_FIRST..)
            .zip(self.codes.iter().map(Counter::value))
            .filter(|(_, n)| *n > 0)
    }

    /// Answers with a code beyond 599.
    pub fn other_codes(&self) -> u64 {
        self.other_codes.value()
    }

    /// Answers of one class: 1 for 1xx ... 5 for 5xx.
    pub fn class(&self, class: u16) -> u64 {
        self.codes()
            .filter(|(code, _)| code / 100 == class)
            .map(|(_, n)| n)
            .sum()
    }
}
