//! Prints what single kernel operations cost on this machine, in nanoseconds: the numbers of `kernel-notes/`.

use io_uring::{IoUring, opcode, squeue, types};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Instant;

const ROUNDS: u32 = 20_000;

fn main() {
    let ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4096)
        .build(256)
        .expect("a ring");
    let mut submitter = ring.submitter();
    submitter.register_ring_fd().expect("a registered ring");
    let bench = Bench {
        submitter,
        ring: &ring,
    };

    bench.time("nop, one per enter", 1, |_| opcode::Nop::new().build());
    bench.time("nop, 64 per enter", 64, |_| opcode::Nop::new().build());
    bench.timeout("nop, one per enter that may wait 75 s", 75);
    let file = std::fs::File::open("/proc/self/exe").expect("ourselves");
    let duplicate = || file.try_clone().expect("a descriptor").into_raw_fd();
    bench.time("dup + ring close, 64 per enter", 64, |_| {
        opcode::Close::new(types::Fd(duplicate())).build()
    });
    let start = Instant::now();
    for _ in 0..ROUNDS {
        // SAFETY: just duplicated, owned by nobody else.
        drop(unsafe { OwnedFd::from_raw_fd(duplicate()) });
    }
    print("dup + close(2)", start, ROUNDS);
    let bell = sys::eventfd::EventFd::new().expect("an eventfd");
    let start = Instant::now();
    for _ in 0..ROUNDS {
        bell.ring().expect("a ring of the bell");
    }
    print("eventfd write, nobody listening", start, ROUNDS);
    let (left, _right) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let fd = types::Fd(left.as_raw_fd());
    bench.time(
        "poll armed + cancelled, 32 pairs per enter",
        64,
        |index| match index % 2 {
            0 => opcode::PollAdd::new(fd, sys::transfer::POLL_READABLE)
                .build()
                .user_data(u64::from(index) + 1),
            _ => opcode::AsyncCancel::new(u64::from(index)).build(),
        },
    );
    let start = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(sys::clock::monotonic_ns());
    }
    print("clock_gettime (vDSO)", start, ROUNDS);
    bench.time("shutdown through the ring, one per enter", 1, |_| {
        opcode::Shutdown::new(fd, 1).build()
    });
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let _result = left.shutdown(std::net::Shutdown::Write);
    }
    print("shutdown(2)", start, ROUNDS);
}

struct Bench<'a> {
    submitter: io_uring::Submitter<'a>,
    ring: &'a IoUring,
}

impl Bench<'_> {
    fn time(&self, what: &str, batch: u32, mut entry: impl FnMut(u32) -> squeue::Entry) {
        let start = Instant::now();
        for _ in 0..ROUNDS / batch {
            for index in 0..batch {
                // SAFETY: nothing here points at memory; one thread, one view at a time.
                unsafe { self.ring.submission_shared().push(&entry(index)) }.expect("room");
            }
            self.submitter
                .submit_and_wait(batch as usize)
                .expect("enter");
            // SAFETY: one thread, one view at a time.
            unsafe { self.ring.completion_shared() }.for_each(drop);
        }
        print(what, start, ROUNDS / batch * batch);
    }

    fn timeout(&self, what: &str, seconds: u64) {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            // SAFETY: a nop points at no memory; one thread, one view at a time.
            unsafe {
                self.ring
                    .submission_shared()
                    .push(&opcode::Nop::new().build())
            }
            .expect("room");
            let timeout = types::Timespec::new().sec(seconds);
            let arguments = types::SubmitArgs::new().timespec(&timeout);
            self.submitter
                .submit_with_args(1, &arguments)
                .expect("enter");
            // SAFETY: one thread, one view at a time.
            unsafe { self.ring.completion_shared() }.for_each(drop);
        }
        print(what, start, ROUNDS);
    }
}

fn print(what: &str, start: Instant, count: u32) {
    println!(
        "{:>8.0} ns  {what}",
        start.elapsed().as_nanos() as f64 / f64::from(count)
    );
}
