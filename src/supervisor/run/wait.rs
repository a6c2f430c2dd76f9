//! Waiting for whatever comes first: signals, children, other servers, changed files; each becomes an event.
//!
//! Owns nothing; the loop does. Invariant: a descriptor that will never say anything again is not watched.

use super::{Supervisor, now_ms};
use crate::policy::{Event, HostId};
use std::io;
use std::os::fd::AsFd;
use sys::signal::Signal;
use sys::socket::Watch as Watched;

/// What a watched descriptor belongs to.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Files,
    EdgeChannel,
    EdgeEnd,
    HostChannel(HostId),
    HostEnd(HostId),
    HeirChannel,
    HeirEnd,
    Predecessor,
}

impl Supervisor {
    /// Waits until something happens and turns it into events.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let timeout = self
            .policy
            .deadline()
            .map(|at_ms| at_ms.saturating_sub(now_ms()));
        let ready = self.poll(timeout)?;
        for (source, _) in ready.iter().filter(|(_, readable)| *readable) {
            match *source {
                Source::Signals => self.take_signals()?,
                Source::Files => self.look_at_files(),
                Source::EdgeChannel => self.hear_edge(),
                Source::EdgeEnd => self.end_edge(),
                Source::HostChannel(host) => self.hear_host(host),
                Source::HostEnd(host) => self.end_host(host),
                Source::HeirChannel => self.hear_heir(),
                Source::HeirEnd => self.end_heir(),
                Source::Predecessor => self.hear_predecessor(),
            }
        }
        self.flush_edge();
        self.events.push_back(Event::Tick);
        Ok(())
    }

    /// Which descriptors have something for us.
    fn poll(&self, timeout_ms: Option<u64>) -> io::Result<Vec<(Source, bool)>> {
        let mut sources = vec![Source::Signals];
        let mut watches = vec![Watched::read(self.signals.as_fd())];
        if let Some(watch) = &self.watch {
            sources.push(Source::Files);
            watches.push(Watched::read(watch.as_fd()));
        }
        if let Some(edge) = &self.edge {
            if edge.child.may_speak() {
                sources.push(Source::EdgeChannel);
                watches.push(Watched {
                    write: !edge.queue.is_empty(),
                    ..Watched::read(edge.child.channel())
                });
            }
            sources.push(Source::EdgeEnd);
            watches.push(Watched::read(edge.child.pidfd()));
        }
        for (id, host) in &self.hosts {
            if host.child.may_speak() {
                sources.push(Source::HostChannel(*id));
                watches.push(Watched::read(host.child.channel()));
            }
            sources.push(Source::HostEnd(*id));
            watches.push(Watched::read(host.child.pidfd()));
        }
        if let Some(heir) = &self.heir {
            if heir.may_speak() {
                sources.push(Source::HeirChannel);
                watches.push(Watched::read(heir.channel()));
            }
            sources.push(Source::HeirEnd);
            watches.push(Watched::read(heir.pidfd()));
        }
        if let Some(predecessor) = &self.predecessor {
            sources.push(Source::Predecessor);
            watches.push(Watched::read(predecessor.as_fd()));
        }
        sys::socket::poll(&mut watches, timeout_ms)?;
        Ok(sources
            .into_iter()
            .zip(watches.iter().map(|watch| watch.readable))
            .collect())
    }

    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(signal) = self.signals.next()? {
            self.events.push_back(match signal {
                Signal::Term => Event::Terminate,
                Signal::Int | Signal::Quit => Event::Interrupt,
                Signal::Hup => Event::Reload,
                Signal::Usr1 => Event::ReopenLogs,
                Signal::MoreWorkers => Event::MoreWorkers,
                Signal::FewerWorkers => Event::FewerWorkers,
                Signal::Usr2 => Event::Upgrade,
                // A terminal sends it whenever its size changes.
                Signal::Winch if sys::process::has_terminal() => continue,
                Signal::Winch => Event::Rest,
                // Children are watched by their pidfds.
                Signal::Child => continue,
            });
        }
        Ok(())
    }
}
