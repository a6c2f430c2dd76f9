//! How many workers an app has, and which of them are to be replaced: bursts, quiet times, TTIN and TTOU, `max-requests`, `max-rss`.
//!
//! Workers come before others go, so nothing is lost. `processes`: single workers are forked and retired. `interpreters`: a host can
//! take more, but since an interpreter cannot be ended in a serving process, everything else is done by a new generation.

use super::app::App;
use super::host::{Host, Role, Seat};
use super::{Action, Context};
use config::{Interface, Kind, LogLevel};
use control::message::{ToEdge, ToHost, WorkerSpec};

/// How often the exchange is looked at where something can follow from it.
const LOOK_MS: u64 = 100;
/// How often memory is looked at; it takes longer.
const MEMORY_LOOK_MS: u64 = 1_000;
/// How often it is tried to get a seat while all are taken.
const SEATS_LOOK_MS: u64 = 1_000;
/// A request that waits so long for a worker makes another worker.
const GROW_AFTER_MS: u64 = 50;
/// Workers that were not needed for so long are let go.
const QUIET_MS: u64 = 30_000;
/// The same where it takes a new generation.
const QUIET_INTERPRETERS_MS: u64 = 300_000;
/// After something failed, nothing more is tried for so long.
const HOLD_MS: u64 = 30_000;
/// A worker that is too large again so soon is not replaced again: it needs that memory.
const YOUNG_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Crew {
    /// Workers of the serving generation, as soon as they can be had, and of the next.
    pub wanted: usize,
    /// TTIN and TTOU so far.
    shift: isize,
    look_at_ms: u64,
    memory_at_ms: u64,
    hold_until_ms: u64,
    quiet_since_ms: u64,
    /// Most workers busy at once since then.
    peak: usize,
    /// Replaced because of their age or size.
    pub recycled: u64,
}

impl Crew {
    pub fn of(wanted: usize) -> Crew {
        Crew {
            wanted,
            ..Crew::default()
        }
    }
}

impl App {
    /// Fewest and most workers.
    pub(super) fn bounds(&self) -> (usize, usize) {
        // Two generations stand side by side.
        let cap = self.incarnations.len() / 2 / self.options.seats_per_worker();
        let cap = cap.max(1);
        let shifted = |count: usize| count.saturating_add_signed(self.crew.shift);
        let low = shifted(self.options.workers).clamp(1, cap);
        (low, shifted(self.options.workers_max).clamp(low, cap))
    }

    pub(super) fn clamp_crew(&mut self) {
        let (low, high) = self.bounds();
        self.crew.wanted = self.crew.wanted.clamp(low, high);
    }

    /// TTIN, TTOU.
    pub fn shift_crew(&mut self, by: isize, ctx: &mut Context<'_>) {
        let before = self.bounds();
        self.crew.shift += by;
        if self.bounds() == before {
            self.crew.shift -= by;
            let what = if by > 0 { "more" } else { "fewer" };
            let text = format!(
                "{}: {what} workers than {} are not possible",
                self.name, before.0
            );
            ctx.log(LogLevel::Warning, text);
            return;
        }
        self.crew.wanted = self.crew.wanted.saturating_add_signed(by);
        self.clamp_crew();
        let text = format!("{}: {} workers from now on", self.name, self.crew.wanted);
        ctx.log(LogLevel::Info, text);
    }

    fn serving(&self) -> Option<usize> {
        self.hosts
            .iter()
            .position(|host| host.role == Role::Serving)
    }

    fn wants_looks(&self) -> bool {
        let (low, high) = self.bounds();
        high > low || self.options.max_requests > 0 || self.options.max_rss_bytes > 0
    }

    /// When something is due that is only done while the server is to go on.
    pub(super) fn wish_deadline(&self) -> Option<u64> {
        let change = self.change.map(|change| change.due_ms);
        self.crew_deadline().into_iter().chain(change).min()
    }

