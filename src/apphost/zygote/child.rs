//! A forked worker, from the fork to its end.

use super::crew::Crew;
use super::{Share, Zygote};
use crate::ahead;
use crate::ffi::Python;
use crate::forked;
use crate::load::{self, LoadError, Speaks};
use crate::threads::{Common, Place, Seen};
use crate::warmup;
use crate::worker::{Progress, Worker};
use control::Channel;
use control::message::FromHost;
use std::cell::Cell;
use std::sync::Arc;
use sys::eventfd::EventFd;

impl Zygote<'_> {
    /// In the child: from the fork to its end.
    pub(super) fn live(&mut self, index: usize, parent: u32, channel: Channel) -> ! {
        let channel = Arc::new(channel);
        let number = self.places[index].indexes().next().unwrap_or_default();
        match self.serve(index, parent, &channel) {
            Ok(()) => {
                self.hooks.note(self.py, c"leaving");
                drop(self.prelude.call(self.py, c"finish", &[]));
                sys::process::exit_now(0)
            }
            Err(error) => {
                let text = error.with_traceback();
                eprintln!("[{} w{number}] {text}", self.spec.name);
                let failed = FromHost::Failed {
                    stage: error.stage,
                    message: error.message,
                    traceback: error.traceback,
                };
                // Nobody listens: the parent is gone, and soon so are we.
                drop(channel.send(&failed, &[]));
                sys::process::exit_now(1)
            }
        }
    }

    fn serve(
        &mut self,
        index: usize,
        parent: u32,
        channel: &Arc<Channel>,
    ) -> Result<(), LoadError> {
        let py = self.py;
        let system = |what: &str, error: std::io::Error| {
            LoadError::new("worker", format!("{what}: {error}"))
        };
        sys::process::die_with_parent().map_err(|error| system("prctl", error))?;
        if sys::process::parent_id() != parent {
            sys::process::exit_now(0);
        }
        // The zygote's own descriptors are none of the worker's business.
        let mut seats = self.places.swap_remove(index).seats;
        self.places.clear();
        let Some(seat) = seats.first().map(|(seat, _)| *seat) else {
            return Err(LoadError::new("worker", "no such seat"));
        };
        self.line.close();
        let gate = self.gate.take();
        let bell: &'static EventFd = Box::leak(Box::new(
            EventFd::new().map_err(|error| system("eventfd", error))?,
        ));
        sys::signal::note_term(bell).map_err(|error| system("sigaction", error))?;
        self.prelude.call(
            py,
            c"rename",
            &[&py.text(&load::log_name(&self.spec, Some(seat.index)))?],
        )?;
        self.prelude.call(
            py,
            c"arm_stack_signal",
            &[&py.integer(i64::from(sys::process::stack_signal()))?],
        )?;
        self.hooks.begin(py, seat.index)?;
        let tell = |message: &FromHost| {
            // Nobody listens: the parent is gone, and soon so are we.
            drop(channel.send(message, &[]));
        };
        let application = match self.application.take() {
            Some(application) => application,
            None => {
                // The exception is taken before anything else is called.
                let loaded = load::application(py, self.prelude, &self.spec.target)
                    .map_err(LoadError::from_raised);
                load::report_files(py, self.prelude, &self.spec, &|message| tell(&message));
                loaded?
            }
        };
        if self.share < Share::Ahead {
            ahead::load(py, self.prelude, &self.spec)?;
        }
        let interface = self.spec.options.interface;
        let application = self.hooks.application(py, application, |application| {
            load::speaks(py, self.prelude, application, interface)
        })?;
        warmup::wsgi(py, self.prelude, &self.spec, &application)?;
        let gate = Cell::new(gate);
        let at_gate = |py: Python<'_>| {
            tell(&FromHost::Ready);
            match gate.take() {
                Some(gate) => wait_at(py, &gate),
                None => Ok(()),
            }
        };
        let errors = self.errors.clone();
        if seats.len() > 1
            && load::speaks(py, self.prelude, &application, interface)? == Speaks::Wsgi
        {
            at_gate(py)?;
            let crew = Crew::new(channel.clone(), bell);
            let common = Common {
                spec: Arc::new(self.spec.clone()),
                exchange: self.exchange.clone(),
                prelude: self.prelude.clone(),
                application,
                errors,
                report: crew.clone(),
            };
            let places = seats.into_iter().map(|(seat, ends)| Place {
                seat,
                ends,
                seen: Seen::default(),
            });
            let places: Vec<Place> = places.collect();
            let leases = places.iter().map(|place| &place.seen.progress.lease);
            forked::guard(leases.cloned().collect())
                .map_err(|error| system("pthread_atfork", error))?;
            return crew.serve(py, &common, places);
        }
        // An ASGI worker has one event loop; nobody sits in the other seats.
        seats.truncate(1);
        let Some((seat, ends)) = seats.pop() else {
            return Err(LoadError::new("worker", "no such seat"));
        };
        let segment = &self.exchange.segment;
        super::interrupt::arm(py, self.prelude, segment, seat.index, channel)?;
        let progress = Arc::new(Progress::default());
        forked::guard(vec![progress.lease.clone()])
            .map_err(|error| system("pthread_atfork", error))?;
        let worker = Worker::new(
            py,
            self.prelude,
            &self.spec,
            &self.exchange,
            seat,
            ends,
            application,
            errors,
            progress.clone(),
            &at_gate,
        )?;
        let up = FromHost::WorkerUp {
            index: seat.index,
            incarnation: seat.incarnation,
            pid: std::process::id(),
            interface: progress.interface(),
        };
        // Nobody listens: as above.
        drop(channel.send(&up, &[]));
        worker.run(py);
        Ok(())
    }
}

/// Until it opens. If the zygote dies before that, so do we.
fn wait_at(py: Python<'_>, gate: &EventFd) -> Result<(), LoadError> {
    py.detached(|| {
        while !gate
            .poll(None)
            .map_err(|error| LoadError::new("start", format!("poll: {error}")))?
        {}
        Ok(())
    })
}
