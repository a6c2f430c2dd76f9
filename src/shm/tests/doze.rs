//! When the ring thread may be deaf, and whether answers wait for each other meanwhile. In virtual time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use std::cell::Cell;

use harness::{Pair, answer};
use shm::{Park, Wake, WorkerSeat};
use sys::eventfd::EventFd;

thread_local!(static NOW_NS: Cell<u64> = const { Cell::new(1_000_000) });

fn now_ns() -> u64 {
    NOW_NS.get()
}

fn pass(ns: u64) {
    NOW_NS.set(now_ns() + ns);
}

fn start() -> (Pair, WorkerSeat) {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    worker.set_clock(now_ns);
    pair.dirty();
    (pair, worker)
}

/// Keeps one request waiting and answers `count`, each after `ns`.
fn serve(pair: &mut Pair, worker: &mut WorkerSeat, count: usize, ns: u64) {
    for _ in 0..count {
        pair.now_ns = now_ns();
        let slot = pair.submit(b"x");
        let claim = worker.try_claim().unwrap();
        pass(ns);
        answer(claim, b"y");
        assert_eq!(pair.dirty(), [slot]);
        assert_eq!(pair.read(slot), "[200]y.");
        pair.edge.release(slot);
    }
}

#[test]
fn a_slow_app_is_not_napped_for() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 50, 5_000);
    pair.submit(b"a");
    assert!(matches!(pair.edge.before_park(now_ns()), Park::Nap(_)));
    pair.edge.after_park();
    let claim = worker.try_claim().unwrap();
    pass(1_000_000);
    answer(claim, b"y");
    let slots = pair.dirty();
    pair.edge.release(slots[0]);
    serve(&mut pair, &mut worker, 1, 5_000);
    pair.submit(b"b");
    assert_eq!(
        pair.edge.before_park(now_ns()),
        Park::Sleep,
        "a slow answer was seen"
    );
    pair.edge.after_park();
    worker.try_claim().unwrap();
    pair.dirty();
    serve(&mut pair, &mut worker, 50, 5_000);
    pair.submit(b"c");
    assert!(
        matches!(pair.edge.before_park(now_ns()), Park::Nap(_)),
        "and forgotten"
    );
}

#[test]
fn dozes_while_a_further_request_could_only_wait() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 50, 800_000);
    assert_eq!(pair.edge.doze_ns(), None, "nothing is asked for");
    pair.submit(b"a");
    let claim = worker.try_claim().unwrap();
    assert_eq!(
        pair.edge.doze_ns(),
        None,
        "nothing waits: the next would go to the next free worker"
    );
    pair.submit(b"b");
    let ns = pair.edge.doze_ns().unwrap();
    assert!(
        (1_100_000..=1_200_000).contains(&ns),
        "one and a half answers: {ns}"
    );
    assert!(pair.edge.before_doze(now_ns(), ns));
    answer(claim, b"y");
    assert_eq!(pair.bells[0].take().unwrap(), 1, "it leaves at once");
}

#[test]
fn answers_read_in_another_order_than_they_came_tell_the_same_pace() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 50, 100_000);
    pair.now_ns = now_ns();
    let slots: Vec<_> = (0..7).map(|_| pair.submit(b"x")).collect();
    // Looked at once for all of them, and the last one first.
    for _ in 0..10 {
        for _ in &slots {
            let claim = worker.try_claim().unwrap();
            pass(100_000);
            answer(claim, b"y");
        }
        let mut done = pair.dirty();
        done.sort_by_key(|slot| std::cmp::Reverse(pair.edge.times(*slot, now_ns()).last_ns));
        pair.now_ns = now_ns();
        for slot in done {
            pair.edge.release(slot);
            pair.submit(b"x");
        }
    }
    // Two are left: not a queue in which answers wait for each other.
    let claims: Vec<_> = (0..5).map(|_| worker.try_claim().unwrap()).collect();
    let ns = pair.edge.doze_ns().unwrap();
    assert!(
        (140_000..=150_000).contains(&ns),
        "one and a half answers: {ns}"
    );
    drop(claims);
}

