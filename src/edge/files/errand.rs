//! Work that may sleep in ways no ring operation covers (reading a directory, following a link by its owner), done on a thread of
//! its own while the task waits.
//!
//! Owns the bound on such threads. Invariants: the ring thread never waits; at most `THREADS_MAX` at a time per ring thread, the
//! rest queue up in order of their patience; a thread that panics is an error of its errand, no more.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// More would only take the processors from the requests that need none of this.
const THREADS_MAX: usize = 4;
/// How often a waiting errand looks for a place, and how long it is patient.
const LOOK_NS: u64 = 1_000_000;
const PATIENCE_NS: u64 = 10_000_000_000;

thread_local! {
    static RUNNING: Arc<AtomicUsize> = Arc::new(AtomicUsize::new(0));
}

/// The right to one thread; goes with the thread, which may outlive the request.
struct Place(Arc<AtomicUsize>);

impl Place {
    async fn take() -> io::Result<Place> {
        let running = RUNNING.with(Arc::clone);
        let start_ns = uring::now();
        // Only this thread adds.
        while running.load(Ordering::Relaxed) >= THREADS_MAX {
            if uring::now() - start_ns > PATIENCE_NS {
                // EAGAIN: 503, as any other shortage.
                return Err(io::Error::from_raw_os_error(sys::errno::EAGAIN));
            }
            uring::time::sleep(LOOK_NS).await;
        }
        running.fetch_add(1, Ordering::Relaxed);
        Ok(Place(running))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does `work` elsewhere.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = Place::take().await?;
    let result = Arc::new(Mutex::new(None));
    let result_there = Arc::clone(&result);
    uring::beside::run(move || {
        let _held = place;
        let done = work();
        *result_there.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    })
    .await?;
    let done = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    done.unwrap_or_else(|| Err(io::Error::other("the thread of an errand died")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    fn in_runtime(test: impl AsyncFnOnce()) {
        let mut runtime = uring::Runtime::real(uring::Options::default()).expect("a ring");
        runtime.block_on(async { test().await });
    }

    #[test]
    fn a_thread_that_panics_is_an_error() {
        in_runtime(async || {
            let failed = run(|| -> io::Result<()> { panic!("on purpose") }).await;
            assert!(failed.is_err());
            for _ in 0..2 * THREADS_MAX {
                assert!(
                    run(|| -> io::Result<()> { panic!("on purpose") })
                        .await
                        .is_err()
                );
            }
            assert_eq!(run(|| Ok(7)).await.expect("places are given back"), 7);
        });
    }

    #[test]
    fn no_more_threads_than_places() {
        in_runtime(async || {
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let done = Rc::new(Cell::new(0));
            for _ in 0..5 * THREADS_MAX {
                let (now, most, done) = (Arc::clone(&now), Arc::clone(&most), Rc::clone(&done));
                uring::spawn(async move {
                    let work = move || {
                        let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(running, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(1));
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok(running)
                    };
                    assert!(run(work).await.expect("a place in time") <= THREADS_MAX);
                    done.set(done.get() + 1);
                });
            }
            while done.get() < 5 * THREADS_MAX {
                uring::time::sleep(LOOK_NS).await;
            }
            assert!(most.load(Ordering::SeqCst) >= 1);
        });
    }
}
