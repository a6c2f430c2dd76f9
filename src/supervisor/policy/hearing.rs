//! What an app's hosts report: probe verdicts, workers up and gone, readiness, failure.

use super::Context;
use super::app::{App, Pending, QUIT_MS};
use super::event::{Action, HostId};
use super::fate::{Stage, with_traceback};
use super::host::{Role, Seat};
use config::{Extensions, Interface, Kind, KindChoice, LogLevel};
use control::message::{AppState, FromHost, ProbeVerdict, ToEdge, ToHost};

/// As `sys` words the end of a worker that was told to leave.
const ORDERLY_END: &str = "exit code 0";

impl App {
    pub fn host_started(&mut self, id: HostId, pid: u32) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.id == id) {
            host.pid = Some(pid);
        }
    }

    pub fn handle(&mut self, id: HostId, message: FromHost, ctx: &mut Context<'_>) {
        match message {
            FromHost::Probe { verdict } => self.probed(id, verdict, ctx),
            FromHost::WorkerUp {
                index,
                incarnation,
                pid,
                interface,
            } => self.worker_up(id, index, incarnation, pid, interface, ctx),
            FromHost::WorkerGone {
                index,
                incarnation,
                pid,
                reason,
            } => {
                self.worker_gone(id, index, incarnation, pid, &reason, ctx);
            }
            FromHost::Loaded => self.loaded(id, ctx),
            FromHost::Ready => self.ready(id, ctx),
            FromHost::Failed {
                stage,
                message,
                traceback,
            } => self.failed(id, &stage, &message, &traceback, ctx),
            FromHost::SeatLost {
                index,
                incarnation,
                message,
            } => {
                let Some(at) = self.position(id) else { return };
                let same = |seat: &&mut Seat| seat.incarnation == incarnation;
                if self.hosts[at].seat(index).filter(same).is_some() {
                    self.worker_gone(id, index, incarnation, 0, &message, ctx);
                    self.seat_lost(at, index, &message, ctx);
                }
            }
            FromHost::Files { paths } => ctx.out.push(Action::Watch {
                app: self.index,
                paths,
            }),
            FromHost::LateRefusal { module } => self.late_refusal(id, &module, ctx),
            // Its end follows, and says the same.
            FromHost::Drained | FromHost::HookDone => {}
        }
    }

    pub(super) fn position(&self, id: HostId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == id)
    }

    pub(super) fn probed(&mut self, id: HostId, verdict: ProbeVerdict, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        if !matches!(self.hosts[at].role, Role::Probe { .. }) {
            return;
        }
        self.hosts[at].role = Role::Quitting {
            kill_at_ms: ctx.now_ms + QUIT_MS,
        };
        self.probe = match &verdict {
            ProbeVerdict::Interpreters => serde_json::json!({ "verdict": "interpreters" }),
            ProbeVerdict::Degraded { modules } => {
                serde_json::json!({ "verdict": "degraded", "degraded": modules })
            }
            ProbeVerdict::Refused { module, message } => {
                serde_json::json!({ "verdict": "refused", "refuses": [module], "message": message })
            }
            ProbeVerdict::Failed { message, .. } => {
                serde_json::json!({ "verdict": "failed", "message": message })
            }
        };
        match verdict {
            ProbeVerdict::Interpreters => {
                let why = match self.options.extensions {
                    Extensions::Shared => "everything it imports works in a sub-interpreter",
                    Extensions::Private => {
                        "everything it imports works in two sub-interpreters, with private copies of extensions (experimental)"
                    }
                };
                self.decide(Kind::Interpreters, why);
                self.pending = Pending::at(ctx.now_ms, false);
            }
            ProbeVerdict::Degraded { modules } => {
                let why = format!(
                    "in a sub-interpreter these modules lose their C part: {}",
                    modules.join(", ")
                );
                self.fall_back(&why, ctx);
            }
            ProbeVerdict::Refused { module, message } => {
                self.fall_back(
                    &format!("{module} does not load in a sub-interpreter ({message})"),
                    ctx,
                );
            }
            ProbeVerdict::Failed {
                message,
                traceback,
                asgi: true,
            } => {
                self.start_failed(None, Stage::Load, &message, &traceback, ctx);
            }
            // It may be the sub-interpreter's fault (signal handlers, fork); a process is the judge of that, and only
            // if it can load the app there is something to say.
            ProbeVerdict::Failed { message, .. } => {
                self.fall_back_quietly(
                    &format!("its import fails in a sub-interpreter ({message})"),
                    ctx,
                );
            }
        }
    }

    pub(super) fn decide(&mut self, kind: Kind, why: &str) {
        self.kind = Some(kind);
        why.clone_into(&mut self.why);
    }

    /// On to processes, with one line that says why.
    pub(super) fn fall_back(&mut self, why: &str, ctx: &mut Context<'_>) {
        ctx.log(
            LogLevel::Info,
            format!("{}: workers are processes: {why}", self.name),
        );
        self.fall_back_quietly(why, ctx);
    }

    /// On to processes; the banner and `status` say why.
    fn fall_back_quietly(&mut self, why: &str, ctx: &mut Context<'_>) {
        self.decide(Kind::Processes, why);
        self.pending = Pending::at(ctx.now_ms, false);
    }

    pub(super) fn worker_up(
        &mut self,
        id: HostId,
        index: u16,
        incarnation: u16,
        pid: u32,
        interface: Interface,
        ctx: &mut Context<'_>,
    ) {
        let Some(at) = self.position(id) else { return };
        let limit = match self.hosts[at].kind {
            Kind::Processes => self.draw_limit(ctx),
            Kind::Interpreters => self.hosts[at].limit,
        };
        let host = &mut self.hosts[at];
        let (generation, kind) = (host.generation, host.kind);
        let Some(seat) = host.seat(index) else {
            ctx.log(
                LogLevel::Error,
                format!(
                    "{}: its host speaks of worker {index}, which is not its own",
                    self.name
                ),
            );
            return;
        };
        let before = seat.pid.map(|_| seat.incarnation);
        let replaced = seat.replaces;
        *seat = Seat {
            index,
            incarnation,
            pid: Some(pid),
            interface,
            stuck: None,
            up_ms: ctx.now_ms,
            limit,
            replaces: None,
            ..*seat
        };
        self.incarnations[usize::from(index)] = incarnation;
        let app = self.index;
        if let Some(incarnation) = before.filter(|life| *life != incarnation) {
            ctx.edge(ToEdge::WorkerGone {
                app,
                index,
                incarnation,
                reason: "replaced".into(),
            });
        }
        ctx.edge(ToEdge::WorkerUp {
            app,
            index,
            incarnation,
            generation,
            pid,
            kind,
            interface,
            up_ms: ctx.now_ms,
        });
        if let Some(old) = replaced {
            self.retire(at, old, ctx);
        }
    }

    pub(super) fn worker_gone(
        &mut self,
        id: HostId,
        index: u16,
        incarnation: u16,
        pid: u32,
        reason: &str,
        ctx: &mut Context<'_>,
    ) {
        let Some(at) = self.position(id) else { return };
        let leaving = self.hosts[at].is_leaving();
        let Some(seat) = self.hosts[at]
            .seat(index)
            .filter(|seat| seat.incarnation == incarnation)
        else {
            return;
        };
        let was_up = seat.pid.take().is_some();
        seat.stuck = None;
        // The life that the host starts next; if the host dies before it can speak of it, it is this one that has gone.
        let next = incarnation.wrapping_add(1).max(1);
        seat.incarnation = next;
        self.incarnations[usize::from(index)] = next;
        let retired = seat.leave_by_ms.is_some();
        if retired {
            self.hosts[at].seats.retain(|seat| seat.index != index);
        }
        if !was_up {
            return;
        }
        if !leaving && !retired {
            let what = format!("worker {index} (pid {pid}) ended: {reason}");
            // A service manager tells every process to end, and so the workers too.
            let level = match ctx.stopping && reason == ORDERLY_END {
                true => LogLevel::Debug,
                false => LogLevel::Warning,
            };
            ctx.log(level, format!("{}: {what}", self.name));
            self.replacement = Some((ctx.now_ms, what));
        }
        ctx.edge(ToEdge::WorkerGone {
            app: self.index,
            index,
            incarnation,
            reason: reason.to_owned(),
        });
    }

    /// All of them may take requests now, if they are still wanted.
    fn loaded(&mut self, id: HostId, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        let host = &mut self.hosts[at];
        if host.role == Role::Starting && !std::mem::replace(&mut host.open, true) {
            ctx.out.push(Action::ToHost(id, ToHost::Open));
        }
    }

    pub(super) fn ready(&mut self, id: HostId, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        if self.hosts[at].role != Role::Starting {
            return;
        }
        self.hosts[at].role = Role::Serving;
        self.backoff.worked();
        self.decided = true;
        self.load_failed = false;
        let host = &self.hosts[at];
        let (generation, kind, workers) = (host.generation, host.kind, host.leaders().count());
        let took_ms = ctx.now_ms - host.started_ms;
        ctx.log(
            LogLevel::Info,
            format!(
                "{}: generation {generation} is up after {}.{:02} s, {}",
                self.name,
                took_ms / 1000,
                took_ms % 1000 / 10,
                crate::banner::workers_text(workers, kind)
            ),
        );
        let looped = host
            .seats
            .iter()
            .any(|seat| seat.pid.is_some() && seat.interface == Interface::Asgi);
        if looped && self.options.threads > 1 {
            ctx.log(
                LogLevel::Warning,
                format!(
                    "{}: --threads {} changes nothing, it is for WSGI: this is an ASGI application, and each of its workers serves all its requests on one event loop; --workers makes more of them",
                    self.name, self.options.threads
                ),
            );
        }
        self.ever_ready = true;
        self.set_state(AppState::Ready, "ready".into(), ctx);
        for at in 0..self.hosts.len() {
            if self.hosts[at].role == Role::Serving && self.hosts[at].id != id {
                self.drain(at, ctx);
            }
        }
    }

    pub(super) fn drain(&mut self, at: usize, ctx: &mut Context<'_>) {
        let host = &mut self.hosts[at];
        host.role = Role::Draining {
            quit_at_ms: ctx.now_ms + self.options.graceful_ms,
        };
        if host.condemned {
            host.look_at_ms = Some(ctx.now_ms);
        }
        ctx.out.push(Action::ToHost(host.id, ToHost::Drain));
    }

    pub(super) fn late_refusal(&mut self, id: HostId, module: &str, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        if self.hosts[at].is_leaving() || self.kind != Some(Kind::Interpreters) {
            return;
        }
        if self.options.kind == KindChoice::Interpreters {
            ctx.log(
                LogLevel::Error,
                format!("{}: module {module} does not load in a sub-interpreter; without --kind interpreters the workers would be processes now", self.name),
            );
            return;
        }
        self.abandon_start(ctx);
        ctx.out.push(Action::ForgetProbe { app: self.index });
        self.fall_back(
            &format!("module {module}, imported while serving, does not load in a sub-interpreter"),
            ctx,
        );
    }

    pub(super) fn failed(
        &mut self,
        id: HostId,
        stage: &str,
        message: &str,
        traceback: &str,
        ctx: &mut Context<'_>,
    ) {
        let Some(at) = self.position(id) else { return };
        let host = &mut self.hosts[at];
        let starting = host.role == Role::Starting;
        let generation = host.generation;
        if host.is_leaving() {
            return;
        }
        host.role = Role::Quitting {
            kill_at_ms: ctx.now_ms + QUIT_MS,
        };
        if starting {
            let stage = match stage {
                "worker" => Stage::Run,
                "warmup" => Stage::WarmUp,
                _ => Stage::Load,
            };
            self.start_failed(Some(generation), stage, message, traceback, ctx);
        } else {
            ctx.log(
                LogLevel::Error,
                with_traceback(
                    &format!("{}: its host failed: {message}", self.name),
                    traceback,
                ),
            );
            self.start_again(ctx);
        }
    }
}