    fn crew_deadline(&self) -> Option<u64> {
        let host = &self.hosts[self.serving()?];
        if self.is_busy_loading() || host.condemned {
            return None;
        }
        let held = (host.crew_size() != self.crew.wanted).then_some(self.crew.hold_until_ms);
        let look = self.wants_looks().then_some(self.crew.look_at_ms);
        held.into_iter().chain(look).min()
    }

    pub(super) fn look_after_crew(&mut self, ctx: &mut Context<'_>) {
        let Some(at) = self.serving() else { return };
        if self.is_busy_loading() || self.hosts[at].condemned {
            return;
        }
        if self.wants_looks() && self.crew.look_at_ms <= ctx.now_ms {
            self.crew.look_at_ms = ctx.now_ms + LOOK_MS;
            if ctx.now_ms >= self.crew.hold_until_ms {
                self.size(at, ctx);
                self.recycle(at, ctx);
            }
        }
        self.keep_size(at, ctx);
    }

    /// A generation or a worker did not come up: the next try is not at once.
    pub(super) fn hold_crew(&mut self, now_ms: u64) {
        self.crew.hold_until_ms = now_ms + HOLD_MS;
    }

    /// Makes the number of workers what it is to be.
    fn keep_size(&mut self, at: usize, ctx: &mut Context<'_>) {
        let host = &self.hosts[at];
        let (size, wanted) = (host.crew_size(), self.crew.wanted);
        if size == wanted || ctx.now_ms < self.crew.hold_until_ms || self.is_busy_loading() {
            return;
        }
        if size < wanted {
            self.grow(at, wanted - size, None, ctx);
        } else if host.kind == Kind::Interpreters {
            self.succeed(ctx);
        } else {
            let mut staying: Vec<u16> = host.crew().map(|seat| seat.index).collect();
            staying.sort_unstable();
            for index in staying.split_off(wanted) {
                self.retire(at, index, ctx);
            }
        }
    }

    /// More workers for the host. With `replaces`, one that takes over from that seat.
    fn grow(&mut self, at: usize, count: usize, replaces: Option<u16>, ctx: &mut Context<'_>) {
        let threads = self.hosts[at].threads;
        let mut free = self.free_seats(count * threads);
        free.truncate(free.len() / threads * threads);
        if free.len() < count * threads {
            // Those that are leaving still have them.
            self.crew.hold_until_ms = ctx.now_ms + SEATS_LOOK_MS;
        }
        if free.is_empty() {
            return;
        }
        let workers: Vec<WorkerSpec> = free
            .into_iter()
            .map(|index| self.next_life(index))
            .collect();
        let host = &mut self.hosts[at];
        let mut seats = Seat::of_workers(&workers, threads);
        for leader in seats.iter_mut().step_by(threads) {
            leader.replaces = replaces;
        }
        host.seats.extend(seats);
        let host = host.id;
        for spec in &workers {
            self.introduce_seat(spec.index, ctx);
        }
        ctx.out.push(Action::GrowHost {
            host,
            app: self.index,
            workers,
        });
    }

    /// The worker of this leader is to finish.
    pub(super) fn retire(&mut self, at: usize, leader: u16, ctx: &mut Context<'_>) {
        let leave_by_ms = ctx.now_ms + self.options.graceful_ms;
        let host = &mut self.hosts[at];
        let mut known = false;
        for seat in &mut host.seats {
            if seat.leader == leader && seat.leave_by_ms.is_none() {
                seat.leave_by_ms = Some(leave_by_ms);
                known = true;
            }
        }
        if known {
            let order = ToHost::Retire { index: leader };
            ctx.out.push(Action::ToHost(host.id, order));
        }
    }

