//! The descriptors that outlive children: listeners, doorbells, segments, worker sockets, log pipes.
//!
//! Owns them all, and knows which go with which message. Invariant: both ends of every worker socket and log pipe stay
//! open here, so that the end of one child breaks nothing for the other.

use crate::listen::{self, Listener};
use crate::names::SocketName;
use crate::policy::{HostOrder, Outside, SeatView};
use config::{Address, Config, Mistake};
use control::message::{ToEdge, WorkerSpec};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::eventfd::EventFd;

/// Seats per worker asked for: the serving generation, its successor, and those that are still finishing.
const SEATS_PER_WORKER: usize = 4;
const SEATS_MIN: usize = 16;
/// Slots below which a ring thread could not even overlap a few requests.
const SLOTS_PER_RING_MIN: usize = 64;
/// Stale packets in the socket of a worker that has died; its buffer holds fewer.
const STALE_PACKETS_MAX: usize = 1024;

pub struct Resources {
    pub listeners: Vec<Listener>,
    doorbells: Vec<EventFd>,
    status: OwnedFd,
    apps: Vec<AppResources>,
}

struct AppResources {
    segment_fd: OwnedFd,
    segment: shm::Segment,
    /// By seat index, once in use.
    seats: Vec<Option<SeatEnds>>,
    /// By generation: (read end, write end).
    pipes: BTreeMap<u32, (OwnedFd, OwnedFd)>,
}

/// What the worker of a seat and the edge have in common besides the segment.
struct SeatEnds {
    edge_socket: OwnedFd,
    worker_socket: OwnedFd,
    /// Rung by whoever wants the worker's event loop to turn.
    wake: EventFd,
}

/// Seats in each app's exchange: enough for the app that has most workers.
pub fn seats(config: &Config) -> u16 {
    let seats = config
        .apps
        .iter()
        .map(|app| app.options.workers_max * app.options.seats_per_worker());
    (seats.max().unwrap_or_default() * SEATS_PER_WORKER)
        .clamp(SEATS_MIN, shm::layout::WORKERS_MAX as usize) as u16
}

/// Slots of an app's exchange: `pending` ones shared out among the rings, and on every ring as many as there may be WebSockets, since chance decides
/// which ring a connection comes to. Those never used are never touched.
fn slots(config: &Config) -> u32 {
    let rings = config.rings;
    let requests = config.limits.pending.max(rings * SLOTS_PER_RING_MIN);
    let most = shm::layout::SLOTS_MAX as usize / rings * rings;
    (requests + config.limits.websockets * rings).min(most) as u32
}

impl Resources {
    pub fn create(
        config: &Config,
        listeners: Vec<Listener>,
        status: OwnedFd,
    ) -> Result<Resources, Mistake> {
        let create = || -> io::Result<Resources> {
            let doorbells = (0..config.rings)
                .map(|_| EventFd::new())
                .collect::<io::Result<Vec<_>>>()?;
            let apps = config
                .apps
                .iter()
                .map(|_| AppResources::create(config))
                .collect::<io::Result<Vec<_>>>()?;
            Ok(Resources {
                listeners,
                doorbells,
                status,
                apps,
            })
        };
        create().map_err(|error| {
            let what = config::world::plain(&error);
            Mistake(format!(
                "the shared memory of the applications cannot be created ({what})"
            ))
        })
    }

