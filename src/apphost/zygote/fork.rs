//! The zygote's forks.

use super::{Child, Zygote};
use crate::load::LoadError;
use control::Channel;
use std::time::Instant;

impl Zygote<'_> {
    pub(super) fn fork_due(&mut self) {
        let now = Instant::now();
        for index in 0..self.places.len() {
            if self.places[index].fork_at.is_some_and(|at| at <= now) {
                self.places[index].fork_at = None;
                self.fork(index);
            }
        }
    }

    fn fork(&mut self, index: usize) {
        let (ours, theirs) = match Channel::pair() {
            Ok(pair) => pair,
            Err(error) => self.line.fail(LoadError::new(
                "start",
                format!("cannot make a socket for a worker: {error}"),
            )),
        };
        let parent = std::process::id();
        let number = self.places[index].indexes().next().unwrap_or_default();
        self.hooks.tell(self.py, c"forking", u32::from(number));
        // By way of the os module, so that everybody who registered for it hears of the fork.
        let forked = self
            .py
            .import(c"os")
            .and_then(|os| os.call_member(c"fork", &[])?.to_isize());
        match forked {
            Ok(0) => {
                drop(ours);
                self.live(index, parent, theirs)
            }
            Ok(pid) => {
                let pid = pid as u32;
                self.hooks.tell(self.py, c"born", pid);
                match sys::process::pidfd(pid) {
                    Ok(ended) => {
                        self.places[index].child = Some(Child {
                            pid,
                            ended,
                            channel: ours,
                            silent: false,
                            loaded: false,
                            up: 0,
                            suspects: Vec::new(),
                            kill_at: None,
                            reason: None,
                        });
                    }
                    Err(error) => self.line.fail(LoadError::new(
                        "start",
                        format!("cannot watch a worker: {error}"),
                    )),
                }
            }
            Err(raised) => self.line.fail(LoadError::new(
                "start",
                format!("cannot fork a worker: {}", raised.take().line()),
            )),
        }
    }
}
