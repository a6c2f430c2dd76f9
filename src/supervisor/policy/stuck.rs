//! Workers whose request ran over `--timeout`: first the host is asked, then harder measures, each after a moment.
//!
//! The host interrupts the request. `processes`: or else kills the worker and forks another; if it does not, we kill the worker, then the
//! host. `interpreters`: or else gives the seat to a new interpreter; if that fails too, a new generation takes over and the
//! old host ends as soon as its other workers are idle.

use super::app::App;
use super::host::{Host, Role, Stuck};
use super::{Action, Context};
use config::{Kind, LogLevel};
use control::message::ToHost;

/// How long a measure may take to work.
fn moment_ms(kind: Kind) -> u64 {
    match kind {
        // The host asks a loop to turn, interrupts and kills, a second each; and a hook worker_abort has one more.
        Kind::Processes => 5_000,
        // The host interrupts, after 1 to 3 s gives the seat to a new interpreter, and has to create that.
        Kind::Interpreters => 6_000,
    }
}

/// How often the exchange is looked at while a condemned host finishes its other requests.
const LOOK_MS: u64 = 100;

impl App {
    /// The edge gave up on a request.
    pub fn worker_stuck(
        &mut self,
        index: u16,
        incarnation: u16,
        request: &str,
        ctx: &mut Context<'_>,
    ) {
        let name = &self.name;
        for host in &mut self.hosts {
            let leaving = host.is_leaving();
            let (id, kind, now_ms) = (host.id, host.kind, ctx.now_ms);
            // One that was interrupted may be stuck again, with another request.
            forget_those_that_came_free(host, self.index, ctx);
            let Some(seat) = host
                .seat(index)
                .filter(|seat| seat.incarnation == incarnation && seat.pid.is_some())
            else {
                continue;
            };
            if seat.stuck.is_some() {
                return;
            }
            let pid = seat.pid.unwrap_or_default();
            seat.stuck = Some(Stuck {
                since_ms: now_ms,
                measures: 0,
            });
            ctx.log(
                LogLevel::Error,
                format!(
                    "{name}: {request} ran over --timeout in worker {index} (pid {pid}); it is interrupted"
                ),
            );
            ctx.out.push(Action::ToHost(id, ToHost::Replace { index }));
            if !leaving {
                host.look_at_ms = Some(now_ms + moment_ms(kind));
            }
            return;
        }
    }

    pub(super) fn look_after_stuck(&mut self, ctx: &mut Context<'_>) {
        for at in 0..self.hosts.len() {
            if self.hosts[at]
                .look_at_ms
                .is_none_or(|at_ms| at_ms > ctx.now_ms)
            {
                continue;
            }
            self.hosts[at].look_at_ms = None;
            match self.hosts[at].role {
                Role::Draining { .. } if self.hosts[at].condemned => self.end_when_idle(at, ctx),
                Role::Serving => self.take_measures(at, ctx),
                _ => {}
            }
        }
    }

    /// Only the stuck ones are left: nothing is lost any more.
    fn end_when_idle(&mut self, at: usize, ctx: &mut Context<'_>) {
        let app = self.index;
        let host = &mut self.hosts[at];
        let others = host
            .seats
            .iter()
            .filter(|seat| seat.stuck.is_none() && seat.pid.is_some());
        let busy = others
            .filter_map(|seat| ctx.outside.seat(app, seat.index))
            .any(|view| view.busy_since_ms.is_some());
        if busy {
            host.look_at_ms = Some(ctx.now_ms + LOOK_MS);
            return;
        }
        host.role = Role::Killed;
        ctx.out.push(Action::KillHost(host.id));
    }

    fn take_measures(&mut self, at: usize, ctx: &mut Context<'_>) {
        let (app, name) = (self.index, self.name.clone());
        let host = &mut self.hosts[at];
        forget_those_that_came_free(host, app, ctx);
        let (id, kind) = (host.id, host.kind);
        let mut kill_host = false;
        for seat in &mut host.seats {
            let (Some(stuck), Some(pid)) = (&mut seat.stuck, seat.pid) else {
                continue;
            };
            stuck.measures += 1;
            match (kind, stuck.measures) {
                (Kind::Processes, 1) => {
                    ctx.log(
                        LogLevel::Warning,
                        format!(
                            "{name}: worker {} (pid {pid}) is still there; killing it",
                            seat.index
                        ),
                    );
                    ctx.out.push(Action::KillWorker { pid });
                }
                (Kind::Processes, _) => kill_host = true,
                (Kind::Interpreters, _) => {}
            }
        }
        if host.seats.iter().all(|seat| seat.stuck.is_none()) {
            return;
        }
        host.look_at_ms = Some(ctx.now_ms + moment_ms(kind));
        if kill_host {
            host.look_at_ms = None;
            ctx.log(
                LogLevel::Error,
                format!("{name}: its host does not replace the worker; killing the host"),
            );
            ctx.out.push(Action::KillHost(id));
        } else if kind == Kind::Interpreters && !host.condemned {
            host.condemned = true;
            host.look_at_ms = None;
            if self.succeed(ctx) {
                ctx.log(
                    LogLevel::Warning,
                    format!("{name}: the request cannot be interrupted; a new generation takes over, the old one ends when its other requests are done"),
                );
            }
        }
    }
}

/// A worker that runs another request, or none, is not stuck any more.
fn forget_those_that_came_free(host: &mut Host, app: usize, ctx: &Context<'_>) {
    for seat in &mut host.seats {
        let Some(stuck) = &seat.stuck else { continue };
        let same = ctx.outside.seat(app, seat.index).is_some_and(|view| {
            view.incarnation == seat.incarnation
                && view
                    .busy_since_ms
                    .is_some_and(|since| since <= stuck.since_ms)
        });
        if !same {
            seat.stuck = None;
        }
    }
}