#[test]
fn answers_of_a_long_queue_wait_for_each_other() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 80, 30_000);
    pair.submit(b"a");
    let claim = worker.try_claim().unwrap();
    for _ in 0..2 {
        pair.submit(b"b");
    }
    let ns = pair.edge.doze_ns().unwrap();
    assert!(
        (40_000..=45_000).contains(&ns),
        "a queue of two is not long: {ns}"
    );
    // Nor may it be stretched by the caller.
    assert!(pair.edge.before_doze(now_ns(), 10 * ns));
    answer(claim, b"y");
    assert_eq!(pair.bells[0].take().unwrap(), 1);
    pair.edge.after_park();
    for slot in pair.dirty() {
        pair.edge.release(slot);
    }
    for _ in 0..5 {
        pair.submit(b"b");
    }
    let claims = [(); 3].map(|()| worker.try_claim().unwrap());
    let ns = pair.edge.doze_ns().unwrap();
    assert!(
        (75_000..=90_000).contains(&ns),
        "three quarters of what the last of four waits: {ns}"
    );
    assert!(pair.edge.before_doze(now_ns(), ns));
    for (claim, rings) in claims.into_iter().zip([0, 0, 1]) {
        pass(30_000);
        answer(claim, b"y");
        assert_eq!(
            pair.bells[0].take().unwrap(),
            rings,
            "they wait for each other until the time is over"
        );
    }
}

#[test]
fn on_one_processor_the_worker_ends_the_nap_and_no_timer_of_ours() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 80, 3_000);
    for _ in 0..4 {
        pair.submit(b"a");
    }
    let claims = [(); 3].map(|()| worker.try_claim().unwrap());
    let tick_ns = sys::clock::tick_ns();
    pair.edge.set_eager(2);
    assert!(matches!(pair.edge.before_park(now_ns()), Park::Nap(ns) if ns < tick_ns));
    pair.edge.after_park();
    pair.edge.set_eager(1);
    pair.submit(b"stirs");
    assert!(matches!(pair.edge.before_park(now_ns()), Park::Nap(ns) if ns > tick_ns));
    for (claim, rings) in claims.into_iter().zip([0, 0, 1]) {
        pass(20_000);
        answer(claim, b"y");
        assert_eq!(pair.bells[0].take().unwrap(), rings, "after 50 us");
    }
}

#[test]
fn on_one_processor_quick_answers_are_dozed_for() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 80, 12_000);
    pair.submit(b"a");
    worker.try_claim().unwrap();
    pair.submit(b"b");
    pair.edge.set_eager(2);
    assert_eq!(
        pair.edge.doze_ns(),
        None,
        "the ring thread has one to itself"
    );
    pair.edge.set_eager(1);
    assert!(pair.edge.doze_ns().is_some());
}

#[test]
fn the_wait_is_told_by_how_the_queue_moves_not_by_how_long_answers_take() {
    let (mut pair, mut worker) = start();
    // As in an event loop: claimed at once, answered for an hour.
    let long = pair.submit(b"socket");
    let claim = worker.try_claim().unwrap();
    pass(3_600_000_000_000);
    answer(claim, b"");
    pair.dirty();
    pair.edge.release(long);
    pair.submit(b"a");
    assert_eq!(pair.edge.wait_ns(), 0);
    answer(worker.try_claim().unwrap(), b"");
    // One worker, a second for each; six wait.
    for _ in 0..60 {
        let slots = [pair.submit(b"b"), pair.submit(b"c")];
        for slot in slots {
            let claim = worker.try_claim().unwrap();
            pass(1_000_000_000);
            answer(claim, b"");
            pair.dirty();
            pair.edge.release(slot);
        }
        pair.now_ns = now_ns();
    }
    for _ in 0..6 {
        pair.submit(b"d");
    }
    let wait_ns = pair.edge.wait_ns();
    assert!(
        (2_000_000_000..=6_000_000_000).contains(&wait_ns),
        "{wait_ns}"
    );
}

