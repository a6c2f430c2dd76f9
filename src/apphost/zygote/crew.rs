//! A forked worker with several request threads: its first thread serves nothing, it minds the others.
//!
//! It takes the zygote's orders to interrupt one of them, passes on a request to leave, and ends the process when all have ended.

use crate::ffi::{Kind, Object, Python};
use crate::load::LoadError;
use crate::threads::{self, Common, Place, Report, Seen};
use crate::worker::End;
use config::Interface;
use control::Channel;
use control::message::{FromHost, ToHost, WorkerSpec, clip};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use sys::eventfd::EventFd;
use sys::socket::Watch;

/// What the threads of a forked worker say, to the zygote and to the first thread.
pub(super) struct Crew {
    channel: Arc<Channel>,
    /// Rung when a thread ended, and by the TERM handler.
    bell: &'static EventFd,
    ended: AtomicUsize,
}

impl Crew {
    pub fn new(channel: Arc<Channel>, bell: &'static EventFd) -> Arc<Crew> {
        Arc::new(Crew {
            channel,
            bell,
            ended: AtomicUsize::new(0),
        })
    }

    fn tell(&self, message: &FromHost) {
        // Nobody listens: the zygote is gone, and soon so are we.
        drop(self.channel.send(message, &[]));
    }

    /// Serves with a thread for each of the places, until all have ended.
    pub fn serve(
        &self,
        py: Python<'_>,
        common: &Common,
        places: Vec<Place>,
    ) -> Result<(), LoadError> {
        let seats: Vec<(WorkerSpec, Seen)> = places
            .iter()
            .map(|place| (place.seat, place.seen.clone()))
            .collect();
        let stack = common.prelude.get(py, c"stack")?;
        common.hire(py, places)?;
        let drain = || {
            for (seat, _) in &seats {
                common.exchange.segment.request_drain(seat.index);
            }
        };
        let mut listening = true;
        while self.ended.load(Ordering::Acquire) < seats.len() {
            let mut watches = vec![Watch::read(self.bell.as_fd())];
            if listening {
                watches.push(Watch::read(self.channel.as_fd()));
            }
            if let Err(error) = py.detached(|| sys::socket::poll(&mut watches, None)) {
                return Err(LoadError::new("worker", format!("poll: {error}")));
            }
            if watches[0].readable && self.bell.take().is_err() {
                return Err(LoadError::new("worker", "an eventfd of our own is broken"));
            }
            if sys::signal::term_noted() || asks_to_leave(py) {
                drain();
            }
            if watches.get(1).is_some_and(|watch| watch.readable) {
                match self.channel.recv::<ToHost>() {
                    Ok(Some((ToHost::Interrupt { index, mark }, _))) => {
                        let place = seats.iter().find(|(seat, _)| seat.index == index);
                        // The GIL is ours: the thread can neither end this request nor begin another until we are through.
                        if let Some((_, seen)) = place
                            && super::interrupt::mark(&common.exchange.segment, index) == Some(mark)
                        {
                            interrupt(py, &stack, seen);
                        }
                    }
                    Ok(Some(_)) => {}
                    // The zygote has gone; so shall we, by the signal that comes with it.
                    Ok(None) | Err(_) => listening = false,
                }
            }
        }
        Ok(())
    }
}

/// A signal handler of the application's own may ask the process to end.
fn asks_to_leave(py: Python<'_>) -> bool {
    match py.check_signals() {
        Ok(()) => false,
        Err(raised) => raised.is(Kind::SystemExit),
    }
}

fn interrupt(py: Python<'_>, stack: &Object, seen: &Seen) {
    let (Some(handle), Some(_)) = (seen.handle(), seen.progress.turn()) else {
        return;
    };
    seen.progress.interrupted.store(true, Ordering::Release);
    if let Err(raised) = threads::interrupt(py, stack, handle) {
        eprintln!(
            "ringgate: cannot interrupt a request: {}",
            raised.take().line()
        );
    }
}

impl Report for Crew {
    fn loaded(&self, _: WorkerSpec) {}

    fn files(&self, message: FromHost) {
        self.tell(&message);
    }

    fn up(&self, seat: WorkerSpec, interface: Interface) {
        self.tell(&FromHost::WorkerUp {
            index: seat.index,
            incarnation: seat.incarnation,
            pid: std::process::id(),
            interface,
        });
    }

    fn spare(&self, _: WorkerSpec) {}

    fn ended(&self, _: WorkerSpec, _: End) {
        self.ended.fetch_add(1, Ordering::AcqRel);
        if self.bell.ring().is_err() {
            eprintln!("ringgate: an eventfd of our own is broken");
        }
    }

    /// One that cannot work makes the worker useless.
    fn failed(&self, seat: WorkerSpec, error: LoadError) {
        eprintln!("ringgate: worker {}: {}", seat.index, error.message);
        self.tell(&FromHost::Failed {
            stage: error.stage,
            message: clip(&error.message),
            traceback: error.traceback,
        });
        sys::process::exit_now(1);
    }

    fn refused(&self, _: &str) {}
}