    /// The descriptors that go beside a message to the edge; `None` if what it speaks of is gone meanwhile.
    pub fn beside(&mut self, message: &ToEdge) -> io::Result<Option<Vec<BorrowedFd<'_>>>> {
        Ok(Some(match message {
            ToEdge::Start { .. } => {
                let doorbells = self.doorbells.iter().map(AsFd::as_fd);
                doorbells.chain([self.status.as_fd()]).collect()
            }
            ToEdge::Listener { address, .. } => {
                let mut listeners = self.listeners.iter();
                match listeners.find(|listener| listener.address == *address) {
                    Some(listener) => listener.sockets.iter().map(AsFd::as_fd).collect(),
                    None => return Ok(None),
                }
            }
            ToEdge::App { app, .. } => vec![self.apps[*app].segment_fd.as_fd()],
            ToEdge::Worker { app, index, .. } => {
                let ends = self.apps[*app].ends(*index)?;
                vec![ends.edge_socket.as_fd(), ends.wake.as_fd()]
            }
            ToEdge::HostLog { app, generation } => match self.apps[*app].pipes.get(generation) {
                Some((read, _)) => vec![read.as_fd()],
                None => return Ok(None),
            },
            _ => Vec::new(),
        }))
    }

    /// The descriptors of a host's `Start`.
    pub fn for_host<'a>(&'a mut self, order: &HostOrder) -> io::Result<Vec<BorrowedFd<'a>>> {
        if order.probe {
            return Ok(Vec::new());
        }
        let app = &mut self.apps[order.app];
        app.prepare_ends(&order.workers)?;
        let mut descriptors = vec![app.segment_fd.as_fd()];
        descriptors.extend(self.doorbells.iter().map(AsFd::as_fd));
        descriptors.extend(app.ends_of(&order.workers));
        Ok(descriptors)
    }

    /// Where a host's stdout and stderr go.
    pub fn log_pipe(&mut self, app: usize, generation: u32) -> io::Result<&OwnedFd> {
        self.apps[app].pipe(generation).map(|(_, write)| write)
    }

    /// The host is gone; returns the pipe's read end, with what nobody has read yet.
    pub fn retire_pipe(&mut self, app: usize, generation: u32) -> Option<OwnedFd> {
        self.apps[app]
            .pipes
            .remove(&generation)
            .map(|(read, _)| read)
    }

    pub fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    /// Keeps those that another server has too.
    pub fn lend_listeners(&mut self, theirs: &[Address]) {
        self.listeners
            .retain(|listener| theirs.contains(&listener.address));
    }

    /// Listens as before another server took over, which is gone.
    pub fn take_back(&mut self, config: &Config) -> Result<(), Mistake> {
        listen::take_back(&mut self.listeners, config)
    }

    /// Where to answer from the next edge on.
    pub fn answer_at(&mut self, status: OwnedFd) {
        self.status = status;
    }

    /// Keeps those of the configuration, with its backlog.
    pub fn listen_as(&mut self, config: &Config) -> io::Result<()> {
        self.listeners
            .retain(|listener| config.binds.contains(&listener.address));
        let mut sockets = self.listeners.iter().flat_map(|each| &each.sockets);
        sockets.try_for_each(|socket| sys::socket::listen(socket.as_fd(), config.backlog))
    }

    /// What was taken over from another server takes connections as we want it to.
    pub fn begin_to_listen(&self, backlog: u32) -> io::Result<()> {
        listen::begin(&self.listeners, backlog)
    }

    /// The addresses that were taken over.
    pub fn taken_over(&self) -> Vec<Address> {
        let taken = self.listeners.iter().filter(|each| each.taken_over);
        taken.map(|listener| listener.address.clone()).collect()
    }

    /// The names of listeners that were another server's are ours.
    pub fn take_names(&mut self) {
        let names = self
            .listeners
            .iter_mut()
            .filter_map(|each| each.name.as_mut());
        names.for_each(SocketName::take);
    }

    /// The names of these listeners are another server's from now on.
    pub fn leave_names(&mut self, addresses: &[Address]) {
        let left = self.listeners.iter_mut();
        let left = left.filter(|listener| addresses.contains(&listener.address));
        left.filter_map(|listener| listener.name.as_mut())
            .for_each(SocketName::leave);
    }

    /// The descriptors of workers that a host takes in besides.
    pub fn for_more<'a>(
        &'a mut self,
        app: usize,
        workers: &[WorkerSpec],
    ) -> io::Result<Vec<BorrowedFd<'a>>> {
        let app = &mut self.apps[app];
        app.prepare_ends(workers)?;
        Ok(app.ends_of(workers))
    }
}

/// The app's processes may have written anything into their exchange.
impl Outside for Resources {
    fn seat(&self, app: usize, index: u16) -> Option<SeatView> {
        let record = self.apps.get(app)?.segment.worker(index)?;
        let busy = record.status == shm::WorkerStatus::Busy;
        Some(SeatView {
            incarnation: record.incarnation,
            busy_since_ms: busy.then_some(record.since_ns / 1_000_000),
            served: record.served,
        })
    }

    fn queued_since_ms(&self, app: usize) -> Option<u64> {
        let queued_ns = self.apps.get(app)?.segment.oldest_queued_ns()?;
        Some(queued_ns / 1_000_000)
    }

    fn resident_bytes(&self, pid: u32) -> Option<u64> {
        sys::process::memory(pid).map(|memory| memory.resident_bytes)
    }
}

impl AppResources {
    fn create(config: &Config) -> io::Result<AppResources> {
        let seats = seats(config);
        let layout = shm::Layout {
            slots: slots(config),
            rings: config.rings as u32,
            workers: u32::from(seats),
            ..shm::Layout::default()
        };
        let (segment_fd, segment) = shm::Segment::create(&layout)?;
        Ok(AppResources {
            segment_fd,
            segment,
            seats: (0..seats).map(|_| None).collect(),
            pipes: BTreeMap::new(),
        })
    }

    fn prepare_ends(&mut self, workers: &[WorkerSpec]) -> io::Result<()> {
        for worker in workers {
            let ends = self.ends(worker.index)?;
            // What a dead worker of this seat had not read is not for its successor.
            sys::socket::discard_pending(ends.worker_socket.as_fd(), STALE_PACKETS_MAX)?;
        }
        Ok(())
    }

    /// Socket and eventfd of each, for its host; they have been prepared.
    fn ends_of<'a>(&'a self, workers: &[WorkerSpec]) -> Vec<BorrowedFd<'a>> {
        let ends = workers
            .iter()
            .filter_map(|worker| self.seats[usize::from(worker.index)].as_ref())
            .flat_map(|ends| [ends.worker_socket.as_fd(), ends.wake.as_fd()]);
        ends.collect()
    }

    fn ends(&mut self, index: u16) -> io::Result<&SeatEnds> {
        let place = &mut self.seats[usize::from(index)];
        match place {
            Some(ends) => Ok(ends),
            None => {
                let (edge_socket, worker_socket) = sys::socket::seqpacket_pair()?;
                let wake = EventFd::new()?;
                Ok(place.insert(SeatEnds {
                    edge_socket,
                    worker_socket,
                    wake,
                }))
            }
        }
    }

    fn pipe(&mut self, generation: u32) -> io::Result<&(OwnedFd, OwnedFd)> {
        match self.pipes.entry(generation) {
            std::collections::btree_map::Entry::Occupied(ends) => Ok(ends.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(sys::socket::pipe()?))
            }
        }
    }
}
