//! App hosts on behalf of the loop: started, spoken to, heard, buried.
//!
//! Owns nothing; the loop does. Invariant: the edge hears of a host's pipe before the host can write to it.

use super::{HostProcess, Supervisor};
use crate::child::{self, Child, News};
use crate::policy::{End, Event, HostId, HostOrder};
use config::LogLevel;
use control::host_log::Cutter;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

/// Bytes of a dead host's output that are still logged when no edge is there to do it.
const LAST_WORDS_BYTES_MAX: u64 = 64 * 1024;

impl Supervisor {
    pub(super) fn start_host(&mut self, order: HostOrder) {
        let host = order.host;
        // The edge's word of the pipe is in its queue already, so the pipe has to be there before the queue is sent.
        let pipe = match order.probe {
            true => Ok(()),
            false => self
                .resources
                .log_pipe(order.app, order.generation)
                .map(drop),
        };
        // An exec takes a millisecond or more; what the edge must know (workers that have gone) is not to wait for it.
        self.flush_edge();
        match pipe.and_then(|()| self.try_start_host(&order)) {
            Ok(child) => {
                self.events.push_back(Event::HostStarted {
                    host,
                    pid: child.pid(),
                });
                self.hosts.insert(host, HostProcess { child, order });
            }
            Err(error) => {
                self.resources.retire_pipe(order.app, order.generation);
                self.events
                    .push_back(Event::HostEnded(host, End::NotStarted(error.to_string())));
            }
        }
    }

    pub(super) fn try_start_host(&mut self, order: &HostOrder) -> io::Result<Child> {
        let spec = self.host_spec(order);
        let mut command = child::host_command(
            &self.pythons[order.app],
            &self.extensions[order.app],
            &spec.log_prefix,
            &spec.chdir,
            &spec.env,
        );
        if order.probe {
            // What the app says while it is imported will be said again by the real one.
            command.stdout(Stdio::null()).stderr(Stdio::null());
        } else {
            let pipe = self.resources.log_pipe(order.app, order.generation)?;
            command.stdout(pipe.try_clone()?).stderr(pipe.try_clone()?);
        }
        let child = Child::spawn(&mut command, self.identity.as_ref())?;
        let descriptors = self.resources.for_host(order)?;
        // If it has died already, its end says so.
        let start = ToHost::Start {
            spec: Box::new(spec),
        };
        match child.send_with_many(&start, &ToHost::Descriptors {}, &descriptors) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(child),
        }
    }

    pub(super) fn host_spec(&self, order: &HostOrder) -> HostSpec {
        let app = &self.config.apps[order.app];
        let role = if order.probe {
            "probe".to_owned()
        } else {
            order.generation.to_string()
        };
        HostSpec {
            app: order.app,
            name: app.name.clone(),
            target: app.target.clone(),
            mount: app.mount.clone(),
            options: app.options.clone(),
            chdir: self.config.chdir_of(app).to_owned(),
            pythonpath: self.config.pythonpath_of(app),
            env: self.config.env_of(app),
            kind: order.kind,
            probe: order.probe,
            successor: order.successor,
            first: order.first,
            beside: order.beside,
            generation: order.generation,
            workers: order.workers.clone(),
            rings: if order.probe { 0 } else { self.config.rings },
            timeout_ms: app.options.timeout_ms,
            multithread: app.options.seats_per_worker() > 1,
            server_software: format!("ringgate/{}", env!("CARGO_PKG_VERSION")),
            log_prefix: format!("{}[{role}]", app.name),
        }
    }

    /// Workers for a host that serves. If it cannot have them it will not miss them.
    pub(super) fn grow_host(&mut self, host: HostId, app: usize, workers: Vec<WorkerSpec>) {
        let Some(process) = self.hosts.get_mut(&host) else {
            return;
        };
        // A message carries the descriptors of so many.
        for some in workers.chunks(control::channel::DESCRIPTORS_MAX / 2) {
            let message = ToHost::Grow {
                workers: some.to_vec(),
            };
            let sent = self
                .resources
                .for_more(app, some)
                .and_then(|descriptors| process.child.send(&message, &descriptors));
            let Err(error) = sent else { continue };
            let lost = some.iter().map(|worker| FromHost::SeatLost {
                index: worker.index,
                incarnation: worker.incarnation,
                message: error.to_string(),
            });
            self.events
                .extend(lost.map(|message| Event::FromHost(host, message)));
        }
    }

    pub(super) fn send_to_host(&mut self, host: HostId, message: &ToHost) {
        let Some(process) = self.hosts.get_mut(&host) else {
            return;
        };
        match process.child.send(message, &[]) {
            // A broken pipe: its end says the same.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.log.say(
                    LogLevel::Error,
                    &format!("a message to pid {} is lost: {error}", process.child.pid()),
                );
            }
            _ => {}
        }
    }

    pub(super) fn hear_host(&mut self, id: HostId) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        for news in host.child.listen::<FromHost>() {
            match news {
                News::Message(message) => self.events.push_back(Event::FromHost(id, message)),
                News::Nonsense(error) => {
                    let text = format!(
                        "pid {} talks nonsense ({error}); killing it",
                        host.child.pid()
                    );
                    self.log.say(LogLevel::Critical, &text);
                    drop(host.child.kill());
                }
            }
        }
    }

    pub(super) fn end_host(&mut self, id: HostId) {
        self.hear_host(id);
        let Some(end) = self.hosts.get_mut(&id).and_then(|host| host.child.end()) else {
            return;
        };
        let Some(host) = self.hosts.remove(&id) else {
            return;
        };
        if !host.order.probe {
            let pipe = self
                .resources
                .retire_pipe(host.order.app, host.order.generation);
            if let (None, Some(pipe)) = (&self.edge, pipe) {
                self.log_last_words(&host.order, pipe);
            }
        }
        self.events.push_back(Event::HostEnded(id, end));
    }

    /// With no edge to read the pipe, its rest is ours to log: it may say why the host ended.
    pub(super) fn log_last_words(&mut self, order: &HostOrder, pipe: OwnedFd) {
        let mut bytes = Vec::new();
        let read = sys::socket::set_nonblocking(pipe.as_fd(), true).and_then(|()| {
            File::from(pipe)
                .take(LAST_WORDS_BYTES_MAX)
                .read_to_end(&mut bytes)
                .map(drop)
        });
        // The pipe may still have writers and then ends in "would block"; what was read counts.
        drop(read);
        let name = &self.config.apps[order.app].name;
        let (mut cutter, mut entries) = (Cutter::new(name), Vec::new());
        cutter.feed(&bytes, 0, &mut entries);
        cutter.finish(&mut entries);
        for said in entries {
            let origin = format!("app {name}[{}] {}", order.generation, said.worker);
            self.log.write(said.level, origin.trim_end(), &said.message);
        }
    }
}