#[test]
fn the_time_without_any_worker_is_not_how_the_queue_moves() {
    let (mut pair, mut worker) = start();
    serve(&mut pair, &mut worker, 20, 1_000_000);
    // Killed; the next one imports for long, and requests gather.
    std::mem::forget(worker);
    pair.edge.worker_gone(0, 1);
    pair.now_ns = now_ns();
    for _ in 0..7 {
        pair.submit(b"a");
    }
    pass(24_000_000_000);
    let mut worker = pair.worker(1, 1);
    worker.set_clock(now_ns);
    let claim = worker.try_claim().unwrap();
    pass(1_000_000);
    answer(claim, b"");
    let slots = pair.dirty();
    pair.edge.release(slots[0]);
    let wait_ns = pair.edge.wait_ns();
    assert!(wait_ns < 100_000_000, "six are waiting: {wait_ns}");
}

#[test]
fn nobody_is_deaf_while_a_worker_is_free() {
    let (mut pair, mut worker) = start();
    let mut second = pair.worker(1, 1);
    pair.dirty();
    serve(&mut pair, &mut worker, 50, 800_000);
    let sleeper = std::thread::spawn(move || second.park(std::time::Duration::from_secs(60)));
    while pair.segment.idle_workers() == 0 {
        std::thread::yield_now();
    }
    pair.submit(b"a");
    worker.try_claim().unwrap();
    assert_eq!(pair.edge.doze_ns(), None, "nothing waits");
    pair.submit(b"b");
    assert_eq!(pair.edge.doze_ns(), None, "it is woken for what waits");
    pair.segment.unpark(1);
    sleeper.join().unwrap();
    assert!(pair.edge.doze_ns().is_some());
}

/// A worker whose event loop is busy elsewhere may look idle (uvloop has no hook before it sleeps).
#[test]
fn when_nobody_comes_the_next_is_woken_and_the_ring_thread_does_not_sleep_over_it() {
    let (mut pair, _worker) = start();
    let bells = [1, 2].map(|index| {
        let bell = EventFd::new().unwrap();
        pair.segment.set_bell(index, bell.try_clone().unwrap());
        bell
    });
    let mut seats = [1, 2].map(|index| {
        let mut seat = pair.worker(index, 1);
        seat.set_clock(now_ns);
        seat.make_looped().unwrap();
        seat
    });
    pair.dirty();
    pass(1_000_000);
    for seat in &mut seats {
        assert_eq!(seat.lie_down(true), Wake::Sleep);
    }
    let rung = |bells: &[EventFd]| -> u64 { bells.iter().map(|bell| bell.take().unwrap()).sum() };
    pair.submit(b"a");
    // The first worker is awake, and could come.
    pair.edge.set_eager(2);
    pair.edge.wake_workers(now_ns());
    assert_eq!(rung(&bells), 1, "one for one");
    // It does not come. The ring thread looks again by itself as long as there is another.
    let mut rounds = 0;
    while rung(&bells) == 0 {
        assert!(matches!(pair.edge.before_park(now_ns()), Park::Nap(ns) if ns <= 400_000));
        pair.edge.after_park();
        pass(400_000);
        pair.edge.wake_workers(now_ns());
        rounds += 1;
        assert!(rounds < 4, "nobody else is woken");
    }
    assert_eq!(
        pair.edge.before_park(now_ns()),
        Park::Sleep,
        "there is nobody left to wake"
    );
    pair.edge.after_park();
    seats[1].get_up();
    assert_eq!(seats[1].try_claim().unwrap().request(), b"a");
}

#[test]
fn on_one_processor_wakes_are_held_for_a_ring_thread_that_has_more_to_read_but_not_for_long() {
    let mut pair = Pair::new();
    pair.edge.set_eager(1);
    let start = pair.now_ns;
    for _ in 0..7 {
        pair.submit(b"a");
    }
    assert!(!pair.edge.holds_wakes(start), "few are queued");
    pair.submit(b"a");
    assert!(pair.edge.holds_wakes(start));
    assert!(pair.edge.holds_wakes(start + 99_999));
    assert!(!pair.edge.holds_wakes(start + 100_000));
    pair.edge.wake_workers(start + 100_000);
    assert!(pair.edge.holds_wakes(start + 150_000), "counted anew");
    pair.edge.set_eager(2);
    assert!(
        !pair.edge.holds_wakes(start + 150_000),
        "another processor can have it at once"
    );
}
