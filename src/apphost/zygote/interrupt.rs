//! Interrupting the only request thread of a forked worker, or its event loop, which is its main thread: no other thread stands by for that.
//!
//! The zygote writes which request it means into the channel and sends a signal. CPython runs our handler in the main thread, between two of
//! its instructions or in a call that waits; there the request in work is compared with the one meant, so that a late signal never hits the
//! next. What the handler raises leaves through the frame that was interrupted. Costs a request nothing.

use crate::ffi::{self, Arguments, Object, Python, Result};
use crate::prelude::Prelude;
use control::Channel;
use control::message::ToHost;
use shm::{Segment, WorkerStatus};
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::Arc;
use sys::socket::Watch;

/// Which request a seat is at: when it began. Of an event loop: which turn.
pub(super) fn mark(segment: &Segment, index: u16) -> Option<u64> {
    let record = segment.worker(index)?;
    if record.looped {
        return Some(record.turn);
    }
    (record.status == WorkerStatus::Busy).then_some(record.since_ns)
}

/// From here on the signal raises RequestTimeout in the request that the zygote means. In the main thread.
pub(super) fn arm(
    py: Python<'_>,
    prelude: &Prelude,
    segment: &Arc<Segment>,
    index: u16,
    channel: &Arc<Channel>,
) -> Result<()> {
    let orders = Orders {
        segment: segment.clone(),
        index,
        channel: channel.clone(),
    };
    let is_over = ffi::Type::new(py)?.instance(orders)?.bind::<IsOver>()?;
    let number = py.integer(i64::from(sys::process::interrupt_signal()))?;
    prelude
        .call(py, c"arm_interrupt_signal", &[&number, &is_over])
        .map(drop)
}

/// What the zygote has written, beside what this worker is at.
struct Orders {
    segment: Arc<Segment>,
    index: u16,
    channel: Arc<Channel>,
}

impl Orders {
    /// The last request that was meant, if nothing went wrong.
    fn meant(&self) -> Option<u64> {
        let mut meant = None;
        loop {
            let mut watch = [Watch::read(self.channel.as_fd())];
            if sys::socket::poll(&mut watch, Some(0)).is_err() || !watch[0].readable {
                return meant;
            }
            match self.channel.recv::<ToHost>() {
                Ok(Some((ToHost::Interrupt { mark, .. }, _))) => meant = Some(mark),
                Ok(Some(_)) => {}
                // The zygote has gone; so shall we, by the signal that comes with it.
                Ok(None) | Err(_) => return meant,
            }
        }
    }
}

impl ffi::Class for Orders {
    const NAME: &'static CStr = c"_ringgate.Orders";
    const DOC: &'static CStr = c"What the zygote wants interrupted.";
    const METHODS: &'static [ffi::MethodEntry] =
        &[ffi::methods::entry::<IsOver>(), ffi::methods::END];
}

struct IsOver;
impl ffi::Method for IsOver {
    type Class = Orders;
    const NAME: &'static CStr = c"is_over";
    const DOC: &'static CStr =
        c"is_over(): whether the request in work is the one that ran over its time.";

    fn call(py: Python<'_>, this: &Orders, _: Arguments<'_>) -> Result<Object> {
        let meant = this.meant();
        Ok(py.boolean(meant.is_some() && meant == mark(&this.segment, this.index)))
    }
}
