//! How much of files may leave a ring thread in one turn, and how much of them may be on its way from the disk: what keeps small
//! requests quick beside downloads, however many there are.
//!
//! Owns two queues per thread. Invariants: whoever waits is served in the order of coming; the first in line is always on its way
//! to be polled, so that nobody is forgotten when others give up. Must not know what is sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread::LocalKey;

/// Bytes of files that all connections together send in one turn: 25 to 50 us of work for a local peer.
pub const TURN_BYTES: u64 = 256 * 1024;
/// Where the work is dearer than that, what is sent in pieces ends its turn after so long. (What leaves whole at once is a request like others.)
const TURN_NS: u64 = 50_000;
/// Reads of cold pages into buffers at the same time.
pub const READS_MAX: usize = 8;
/// Times that the disk is being asked to read ahead at the same time: a kernel worker that may have the ring thread's processor does these, one
/// after the other.
const ASKS_MAX: usize = 2;

thread_local! {
    static TURN: RefCell<Turn> = const {
        RefCell::new(Turn { at_ns: 0, begun_ns: 0, left: 0, line: Line { places: VecDeque::new(), next: 0 } })
    };
    static READS: RefCell<Few> = const { RefCell::new(Few::at_most(READS_MAX)) };
    static ASKS: RefCell<Few> = const { RefCell::new(Few::at_most(ASKS_MAX)) };
}

struct Turn {
    /// Ring time of the turn that `left` is of.
    at_ns: u64,
    /// When the first of it was taken.
    begun_ns: u64,
    left: u64,
    line: Line,
}

/// What runs a few times at once.
struct Few {
    most: usize,
    running: usize,
    line: Line,
}

impl Few {
    const fn at_most(most: usize) -> Few {
        let line = Line {
            places: VecDeque::new(),
            next: 0,
        };
        Few {
            most,
            running: 0,
            line,
        }
    }
}

/// Who waits, first come first.
struct Line {
    places: VecDeque<(u64, Waker)>,
    next: u64,
}

impl Line {
    fn join(&mut self, waker: &Waker) -> u64 {
        self.next += 1;
        self.places.push_back((self.next, waker.clone()));
        self.next
    }

    fn is_first(&self, place: u64) -> bool {
        self.places.front().is_some_and(|first| first.0 == place)
    }

    /// Gives up a place; who is first then has to look.
    fn leave(&mut self, place: u64) {
        let was_first = self.is_first(place);
        self.places.retain(|other| other.0 != place);
        if was_first {
            self.call();
        }
    }

    /// Lets the first look.
    fn call(&self) {
        if let Some((_, waker)) = self.places.front() {
            waker.wake_by_ref();
        }
    }
}

impl Turn {
    /// What is left of this turn's bytes.
    fn left(&mut self) -> u64 {
        let now_ns = uring::now();
        if self.at_ns != now_ns {
            self.at_ns = now_ns;
            self.begun_ns = uring::precise_now();
            self.left = TURN_BYTES;
        }
        self.left
    }

    /// Has files' sending taken little time so far?
    fn is_short(&self) -> bool {
        uring::precise_now().saturating_sub(self.begun_ns) < TURN_NS
    }
}

/// How much may be sent now, without a wait in between: in this turn if there is something left and nobody waits, else in turn.
pub async fn share() -> u64 {
    Share { place: None }.await
}

/// What may be sent at once: nothing if others wait.
pub fn at_hand() -> u64 {
    TURN.with_borrow_mut(|turn| match turn.line.places.is_empty() {
        true => turn.left(),
        false => 0,
    })
}

/// So much has been sent.
pub fn spend(bytes: u64) {
    TURN.with_borrow_mut(|turn| {
        turn.left = turn.left().saturating_sub(bytes);
    });
}

struct Share {
    place: Option<u64>,
}

