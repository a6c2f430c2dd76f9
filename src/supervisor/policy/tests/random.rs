//! Seeded random lives: children that come up, fail, hang and die in any order, with reloads and stops in between.
//!
//! What must hold after every event is checked here, not what happens in particular.

use super::*;
use crate::policy::host::Role;
use control::message::AppState;
use std::collections::{BTreeMap, BTreeSet};

/// A few of the thousands that were run when this was written.
const SEEDS: u64 = 60;
const EVENTS: usize = 600;

struct Random(u64);

impl Random {
    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The children as the operating system would have them, and what the edge believes.
struct Children {
    hosts: BTreeMap<HostId, HostOrder>,
    /// SIGKILL is on its way to these.
    killed: BTreeSet<HostId>,
    edge: bool,
    edge_killed: bool,
    /// (app, index) to incarnation, of this edge.
    up: BTreeMap<(usize, u16), u16>,
    sockets: BTreeSet<(usize, u16)>,
    /// Workers that were told to finish.
    retired: BTreeSet<(HostId, u16)>,
    exit: Option<u8>,
}

impl Children {
    fn follow(&mut self, actions: &[Action]) {
        for action in actions {
            assert!(self.exit.is_none(), "{action:?} after the exit");
            match action {
                Action::StartEdge => {
                    assert!(!std::mem::replace(&mut self.edge, true), "two edges");
                    self.edge_killed = false;
                    self.up.clear();
                    self.sockets.clear();
                }
                Action::StartHost(order) => {
                    assert!(
                        self.hosts.insert(order.host, order.clone()).is_none(),
                        "an id is used twice"
                    );
                }
                Action::GrowHost { host, workers, .. } => {
                    let order = self.hosts.get_mut(host).expect("a living host grows");
                    for worker in workers {
                        let before = order.workers.iter().any(|each| each.index == worker.index);
                        assert!(
                            !before || self.retired.contains(&(*host, worker.index)),
                            "a seat is given twice"
                        );
                        self.retired.remove(&(*host, worker.index));
                        order.workers.retain(|each| each.index != worker.index);
                        order.workers.push(*worker);
                    }
                }
                Action::ToHost(host, ToHost::Retire { index }) => {
                    self.retired.insert((*host, *index));
                }
                Action::ToEdge(message) => {
                    assert!(self.edge, "{message:?} for no edge");
                    self.tell_edge(message);
                }
                Action::KillHost(host) => drop(self.killed.insert(*host)),
                Action::KillEdge => self.edge_killed = true,
                Action::Exit(code) => {
                    assert!(
                        self.hosts.is_empty() && !self.edge,
                        "children are left behind"
                    );
                    self.exit = Some(*code);
                }
                _ => {}
            }
        }
    }

