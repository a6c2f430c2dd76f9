//! The new server beside this one, and the old one beside a new one, on behalf of the loop.
//!
//! Owns nothing; the loop does. Invariant: our names are left before the new server hears that they are its own.

use super::Supervisor;
use crate::estate::News;
use crate::heir::Heir;
use crate::names::PidFile;
use crate::policy::{End, Event};
use crate::{identity, listen};
use config::{LogLevel, Mistake};
use control::heir::FromHeir;
use control::message::clip;

impl Supervisor {
    pub(super) fn start_heir(&mut self) {
        let started = Heir::start(
            &self.launch,
            &self.config,
            &self.resources.listeners,
            &self.names.control_path,
        );
        match started {
            Ok(heir) => {
                self.events
                    .push_back(Event::HeirStarted { pid: heir.pid() });
                self.heir = Some(heir);
            }
            Err(error) => self.events.push_back(Event::HeirEnded {
                why: error.to_string(),
                asked: false,
            }),
        }
    }

    pub(super) fn kill_heir(&mut self) {
        if let Some(heir) = &mut self.heir {
            heir.kill();
        }
    }

    pub(super) fn hand_over(&mut self) {
        let Some(heir) = &self.heir else { return };
        self.names.leave();
        self.resources.leave_names(&heir.listeners);
        crate::notify::main_process(heir.pid());
        if let Err(error) = heir.take_over() {
            self.log.say(
                LogLevel::Error,
                &format!("the new server is not told to take over: {error}"),
            );
        }
    }

    pub(super) fn hear_heir(&mut self) {
        let Some(heir) = &mut self.heir else { return };
        while let Some(message) = heir.listen() {
            match message {
                FromHeir::Ready { listeners } => {
                    heir.listeners = listeners;
                    self.events.push_back(Event::HeirReady);
                }
                FromHeir::TookOver => self.events.push_back(Event::HeirTookOver),
                FromHeir::Failed { message } => heir.complaint = Some(message),
            }
        }
    }

    pub(super) fn end_heir(&mut self) {
        self.hear_heir();
        let Some(end) = self.heir.as_mut().and_then(Heir::end) else {
            return;
        };
        let complaint = self.heir.take().and_then(|heir| heir.complaint);
        // One that was told to end has nothing to complain of.
        let complaint = complaint.filter(|words| !words.is_empty());
        let why = complaint.unwrap_or_else(|| format!("{end}; what it said stands in its log"));
        let asked = end == End::Code(0);
        self.events.push_back(Event::HeirEnded { why, asked });
    }

    /// The new server is gone, and this one goes on.
    pub(super) fn take_back(&mut self) {
        crate::notify::main_process(std::process::id());
        let listening = self.resources.take_back(&self.config);
        let named = self.take_names_back();
        for mistake in [listening, named].into_iter().filter_map(Result::err) {
            let text = format!("not everything can be had again: {}", mistake.0);
            self.log.say(LogLevel::Error, &text);
        }
    }

    fn take_names_back(&mut self) -> Result<(), Mistake> {
        if self.edge.is_some() && self.names.control.is_there() {
            self.names.control.take();
            self.names.pid_file = self
                .config
                .pid_file
                .clone()
                .map(PidFile::write)
                .transpose()?;
            return Ok(());
        }
        let (path, socket, name) = listen::control_beside(&self.config, &self.names.control_path)?;
        let pid_file = self.config.pid_file.clone();
        self.names.take_back(pid_file, (path, name))?;
        // An edge that is there already goes on at the place that it has.
        self.resources.answer_at(socket);
        match &self.identity {
            Some(identity) => identity::hand_over(&self.config, identity),
            None => Ok(()),
        }
    }

    /// This server serves, instead of another one.
    pub(super) fn tell_predecessor(&mut self) {
        if let Some(predecessor) = &self.predecessor {
            let listeners = self.resources.taken_over();
            predecessor.say(&FromHeir::Ready { listeners });
        }
    }

    /// It will not serve: says why.
    pub(super) fn fail_predecessor(&mut self) {
        if let Some(predecessor) = self.predecessor.take_if(|each| each.is_serving()) {
            let message = clip(&self.troubles.join("; "));
            predecessor.say(&FromHeir::Failed { message });
        }
    }

    pub(super) fn hear_predecessor(&mut self) {
        let Some(news) = self.predecessor.as_mut().and_then(|each| each.listen()) else {
            return;
        };
        let taken = self.names.take_over();
        self.resources.take_names();
        if let Err(error) = taken {
            let text = format!("the names of the old server cannot be taken over: {error}");
            self.log.say(LogLevel::Error, &text);
        }
        if let (News::TakeOver, Some(predecessor)) = (news, &self.predecessor) {
            predecessor.say(&FromHeir::TookOver);
        }
        self.predecessor = None;
        self.events.push_back(Event::Promoted);
    }
}
