//! Death by `kill -9`, with real processes: workers under load, and the edge. The helper processes are this test executable itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shm::{EdgeRing, Finish, Frame, Layout, Park, Segment, SlotId, WorkerSeat};
use sys::eventfd::EventFd;

const LAYOUT: Layout = Layout {
    slots: 32,
    rings: 1,
    workers: 4,
    request_bytes: 4096,
    response_bytes: 4096,
    inbound_bytes: 4096,
};
/// What a helper process is to be: `worker INDEX INCARNATION` or `edge`.
const ROLE: &str = "RINGGATE_SHM_TEST_ROLE";

/// Starts this executable as a helper: the segment is its standard input, the doorbell its standard error (the harness writes to stdout only).
fn helper(role: &str, segment: &OwnedFd, bell: &EventFd) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_process", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::from(segment.try_clone().unwrap()))
        .stderr(Stdio::from(bell.try_clone().unwrap().into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test: where helpers begin.
#[test]
fn helper_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let segment = Segment::attach(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    let bell = EventFd::from_fd(std::io::stderr().as_fd().try_clone_to_owned().unwrap());
    let parent = std::os::unix::process::parent_id();
    let orphaned = || std::os::unix::process::parent_id() != parent;
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["worker", index, incarnation] => {
            let (index, incarnation) = (index.parse().unwrap(), incarnation.parse().unwrap());
            let seat =
                WorkerSeat::attach(Arc::new(segment), index, incarnation, 1, Arc::from([bell]))
                    .unwrap();
            work(seat, &orphaned);
        }
        ["edge"] => {
            let mut ring = Ring::new(Arc::new(segment), bell);
            while !orphaned() {
                ring.turn(16);
            }
        }
        _ => panic!("{role}"),
    }
}

fn work(mut seat: WorkerSeat, stop: &dyn Fn() -> bool) {
    while !stop() {
        let Some(mut claim) = seat.try_claim() else {
            seat.park(Duration::from_millis(500));
            continue;
        };
        let id = claim.request().to_vec();
        claim.write_head(&id).unwrap();
        // Longer than the ring, so that workers are killed while they wait for room, too.
        let body = id.repeat(if id[0] % 8 == 0 { 3000 } else { 10 });
        let mut written = 0;
        while written < body.len() && !claim.cancelled() {
            written += claim.write_body(&body[written..]);
            if written < body.len() {
                claim.wait_space(Duration::from_millis(500));
            }
        }
        let how = if written == body.len() {
            Finish::End
        } else {
            Finish::Abort
        };
        claim.finish(how);
    }
}

struct Ring {
    edge: EdgeRing,
    bell: EventFd,
    running: Vec<Option<(u64, Vec<u8>)>>,
    next: u64,
    open: usize,
    answered: u64,
    failed: u64,
}

impl Ring {
    fn new(segment: Arc<Segment>, bell: EventFd) -> Ring {
        let edge = EdgeRing::new(segment, 0);
        let running = (0..edge.capacity()).map(|_| None).collect();
        Ring {
            edge,
            bell,
            running,
            next: 0,
            open: 0,
            answered: 0,
            failed: 0,
        }
    }

    /// One turn: keeps `want` requests open, sleeps if there is nothing to do, reads what has come.
    fn turn(&mut self, want: usize) {
        let now_ns = sys::clock::monotonic_ns();
        while self.open < want {
            let Some(slot) = self.edge.reserve() else {
                break;
            };
            self.edge.request_area(slot)[..8].copy_from_slice(&self.next.to_le_bytes());
            assert!(self.edge.submit(slot, 8, now_ns));
            self.running[slot.index()] = Some((self.next, Vec::new()));
            self.next += 1;
            self.open += 1;
        }
        self.edge.wake_workers(now_ns);
        match self.edge.before_park(sys::clock::monotonic_ns()) {
            Park::Stay => {}
            // The test itself is the supervisor and must look at its processes now and then.
            Park::Nap(_) | Park::Sleep => {
                self.bell.poll(Some(Duration::from_micros(200))).unwrap();
                self.bell.take().unwrap();
            }
        }
        self.edge.after_park();
        let mut dirty = Vec::new();
        self.edge.dirty(|slot| dirty.push(slot));
        dirty.into_iter().for_each(|slot| self.read(slot));
    }

    fn read(&mut self, slot: SlotId) {
        let (id, got) = self.running[slot.index()].as_mut().expect("ours");
        let id = id.to_le_bytes();
        loop {
            match self.edge.next_frame(slot).unwrap() {
                None => return,
                Some(Frame::Head(head)) => assert_eq!(head, id),
                Some(Frame::Body(chunk)) => {
                    got.extend_from_slice(self.edge.bytes(slot, chunk));
                    self.edge.consume(slot, chunk.mark());
                }
                Some(Frame::End) => {
                    assert!(
                        got.chunks(8).all(|part| part == id) && !got.is_empty(),
                        "whole and its own"
                    );
                    self.answered += 1;
                    break;
                }
                Some(Frame::Abort) => {
                    self.failed += 1;
                    break;
                }
                Some(other) => panic!("{other:?}"),
            }
        }
        self.edge.release(slot);
        self.running[slot.index()] = None;
        self.open -= 1;
    }
}

fn exchange() -> (OwnedFd, Arc<Segment>, EventFd) {
    let (fd, segment) = Segment::create(&LAYOUT).unwrap();
    (fd, Arc::new(segment), EventFd::new().unwrap())
}

#[test]
fn killed_workers_cost_only_what_they_were_running() {
    let (fd, segment, bell) = exchange();
    let mut ring = Ring::new(segment, bell.try_clone().unwrap());
    let mut incarnations = [1u16; 3];
    let start = |index: usize, incarnation: u16| {
        helper(&format!("worker {index} {incarnation}"), &fd, &bell)
    };
    let mut workers: Vec<Child> = (0..3).map(|index| start(index, 1)).collect();
    (0..3).for_each(|index| ring.edge.worker_up(index, 1));
    let kills = 24;
    for kill in 0..kills {
        let target = ring.answered + 50 + kill * 37 % 300;
        while ring.answered < target {
            ring.turn(16);
        }
        let victim = kill as usize * 7 % 3;
        workers[victim].kill().unwrap();
        workers[victim].wait().unwrap();
        let died = ring.edge.worker_gone(victim as u16, incarnations[victim]);
        assert!(died.len() <= 1, "a worker runs one request at a time");
        died.into_iter().for_each(|slot| ring.read(slot));
        incarnations[victim] += 1;
        workers[victim] = start(victim, incarnations[victim]);
        ring.edge.worker_up(victim as u16, incarnations[victim]);
    }
    while ring.open > 0 {
        ring.turn(0);
    }
    assert_eq!(
        ring.answered + ring.failed,
        ring.next,
        "every request had an answer"
    );
    assert!(ring.failed <= kills, "{} failed", ring.failed);
    assert_eq!(ring.edge.in_use(), 0);
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}

#[test]
fn a_killed_edge_leaves_an_exchange_that_the_next_one_takes_over() {
    let (fd, segment, bell) = exchange();
    let stop = AtomicBool::new(false);
    let bells: Arc<[EventFd]> = Arc::from([bell.try_clone().unwrap()]);
    std::thread::scope(|scope| {
        for index in 0..3 {
            let seat =
                WorkerSeat::attach(Arc::clone(&segment), index, 1, 1, Arc::clone(&bells)).unwrap();
            let stop = &stop;
            scope.spawn(move || work(seat, &|| stop.load(Ordering::SeqCst)));
        }
        for round in 0..12 {
            let mut edge = helper("edge", &fd, &bell);
            let served = || {
                segment
                    .workers()
                    .iter()
                    .map(|worker| worker.served)
                    .sum::<u64>()
            };
            let target = served() + 200 + round * 31;
            while served() < target {
                std::thread::yield_now();
            }
            edge.kill().unwrap();
            edge.wait().unwrap();
            let mut ring = Ring::new(Arc::clone(&segment), bell.try_clone().unwrap());
            (0..3).for_each(|index| ring.edge.worker_up(index, 1));
            ring.edge.settle();
            while ring.answered < 300 {
                ring.turn(16);
            }
            while ring.open > 0 || ring.edge.in_use() > 0 {
                ring.turn(0);
            }
            assert_eq!((ring.failed, ring.answered), (0, ring.next));
        }
        stop.store(true, Ordering::SeqCst);
        (0..3).for_each(|index| segment.unpark(index));
    });
}