    fn tell_edge(&mut self, message: &ToEdge) {
        match message {
            ToEdge::Worker { app, index, .. } => {
                assert!(
                    self.sockets.insert((*app, *index)),
                    "a socket is sent twice"
                );
            }
            ToEdge::WorkerUp {
                app,
                index,
                incarnation,
                ..
            } => {
                assert!(
                    self.sockets.contains(&(*app, *index)),
                    "a worker without a socket"
                );
                let before = self.up.insert((*app, *index), *incarnation);
                assert!(
                    before.is_none_or(|life| life == *incarnation),
                    "two workers in one seat"
                );
            }
            ToEdge::WorkerGone {
                app,
                index,
                incarnation,
                ..
            } => {
                // It need not have been reported up, but it must not be another life that is.
                let before = self.up.remove(&(*app, *index));
                assert!(
                    before.is_none_or(|life| life == *incarnation),
                    "another life has gone"
                );
            }
            _ => {}
        }
    }
}

fn check(world: &World, children: &Children) {
    let policy = &world.policy;
    if children.exit.is_some() {
        return;
    }
    let deadline = policy.deadline();
    assert!(
        deadline.is_none_or(|at_ms| at_ms > world.now_ms),
        "{deadline:?} is past at {}: {:?} {:?} {:?}",
        world.now_ms,
        policy.stop,
        policy.edge,
        policy.apps.iter().map(|app| &app.hosts).collect::<Vec<_>>()
    );
    for app in &policy.apps {
        let starting = app
            .hosts
            .iter()
            .filter(|host| matches!(host.role, Role::Probe { .. } | Role::Starting));
        assert!(starting.count() <= 1, "two starts at once");
        let seats: Vec<u16> = app
            .hosts
            .iter()
            .flat_map(|host| &host.seats)
            .map(|seat| seat.index)
            .collect();
        let distinct: BTreeSet<u16> = seats.iter().copied().collect();
        assert_eq!(seats.len(), distinct.len(), "a seat for two");
        let lost = !app.is_serving() && !app.is_busy_loading() && app.state != AppState::Failed;
        assert!(
            !lost || policy.stop != Stop::No,
            "{} is forgotten: {:?}",
            app.name,
            app.hosts
        );
    }
    if children.edge {
        let seats = policy
            .apps
            .iter()
            .flat_map(|app| app.hosts.iter().map(move |host| (app.index, host)));
        let up: BTreeMap<(usize, u16), u16> = seats
            .flat_map(|(app, host)| host.seats.iter().map(move |seat| (app, seat)))
            .filter(|(_, seat)| seat.pid.is_some())
            .map(|(app, seat)| ((app, seat.index), seat.incarnation))
            .collect();
        assert_eq!(up, children.up, "the edge knows something else");
    }
}

/// Something that a child of this system might do next.
fn next_event(random: &mut Random, children: &Children) -> Event {
    let hosts: Vec<&HostOrder> = children.hosts.values().collect();
    if hosts.is_empty() || random.below(12) == 0 {
        return edge_event(random, children);
    }
    let order = hosts[random.below(hosts.len())];
    if order.probe {
        let verdict = match random.below(4) {
            0 => ProbeVerdict::Interpreters,
            1 => ProbeVerdict::Refused {
                module: "m".into(),
                message: "no".into(),
            },
            2 => ProbeVerdict::Failed {
                message: "m".into(),
                traceback: "t".into(),
                asgi: random.below(2) == 0,
            },
            _ => return Event::HostEnded(order.host, CRASHED),
        };
        return Event::FromHost(order.host, FromHost::Probe { verdict });
    }
    let worker = order.workers[random.below(order.workers.len())];
    let incarnation = worker.incarnation + random.below(2) as u16;
    let (host, index) = (order.host, worker.index);
    let message = match random.below(14) {
        12 => FromHost::SeatLost {
            index,
            incarnation,
            message: "m".into(),
        },
        13 => FromHost::Files {
            paths: vec!["/app.py".into()],
        },
        0..=3 => FromHost::WorkerUp {
            index,
            incarnation,
            pid: 1000 + u32::from(index),
            interface: Interface::Wsgi,
        },
        4 => FromHost::WorkerGone {
            index,
            incarnation,
            pid: 1,
            reason: "r".into(),
        },
        5 => FromHost::Loaded,
        6 => FromHost::Ready,
        7 => FromHost::Failed {
            stage: "import".into(),
            message: "m".into(),
            traceback: "t".into(),
        },
        8 => FromHost::LateRefusal { module: "m".into() },
        9 => FromHost::Drained,
        10 => return Event::HostEnded(host, KILLED),
        _ => {
            return Event::HostEnded(
                host,
                if random.below(2) == 0 {
                    CRASHED
                } else {
                    End::Code(1)
                },
            );
        }
    };
    Event::FromHost(host, message)
}

fn edge_event(random: &mut Random, children: &Children) -> Event {
    if random.below(5) == 0 {
        return upgrade_event(random);
    }
    if !children.edge {
        return Event::Tick;
    }
    match random.below(12) {
        8 => Event::MoreWorkers,
        9 => Event::FewerWorkers,
        10 => Event::FilesChanged {
            app: random.below(2),
        },
        11 => Event::ConfigRead(Err("a mistake".into())),
        0..=3 => Event::FromEdge(FromEdge::Ready {}),
        4 => Event::EdgeEnded(KILLED),
        5 => {
            let (app, index) = (random.below(2), random.below(8) as u16);
            let incarnation = children.up.get(&(app, index)).copied().unwrap_or(1);
            Event::FromEdge(FromEdge::WorkerStuck {
                app,
                index,
                incarnation,
                request: "GET /".into(),
            })
        }
        6 => Event::Reload,
        _ => Event::FromEdge(FromEdge::Command {
            id: random.next(),
            name: "reload".into(),
        }),
    }
}

/// Something that a new server, or whoever wants one, might do next, whether there is one or not.
fn upgrade_event(random: &mut Random) -> Event {
    match random.below(9) {
        0 | 1 => Event::Upgrade,
        2 => Event::FromEdge(FromEdge::Command {
            id: random.next(),
            name: "upgrade".into(),
        }),
        3 => Event::HeirStarted { pid: 77 },
        4 | 5 => Event::HeirReady,
        6 => Event::HeirTookOver,
        7 => Event::Rest,
        _ => Event::HeirEnded {
            why: "its end".into(),
            asked: random.below(3) == 0,
        },
    }
}

/// The exchange and the memory show something else.
fn look_different(random: &mut Random, world: &mut World) {
    let (app, index) = (random.below(2), random.below(8) as u16);
    let incarnation = world
        .policy
        .apps
        .get(app)
        .map_or(1, |app| app.incarnations[usize::from(index)]);
    let view = SeatView {
        incarnation,
        busy_since_ms: (random.below(2) == 0).then_some(world.now_ms),
        served: random.below(300) as u64,
    };
    world.seats.insert((app, index), view);
    world
        .memory
        .insert(1000 + u32::from(index), random.next() % (2 << 20));
    match random.below(2) {
        0 => world.queued_since_ms.remove(&app),
        _ => world.queued_since_ms.insert(app, world.now_ms),
    };
}

fn live(seed: u64) {
    let mut random = Random(seed);
    let choice = [
        KindChoice::Auto,
        KindChoice::Interpreters,
        KindChoice::Processes,
    ][random.below(3)];
    let mut config = config(1 + random.below(2), choice);
    for app in &mut config.apps {
        app.options.workers_max += random.below(3);
        app.options.max_requests = [0, 100][random.below(2)];
        app.options.max_requests_jitter = 10;
        app.options.threads = 1 + random.below(2);
        app.options.max_rss_bytes = [0, 1 << 20][random.below(2)];
        app.options.reload = random.below(4) == 0;
    }
    let mut world = World::with(config, None);
    let mut children = Children {
        hosts: BTreeMap::new(),
        killed: BTreeSet::new(),
        edge_killed: false,
        edge: false,
        up: BTreeMap::new(),
        sockets: BTreeSet::new(),
        retired: BTreeSet::new(),
        exit: None,
    };
    let step = |world: &mut World, children: &mut Children, event: Event| {
        match &event {
            Event::HostEnded(host, _) => drop(children.hosts.remove(host)),
            Event::EdgeEnded(_) => children.edge = false,

            _ => {}
        }
        let lost = match &event {
            Event::FromHost(host, FromHost::SeatLost { .. }) => Some(*host),
            _ => None,
        };
        world.event(event);
        // With a worker that is lost all its threads are.
        let hosts = world.policy.apps.iter().flat_map(|app| &app.hosts);
        for host in hosts.filter(|host| Some(host.id) == lost) {
            let has = |index: u16| host.seats.iter().any(|seat| seat.index == index);
            let order = &children.hosts[&host.id].workers;
            let gone = order.iter().filter(|worker| !has(worker.index));
            children
                .retired
                .extend(gone.map(|worker| (host.id, worker.index)));
        }
        children.follow(&world.actions);
        // One order is for all threads of a worker.
        for host in world.policy.apps.iter().flat_map(|app| &app.hosts) {
            for seat in host.seats.iter().filter(|seat| seat.leave_by_ms.is_some()) {
                let told = children.retired.contains(&(host.id, seat.leader));
                assert!(told || children.exit.is_some(), "nobody told it to leave");
                children.retired.insert((host.id, seat.index));
            }
        }
        check(world, children);
    };
    step(&mut world, &mut children, Event::Start);
    for _ in 0..EVENTS {
        world.now_ms += [0, 1, 50, 700, 5_000, 40_000][random.below(6)];
        // Time passes, so what was due has been done.
        step(&mut world, &mut children, Event::Tick);
        if children.exit.is_some() {
            return;
        }
        look_different(&mut random, &mut world);
        let event = next_event(&mut random, &children);
        step(&mut world, &mut children, event);
        if children.exit.is_some() {
            return;
        }
    }
    // Whatever state it is in, it ends in bounded time, even if nobody listens; SIGKILL works.
    step(
        &mut world,
        &mut children,
        if random.below(2) == 0 {
            Event::Terminate
        } else {
            Event::Interrupt
        },
    );
    for _ in 0..200 {
        if children.exit.is_some() {
            return;
        }
        let killed: Vec<HostId> = children
            .hosts
            .keys()
            .copied()
            .filter(|host| children.killed.contains(host))
            .collect();
        for host in killed {
            step(&mut world, &mut children, Event::HostEnded(host, KILLED));
        }
        if children.edge && children.edge_killed {
            step(&mut world, &mut children, Event::EdgeEnded(KILLED));
        }
        if children.exit.is_none() {
            world.now_ms += 1_000;
            step(&mut world, &mut children, Event::Tick);
        }
    }
    panic!(
        "it does not end: {:?} {:?}",
        world.policy.stop, children.hosts
    );
}

#[test]
fn nothing_is_forgotten_doubled_or_left_behind_whatever_happens() {
    for seed in 0..SEEDS {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