impl Future for Share {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        TURN.with_borrow_mut(|turn| {
            let left = turn.left();
            let is_next = match self.place {
                None => turn.line.places.is_empty(),
                Some(place) => turn.line.is_first(place),
            };
            if is_next && left > 0 && turn.is_short() {
                if let Some(place) = self.place.take() {
                    turn.line.leave(place);
                }
                return Poll::Ready(left);
            }
            let place = match self.place {
                Some(place) => place,
                None => turn.line.join(cx.waker()),
            };
            self.place = Some(place);
            if turn.line.is_first(place) {
                // Nothing wakes the first in line but the next turn.
                let _pending = Pin::new(&mut uring::yield_now()).poll(cx);
            }
            Poll::Pending
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            TURN.with_borrow_mut(|turn| turn.line.leave(place));
        }
    }
}

type Which = &'static LocalKey<RefCell<Few>>;

/// One of a few that may run; the next one may when it is dropped.
pub struct Place(Which);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with_borrow_mut(|few| {
            few.running -= 1;
            few.line.call();
        });
    }
}

/// Waits until few enough reads run. A disk that hangs holds its reads for long: wait with a bound, and then do without.
pub fn read() -> impl Future<Output = Place> {
    Waiting {
        which: &READS,
        place: None,
    }
}

/// Waits until the disk is being asked few enough times; with a bound, as for `read`.
pub fn ask() -> impl Future<Output = Place> {
    Waiting {
        which: &ASKS,
        place: None,
    }
}

struct Waiting {
    which: Which,
    place: Option<u64>,
}

impl Future for Waiting {
    type Output = Place;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Place> {
        let which = self.which;
        which.with_borrow_mut(|few| {
            let is_next = match self.place {
                None => few.line.places.is_empty(),
                Some(place) => few.line.is_first(place),
            };
            if is_next && few.running < few.most {
                few.running += 1;
                if let Some(place) = self.place.take() {
                    few.line.leave(place);
                }
                return Poll::Ready(Place(which));
            }
            if self.place.is_none() {
                self.place = Some(few.line.join(cx.waker()));
            }
            Poll::Pending
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.which.with_borrow_mut(|few| few.line.leave(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use uring::sim::{self, Faults, Sim};

    #[test]
    fn a_turn_has_an_end_and_everybody_gets_one() {
        sim::run_seeds(1..4, Faults::harmless, async |_: Sim| {
            let sent: Rc<Vec<Cell<u64>>> = Rc::new((0..5).map(|_| Cell::new(0)).collect());
            let most = Rc::new(Cell::new((0, 0)));
            for number in 0..5 {
                let (sent, most) = (Rc::clone(&sent), Rc::clone(&most));
                uring::spawn(async move {
                    for _ in 0..20 {
                        let bytes = share().await.min(100 * 1024);
                        spend(bytes);
                        sent[number].set(sent[number].get() + 1);
                        let (at_ns, sum) = most.get();
                        let sum = if at_ns == uring::now() { sum } else { 0 } + bytes;
                        assert!(sum <= TURN_BYTES);
                        most.set((uring::now(), sum));
                        let counts = sent.iter().map(Cell::get);
                        let (least, most) = (counts.clone().min(), counts.max());
                        assert!(most <= least.map(|least| least + 4), "one waits for ever");
                    }
                });
            }
            while sent.iter().any(|sent| sent.get() < 20) {
                uring::yield_now().await;
            }
        });
    }

    #[test]
    fn who_leaves_the_line_keeps_nobody_waiting() {
        sim::run_seeds(1..4, Faults::harmless, async |_: Sim| {
            let held: Vec<Place> = {
                let mut held = Vec::new();
                for _ in 0..READS_MAX {
                    held.push(read().await);
                }
                held
            };
            let got = Rc::new(Cell::new(0));
            for patience in 0..6 {
                let got = Rc::clone(&got);
                uring::spawn(async move {
                    let deadline = uring::time::Deadline::new();
                    deadline.set_after(if patience % 2 == 0 { 1 } else { u64::MAX / 2 });
                    if uring::time::within(&deadline, read()).await.is_some() {
                        got.set(got.get() + 1);
                    }
                });
            }
            uring::time::sleep(10_000_000).await;
            assert_eq!(got.get(), 0);
            drop(held);
            uring::time::sleep(10_000_000).await;
            assert_eq!(got.get(), 3);
        });
    }
}
