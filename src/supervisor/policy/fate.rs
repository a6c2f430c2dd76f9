//! What follows when a host ends or a generation does not come up: another try, another kind, or giving up.

use super::Context;
use super::app::{App, CRASHES_MAX, FIRST_ATTEMPTS, Pending};
use super::event::{Action, End, HostId};
use super::host::{Host, Role};
use config::{Kind, KindChoice, LogLevel};
use control::message::{AppState, ToEdge};

/// How far a start got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Load,
    WarmUp,
    Run,
}

impl App {
    /// A host is gone, whatever it was doing.
    pub fn ended(&mut self, id: HostId, end: &End, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        let host = self.hosts.remove(at);
        // Also those never reported up: a worker may claim a request before its host gets to say that it is there.
        for seat in &host.seats {
            let (app, index, incarnation) = (self.index, seat.index, seat.incarnation);
            ctx.edge(ToEdge::WorkerGone {
                app,
                index,
                incarnation,
                reason: end.to_string(),
            });
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.for_seats) {
            pending.at_ms = ctx.now_ms;
        }
        match host.role {
            Role::Draining { .. } | Role::Quitting { .. } | Role::Killed => {
                if host.role == Role::Killed && host.seats.iter().any(|seat| seat.pid.is_some()) {
                    ctx.log(
                        LogLevel::Warning,
                        format!("{}: generation {} was killed", self.name, host.generation),
                    );
                }
            }
            Role::Probe { .. } => {
                self.fall_back(
                    &format!("its import in a sub-interpreter ends the process ({end})"),
                    ctx,
                );
            }
            Role::Starting => {
                let crashed = matches!(end, End::Signal(_));
                if crashed
                    && host.kind == Kind::Interpreters
                    && self.options.kind == KindChoice::Auto
                {
                    ctx.out.push(Action::ForgetProbe { app: self.index });
                    self.fall_back(
                        &format!("its workers crash in sub-interpreters ({end})"),
                        ctx,
                    );
                    return;
                }
                // Killed from outside: its start says nothing about the app.
                if self.ever_ready && *end == End::Signal(sys::process::SIGKILL) {
                    self.died(&host, end, ctx);
                    return;
                }
                // Some of its workers served already, so this is a death, not a start that failed: nobody is turned away.
                if host.seats.iter().any(|seat| seat.pid.is_some()) {
                    self.died(&host, end, ctx);
                    return;
                }
                let message = format!("its process ended while it started ({end})");
                self.start_failed(Some(host.generation), Stage::Run, &message, "", ctx);
            }
            Role::Serving => self.died(&host, end, ctx),
        }
    }

    pub(super) fn died(&mut self, host: &Host, end: &End, ctx: &mut Context<'_>) {
        let pid = host.pid.unwrap_or_default();
        let what = format!("its host (pid {pid}) ended: {end}; starting another");
        ctx.log(LogLevel::Error, format!("{}: {what}", self.name));
        self.replacement = Some((ctx.now_ms, what));
        // A SIGKILL comes from outside: an administrator, or the kernel short of memory.
        if matches!(end, End::Signal(signal) if *signal != sys::process::SIGKILL) {
            self.crashes += 1;
        }
        let may_change = self.options.kind == KindChoice::Auto && host.kind == Kind::Interpreters;
        if may_change && self.crashes >= CRASHES_MAX {
            // A successor of the same kind would not fare better.
            self.abandon_start(ctx);
            ctx.out.push(Action::ForgetProbe { app: self.index });
            self.fall_back(
                &format!("its workers keep crashing in sub-interpreters ({end})"),
                ctx,
            );
        }
        self.start_again(ctx);
    }

    /// It served, and its host is gone or useless.
    pub(super) fn start_again(&mut self, ctx: &mut Context<'_>) {
        if self.hosts.iter().any(|host| {
            matches!(
                host.role,
                Role::Probe { .. } | Role::Starting | Role::Serving
            )
        }) {
            return;
        }
        self.restarts += 1;
        let at_ms = self.backoff.after_death(ctx.now_ms);
        self.pending = Pending::at(at_ms, false);
        self.wait_state("crashed", at_ms, ctx);
    }

