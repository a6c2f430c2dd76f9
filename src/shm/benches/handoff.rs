//! What one hand-off through the exchange costs: submit, claim, answer, notice, release. Plain timing loops, ns per request.
//!
//! `cargo bench -p ringgate-shm` measures; under `cargo test` (no `--bench` argument) it runs a few rounds so that it cannot rot.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shm::{EdgeRing, Finish, Frame, Layout, Park, Segment, SlotId, WorkerSeat};
use sys::eventfd::EventFd;

const LAYOUT: Layout = Layout {
    slots: 1024,
    rings: 1,
    workers: 16,
    request_bytes: 64 << 10,
    response_bytes: 64 << 10,
    inbound_bytes: 64 << 10,
};
const REQUEST: [u8; 300] = [b'q'; 300];
const HEAD: [u8; 80] = [b'h'; 80];
const BODY: [u8; 13] = *b"hello, world!";

fn main() {
    let requests = if std::env::args().any(|argument| argument == "--bench") {
        2_000_000
    } else {
        2_000
    };
    one_thread(requests);
    empty_claim(requests);
    ring_the_bell(requests);
    for (batch, part) in [(1, 40), (16, 8), (64, 4)] {
        two_threads("two processors", batch, requests / part, [0, 1]);
        two_threads("one processor ", batch, requests / part, [0, 0]);
    }
}

struct Side {
    edge: EdgeRing,
    segment: Arc<Segment>,
    bells: Arc<[EventFd]>,
    _fd: OwnedFd,
    slots: Vec<SlotId>,
}

impl Side {
    fn new() -> Side {
        let (fd, segment) = Segment::create(&LAYOUT).expect("memfd");
        let segment = Arc::new(segment);
        let bells = Arc::from([EventFd::new().expect("eventfd")]);
        Side {
            edge: EdgeRing::new(Arc::clone(&segment), 0),
            segment,
            bells,
            _fd: fd,
            slots: Vec::new(),
        }
    }

    fn seat(&self) -> WorkerSeat {
        WorkerSeat::attach(Arc::clone(&self.segment), 0, 1, 1, Arc::clone(&self.bells))
            .expect("seat")
    }

    fn submit(&mut self, now_ns: u64) {
        let slot = self.edge.reserve().expect("fewer requests than slots");
        self.edge.request_area(slot)[..REQUEST.len()].copy_from_slice(&REQUEST);
        assert!(self.edge.submit(slot, REQUEST.len(), now_ns));
    }

    /// Reads and releases what has come; how many responses ended.
    fn collect(&mut self) -> usize {
        let mut slots = std::mem::take(&mut self.slots);
        self.edge.dirty(|slot| slots.push(slot));
        let mut ended = 0;
        for slot in slots.drain(..) {
            while let Some(frame) = self.edge.next_frame(slot).expect("honest") {
                if frame == Frame::End {
                    self.edge.release(slot);
                    ended += 1;
                    break;
                }
            }
        }
        self.slots = slots;
        ended
    }

    /// Turns as a ring thread does until so many requests are answered; how often it blocked.
    fn turn_until(&mut self, requests: usize, batch: usize) -> u32 {
        let (mut submitted, mut done, mut blocked) = (0, 0, 0);
        while done < requests {
            let now_ns = sys::clock::monotonic_ns();
            while submitted < requests && submitted - done < batch {
                self.submit(now_ns);
                submitted += 1;
            }
            self.edge.wake_workers(now_ns);
            let park = self.edge.before_park(now_ns);
            if park != Park::Stay {
                blocked += 1;
                wait(&self.bells[0], park);
            }
            self.edge.after_park();
            done += self.collect();
        }
        blocked
    }
}

fn serve(seat: &mut WorkerSeat) -> bool {
    let Some(mut claim) = seat.try_claim() else {
        return false;
    };
    std::hint::black_box(claim.request()[0]);
    claim.write_head(&HEAD).expect("room");
    claim.write_body(&BODY);
    claim.finish(Finish::End);
    true
}

/// Wall time and processor time (of all threads) since it was made.
struct Watch {
    begin: Instant,
    cpu_ns: u64,
}

impl Watch {
    fn start() -> Watch {
        Watch {
            begin: Instant::now(),
            cpu_ns: process_cpu_ns(),
        }
    }

    fn report(&self, name: &str, requests: usize) {
        let per = |ns: u64| ns as f64 / requests as f64;
        let (wall, cpu) = (
            self.begin.elapsed().as_nanos() as u64,
            process_cpu_ns() - self.cpu_ns,
        );
        println!(
            "{name:<36} {:>8.0} ns wall {:>8.0} ns CPU",
            per(wall),
            per(cpu)
        );
    }
}

fn process_cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Both ends in one thread: the instructions alone.
fn one_thread(requests: usize) {
    for batch in [1, 16] {
        let mut side = Side::new();
        let mut seat = side.seat();
        let watch = Watch::start();
        for _ in 0..requests / batch {
            for _ in 0..batch {
                side.submit(1);
            }
            side.edge.wake_workers(1);
            while serve(&mut seat) {}
            assert_eq!(side.collect(), batch);
        }
        watch.report(&format!("both ends in one thread, batch {batch}"), requests);
    }
}

fn ring_the_bell(requests: usize) {
    let bell = EventFd::new().expect("eventfd");
    let watch = Watch::start();
    for _ in 0..requests {
        bell.ring().expect("ring");
    }
    watch.report("a ring that nobody hears", requests);
}

fn empty_claim(requests: usize) {
    let side = Side::new();
    let mut seat = side.seat();
    let watch = Watch::start();
    for _ in 0..requests {
        assert!(seat.try_claim().is_none());
    }
    watch.report("try_claim of an empty queue", requests);
}

/// A ring thread and a worker, with bells, naps and futexes as in life. `batch` requests are in flight.
fn two_threads(name: &'static str, batch: usize, requests: usize, cpus: [usize; 2]) {
    let ring_thread = std::thread::spawn(move || {
        let allowed = sys::cpu::allowed().expect("affinity");
        let cpus = cpus.map(|cpu| allowed[cpu % allowed.len()]);
        let mut side = Side::new();
        if cpus[0] == cpus[1] {
            // Before the seat is taken, so that the worker knows that it has one processor.
            sys::cpu::pin(cpus[0]).expect("pin");
            side.edge.set_eager(1);
        }
        let mut seat = side.seat();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = std::thread::spawn(move || {
            sys::cpu::pin(cpus[1]).expect("pin");
            while !stopped.load(Ordering::Relaxed) {
                if !serve(&mut seat) {
                    seat.park(Duration::from_secs(1));
                }
            }
        });
        sys::cpu::pin(cpus[0]).expect("pin");
        let watch = Watch::start();
        let blocked = side.turn_until(requests, batch);
        watch.report(&format!("{name}, {batch} in flight"), requests);
        println!(
            "{:<34} {:>8.3} per request",
            "  the ring thread blocked",
            f64::from(blocked) / requests as f64
        );
        stop.store(true, Ordering::Relaxed);
        side.segment.unpark(0);
        worker.join().expect("worker");
    });
    ring_thread.join().expect("ring thread");
}

/// What the ring does: sleep until the bell rings, or so long.
fn wait(bell: &EventFd, park: Park) {
    let timeout = match park {
        Park::Nap(ns) => Duration::from_nanos(ns),
        Park::Sleep | Park::Stay => Duration::from_secs(1),
    };
    bell.poll(Some(timeout)).expect("poll");
    bell.take().expect("take");
}