    /// Workers that were told to finish and do not.
    pub(super) fn kill_overdue(&mut self, at: usize, ctx: &mut Context<'_>) {
        let name = &self.name;
        let host = &mut self.hosts[at];
        let kind = host.kind;
        let mut killed = 0;
        for seat in &mut host.seats {
            if seat.leave_by_ms.is_none_or(|at_ms| at_ms > ctx.now_ms) {
                continue;
            }
            seat.leave_by_ms = Some(ctx.now_ms + super::app::QUIT_MS);
            let pid = seat.pid.filter(|pid| *pid != killed);
            if let (Kind::Processes, Some(pid)) = (kind, pid) {
                killed = pid;
                let text = format!(
                    "{name}: worker {} (pid {pid}) does not finish; killing it",
                    seat.index
                );
                ctx.log(LogLevel::Warning, text);
                ctx.out.push(Action::KillWorker { pid });
            }
        }
    }

    /// The host gives up a worker that it could not start.
    pub(super) fn seat_lost(
        &mut self,
        at: usize,
        index: u16,
        message: &str,
        ctx: &mut Context<'_>,
    ) {
        self.hold_crew(ctx.now_ms);
        ctx.log(
            LogLevel::Error,
            format!("{}: worker {index} does not start: {message}", self.name),
        );
        let app = self.index;
        self.hosts[at].seats.retain(|seat| {
            if seat.leader == index && seat.pid.is_some() {
                ctx.edge(ToEdge::WorkerGone {
                    app,
                    index: seat.index,
                    incarnation: seat.incarnation,
                    reason: message.to_owned(),
                });
            }
            seat.leader != index
        });
    }

    /// Bursts make more workers, quiet times fewer.
    fn size(&mut self, at: usize, ctx: &mut Context<'_>) {
        let (low, high) = self.bounds();
        let (app, now_ms) = (self.index, ctx.now_ms);
        let host = &self.hosts[at];
        let size = host.crew_size();
        let waits = ctx.outside.queued_since_ms(app);
        let threads_of = |leader: &Seat| {
            let leader = leader.index;
            host.seats.iter().filter(move |seat| seat.leader == leader)
        };
        let busy = |seat: &&Seat| {
            (ctx.outside.seat(app, seat.index)).is_some_and(|view| view.busy_since_ms.is_some())
        };
        let busy = host
            .crew()
            .filter(|leader| threads_of(leader).any(|seat| busy(&seat)))
            .count();
        let crew = &mut self.crew;
        let late = waits.is_some_and(|since_ms| since_ms + GROW_AFTER_MS <= now_ms);
        if late && crew.wanted < high && size == crew.wanted && !host.is_growing() {
            crew.wanted += 1;
            crew.quiet_since_ms = now_ms;
            crew.peak = 0;
            let text = format!("{}: requests wait; {} workers now", self.name, crew.wanted);
            ctx.log(LogLevel::Info, text);
            return;
        }
        crew.peak = crew.peak.max(if waits.is_some() { size } else { busy });
        let quiet_ms = match host.kind {
            Kind::Processes => QUIET_MS,
            Kind::Interpreters => QUIET_INTERPRETERS_MS,
        };
        if crew.wanted <= low || now_ms < crew.quiet_since_ms + quiet_ms {
            if crew.wanted <= low {
                crew.quiet_since_ms = now_ms;
                crew.peak = 0;
            }
            return;
        }
        let needed = (crew.peak + 1).clamp(low, crew.wanted);
        crew.quiet_since_ms = now_ms;
        crew.peak = 0;
        if needed < crew.wanted {
            crew.wanted = needed;
            let text = format!("{}: it is quiet; {needed} workers now", self.name);
            ctx.log(LogLevel::Info, text);
        }
    }

