//! The line to the supervisor: orders in, reports out, and the descriptors that come with the first order.
//!
//! Owns the channel. A process without a supervisor has nothing left to do, so a broken line ends it.

use crate::load::LoadError;
use crate::worker::Exchange;
use control::Channel;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use shm::Segment;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use sys::eventfd::EventFd;

/// The descriptors that come with `Start`.
pub struct Descriptors {
    pub segment: OwnedFd,
    pub doorbells: Vec<OwnedFd>,
    /// One for each of `spec.workers`.
    pub seats: Vec<SeatEnds>,
}

/// What a worker holds of its seat besides the segment.
pub struct SeatEnds {
    /// Descriptors travel on it.
    pub socket: OwnedFd,
    /// What the worker's event loop sleeps on; rung by whoever has something for it.
    pub wake: OwnedFd,
}

/// The seats of one worker: one for each of its threads.
pub type WorkerSeats = Vec<(WorkerSpec, SeatEnds)>;

/// Seats as orders bring them, worker by worker.
pub fn by_worker(spec: &HostSpec, seats: &[WorkerSpec], ends: Vec<SeatEnds>) -> Vec<WorkerSeats> {
    let threads = spec.options.seats_per_worker();
    let mut seats = seats.iter().copied().zip(ends);
    std::iter::from_fn(|| {
        let worker: WorkerSeats = seats.by_ref().take(threads).collect();
        (!worker.is_empty()).then_some(worker)
    })
    .collect()
}

/// The same out of the descriptors of [`ToHost::Grow`]; this process, and what it forks, can then wake the event loops there.
pub fn more_by_worker(
    spec: &HostSpec,
    segment: &Segment,
    seats: &[WorkerSpec],
    descriptors: Vec<OwnedFd>,
) -> Vec<WorkerSeats> {
    let ends = SeatEnds::pairs(descriptors);
    for (seat, ends) in seats.iter().zip(&ends) {
        ends.make_known(segment, seat.index);
    }
    by_worker(spec, seats, ends)
}

impl SeatEnds {
    /// Out of socket, wake, socket, wake, and so on.
    pub fn pairs(all: Vec<OwnedFd>) -> Vec<SeatEnds> {
        let mut all = all.into_iter();
        std::iter::from_fn(|| {
            Some(SeatEnds {
                socket: all.next()?,
                wake: all.next()?,
            })
        })
        .collect()
    }

    /// This process, and what it forks, can then wake the event loop in that seat.
    pub fn make_known(&self, segment: &Segment, index: u16) {
        if let Ok(bell) = self.wake.try_clone() {
            segment.set_bell(index, EventFd::from_fd(bell));
        }
    }

    pub fn try_clone(&self) -> io::Result<SeatEnds> {
        Ok(SeatEnds {
            socket: self.socket.try_clone()?,
            wake: self.wake.try_clone()?,
        })
    }
}

impl Descriptors {
    /// `all`: those that came with `Start`; `next` gets the order after it, which brings those that did not fit.
    pub fn split(
        spec: &HostSpec,
        mut all: Vec<OwnedFd>,
        mut next: impl FnMut() -> (ToHost, Vec<OwnedFd>),
    ) -> io::Result<Descriptors> {
        let wanted = 1 + spec.rings + 2 * spec.workers.len();
        while all.len() < wanted {
            match next() {
                (ToHost::Descriptors {}, more) if !more.is_empty() => all.extend(more),
                _ => break,
            }
        }
        if all.len() != wanted {
            let message = format!(
                "{} descriptors came with the orders, {wanted} were announced",
                all.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let seats = SeatEnds::pairs(all.split_off(1 + spec.rings));
        let doorbells = all.split_off(1);
        let segment = all.pop().expect("one is left of the counted ones");
        Ok(Descriptors {
            segment,
            doorbells,
            seats,
        })
    }

    /// Maps the segment. This process, and what it forks, can then wake the event loop in each of its seats.
    pub fn exchange(
        spec: &HostSpec,
        segment: OwnedFd,
        doorbells: Vec<OwnedFd>,
        seats: &[SeatEnds],
    ) -> std::result::Result<Exchange, LoadError> {
        let segment = Segment::attach(segment).map_err(|corrupt| {
            LoadError::new("start", format!("cannot map the exchange: {corrupt}"))
        })?;
        for (worker, ends) in spec.workers.iter().zip(seats) {
            ends.make_known(&segment, worker.index);
        }
        Ok(Exchange {
            segment: Arc::new(segment),
            doorbells: doorbells.into_iter().map(EventFd::from_fd).collect(),
        })
    }
}

/// The line to the supervisor.
pub struct Line {
    /// `None` in a forked worker, whose word goes through its parent.
    channel: Option<Channel>,
}

impl Line {
    pub fn new(channel: Channel) -> Line {
        Line {
            channel: Some(channel),
        }
    }

    /// Sends a message. Nobody there: nothing is left to do for this process.
    pub fn send(&self, message: &FromHost) {
        if self
            .channel
            .as_ref()
            .is_none_or(|channel| channel.send(message, &[]).is_err())
        {
            sys::process::exit_now(EXIT_ORPHANED);
        }
    }

    /// In a forked worker: this end is the parent's alone.
    pub fn close(&mut self) {
        self.channel = None;
    }

    /// The next order. The supervisor's end closed: exits.
    pub fn receive(&self) -> (ToHost, Vec<OwnedFd>) {
        match self.channel.as_ref().map(Channel::recv) {
            Some(Ok(Some(order))) => order,
            None | Some(Ok(None)) => sys::process::exit_now(EXIT_ORPHANED),
            Some(Err(error)) => {
                eprintln!("ringgate: cannot read an order: {error}");
                sys::process::exit_now(EXIT_ORPHANED)
            }
        }
    }

    /// Reports that the app cannot be served, and ends.
    pub fn fail(&self, error: LoadError) -> ! {
        self.send(&FromHost::Failed {
            stage: error.stage,
            message: error.message,
            traceback: error.traceback,
        });
        sys::process::exit_now(EXIT_FAILED)
    }

    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.channel
            .as_ref()
            .expect("only the main process waits for orders")
            .as_fd()
    }
}

/// The supervisor is gone, or makes no sense.
pub const EXIT_ORPHANED: i32 = 3;
/// The app cannot be served; the reason was reported.
const EXIT_FAILED: i32 = 1;