    /// A generation did not come up.
    pub(super) fn start_failed(
        &mut self,
        generation: Option<u32>,
        stage: Stage,
        message: &str,
        traceback: &str,
        ctx: &mut Context<'_>,
    ) {
        let load = stage == Stage::Load;
        let what = match stage {
            Stage::Load => "cannot be loaded",
            Stage::WarmUp => "does not pass its warm-up",
            Stage::Run => "does not start",
        };
        self.reload_failed = true;
        let refused =
            self.options.kind == KindChoice::Interpreters && message.contains("subinterpreter");
        let advice = if refused {
            "; without --kind interpreters it would run in processes"
        } else {
            ""
        };
        let message = &format!("{message}{advice}");
        self.hold_crew(ctx.now_ms);
        if self.options.reload && load {
            self.show_trouble(&format!("{what}: {message}"), traceback, ctx);
            return;
        }
        if self.is_serving() {
            let keeps = self
                .hosts
                .iter()
                .rev()
                .find(|host| host.role == Role::Serving)
                .map_or(0, |host| host.generation);
            let new = generation.map_or("the new code".to_owned(), |number| {
                format!("generation {number}")
            });
            let text = format!(
                "{}: {new} {what}: {message}; generation {keeps} keeps serving",
                self.name
            );
            ctx.log(LogLevel::Error, with_traceback(&text, traceback));
            return;
        }
        ctx.log(
            LogLevel::Error,
            with_traceback(&format!("{}: {what}: {message}", self.name), traceback),
        );
        if load && !self.ever_ready {
            self.decided = true;
            self.load_failed = true;
            self.set_state(AppState::Failed, format!("{what}: {message}"), ctx);
            return;
        }
        let at_ms = self.backoff.after_failure(ctx.now_ms);
        self.decided |= self.backoff.failures() >= FIRST_ATTEMPTS;
        self.pending = Pending::at(at_ms, false);
        self.wait_state(&format!("{what}: {message}"), at_ms, ctx);
    }

    /// Development: what is wrong is shown instead of the old code, until the next change.
    fn show_trouble(&mut self, text: &str, traceback: &str, ctx: &mut Context<'_>) {
        ctx.log(
            LogLevel::Error,
            with_traceback(&format!("{}: {text}", self.name), traceback),
        );
        self.decided = true;
        self.set_state(AppState::Failed, with_traceback(text, traceback), ctx);
        for at in 0..self.hosts.len() {
            if self.hosts[at].role == Role::Serving {
                self.drain(at, ctx);
            }
        }
    }

    pub(super) fn wait_state(&mut self, what: &str, at_ms: u64, ctx: &mut Context<'_>) {
        let wait_ms = at_ms - ctx.now_ms;
        let text = match wait_ms {
            0 => format!("{what}; being started again"),
            _ => format!(
                "{what}; started again in {}.{} s",
                wait_ms / 1000,
                wait_ms % 1000 / 100
            ),
        };
        if wait_ms > 0 {
            ctx.log(LogLevel::Warning, format!("{}: {text}", self.name));
        }
        // What is coming at once is worth waiting for: requests queue. A pause is not: they get 503.
        let state = if wait_ms == 0 {
            AppState::Starting
        } else {
            AppState::Backoff
        };
        self.set_state(state, text, ctx);
    }

    pub(super) fn set_state(&mut self, state: AppState, message: String, ctx: &mut Context<'_>) {
        (self.state, self.message) = (state, message.clone());
        ctx.edge(ToEdge::AppState {
            app: self.index,
            state,
            message,
        });
    }
}

/// The message, and under it what Python had to say.
pub(super) fn with_traceback(text: &str, traceback: &str) -> String {
    match traceback.trim_end() {
        "" => text.to_owned(),
        traceback => format!("{text}\n{traceback}"),
    }
}