    /// Workers that served long enough, or have grown too large.
    fn recycle(&mut self, at: usize, ctx: &mut Context<'_>) {
        let app = self.index;
        let host = &self.hosts[at];
        if self.is_busy_loading() || host.is_growing() {
            return;
        }
        let weigh = self.options.max_rss_bytes > 0 && self.crew.memory_at_ms <= ctx.now_ms;
        if weigh {
            self.crew.memory_at_ms = ctx.now_ms + MEMORY_LOOK_MS;
        }
        let too_large = |pid: Option<u32>, up_ms: u64| {
            let bytes = pid
                .filter(|_| weigh && up_ms + YOUNG_MS <= ctx.now_ms)
                .and_then(|pid| ctx.outside.resident_bytes(pid))?;
            (bytes > self.options.max_rss_bytes).then(|| format!("{} MiB of memory", bytes >> 20))
        };
        let served = |seat: &Seat| {
            let view = ctx.outside.seat(app, seat.index);
            let same = view.filter(|view| view.incarnation == seat.incarnation);
            same.map_or(0, |view| view.served)
        };
        let too_old = |leader: &Seat| {
            let threads = host.seats.iter();
            let threads = threads.filter(|seat| seat.leader == leader.index && seat.pid.is_some());
            let served: u64 = threads.map(served).sum();
            (leader.limit > 0 && served >= leader.limit).then(|| format!("{served} requests"))
        };
        match host.kind {
            Kind::Processes => {
                let due = host.crew().find_map(|seat| {
                    let why = too_old(seat).or_else(|| too_large(seat.pid, seat.up_ms));
                    let why = why.filter(|_| seat.stuck.is_none())?;
                    Some((seat.index, seat.pid.unwrap_or_default(), why))
                });
                if let Some((index, pid, why)) = due {
                    self.crew.recycled += 1;
                    let what = format!("worker {index} (pid {pid}) is replaced after {why}");
                    ctx.log(LogLevel::Info, format!("{}: {what}", self.name));
                    self.replacement = Some((ctx.now_ms, what));
                    self.grow(at, 1, Some(index), ctx);
                }
            }
            Kind::Interpreters => {
                let old = host.crew().find_map(too_old);
                if let Some(why) = old.or_else(|| too_large(host.pid, host.started_ms)) {
                    self.crew.recycled += 1;
                    let what = format!("its interpreters are replaced after {why}");
                    ctx.log(LogLevel::Info, format!("{}: {what}", self.name));
                    self.replacement = Some((ctx.now_ms, what));
                    self.succeed(ctx);
                }
            }
        }
    }

    /// After how many requests a worker is replaced; 0: never.
    pub(super) fn draw_limit(&self, ctx: &mut Context<'_>) -> u64 {
        match self.options.max_requests {
            0 => 0,
            least => least + ctx.random(self.options.max_requests_jitter),
        }
    }
}

impl Host {
    /// One seat for each worker.
    pub(super) fn leaders(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.leader == seat.index)
    }

    /// Those who are to stay, a successor not counted before it has taken over.
    fn crew(&self) -> impl Iterator<Item = &Seat> {
        self.leaders()
            .filter(|seat| seat.leave_by_ms.is_none() && seat.replaces.is_none())
    }

    fn crew_size(&self) -> usize {
        self.crew().count()
    }

    /// Somebody is not up yet.
    fn is_growing(&self) -> bool {
        self.seats
            .iter()
            .any(|seat| seat.pid.is_none() && seat.leave_by_ms.is_none())
    }
}

impl Seat {
    /// Seats of workers with so many threads each.
    pub(super) fn of_workers(specs: &[WorkerSpec], threads: usize) -> Vec<Seat> {
        let workers = specs.chunks(threads.max(1));
        let seats =
            workers.flat_map(|worker| worker.iter().map(|spec| Seat::new(*spec, worker[0].index)));
        seats.collect()
    }

    fn new(spec: WorkerSpec, leader: u16) -> Seat {
        Seat {
            index: spec.index,
            leader,
            incarnation: spec.incarnation,
            pid: None,
            interface: Interface::Wsgi,
            stuck: None,
            up_ms: 0,
            limit: 0,
            replaces: None,
            leave_by_ms: None,
        }
    }
}
