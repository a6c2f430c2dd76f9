//! What every connection of one ring thread shares: configuration, routes, handlers, logs, counters, clocks.
//!
//! Owned by the thread, handed out as `Rc`. Must not know the loop that drives it.

use crate::access_log::AccessLog;
use crate::app::App;
use crate::connection::{Memory, Record};
use crate::error_log::Logger;
use crate::files::Files;
use crate::gate::Gates;
use crate::mailbox::{FromRing, Outbox};
use crate::respond::Common;
use crate::route::Routes;
use crate::stats::RingStats;
use crate::tally::Tally;
use config::{Config, Forwarded, LogFormat, LogLevel, OddHeaders, Proxy};
use proto::date::DateCache;
use proto::websocket::deflate::Machines;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use uring::fs::Directory;
use uring::time::Deadline;

/// Output buffers and records kept for reuse, each.
const POOL_MAX: usize = 256;
/// What a fresh output buffer holds without growing: a head and a small body.
const BUFFER_BYTES: usize = 4096;
/// An output buffer that grew beyond this is not kept, nor one whose memory has gone another way: it would take the place of one that is of use.
const BUFFER_KEPT_BYTES: RangeInclusive<usize> = BUFFER_BYTES..=64 * 1024;

/// Timeouts in nanoseconds; `u64::MAX` where one is switched off.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub header_ns: u64,
    pub body_ns: u64,
    pub idle_ns: u64,
    pub write_ns: u64,
}

/// 0 switches a timeout off.
pub fn nanoseconds(ms: u64) -> u64 {
    if ms == 0 {
        u64::MAX
    } else {
        ms.saturating_mul(1_000_000)
    }
}

impl Times {
    fn new(timeouts: &config::Timeouts) -> Times {
        let ns = nanoseconds;
        Times {
            header_ns: ns(timeouts.header_ms),
            body_ns: ns(timeouts.body_ms),
            idle_ns: ns(timeouts.idle_ms),
            write_ns: ns(timeouts.write_ms),
        }
    }
}

/// What is served where and how, one generation: replaced whole when the configuration is read again. Requests that have begun keep theirs.
pub struct Site {
    pub routes: Routes,
    pub files: Rc<Files>,
    /// As `config.sendfile_roots`, and how many locations stand before them.
    pub sendfile_roots: Vec<config::StaticMount>,
    pub statics: usize,
    /// Requests for files that have been answered before.
    pub memory: Memory,
    /// Of request heads.
    pub limits: proto::Limits,
    pub body_bytes_max: u64,
    pub forwarded: Forwarded,
    pub odd_headers: OddHeaders,
    pub proxy: Option<Proxy>,
    server_header: String,
}

impl Site {
    fn new(config: &Config, files: Files) -> Site {
        Site {
            routes: Routes::new(config),
            files: Rc::new(files),
            sendfile_roots: config.sendfile_roots.clone(),
            statics: config.statics.len(),
            memory: Memory::default(),
            limits: proto::Limits {
                request_line: config.limits.request_line,
                header_count: config.limits.header_count,
                field_bytes: config.limits.field_bytes,
                header_bytes: config.limits.header_bytes,
            },
            body_bytes_max: config.limits.body_bytes,
            forwarded: config.forwarded.clone(),
            odd_headers: config.odd_headers.clone(),
            proxy: config.proxy.clone(),
            server_header: config.server_header.clone(),
        }
    }

    /// What every head of ours carries.
    pub fn common<'a>(&'a self, date: &'a [u8; 29]) -> Common<'a> {
        Common {
            date,
            server: &self.server_header,
            retry_after_s: 1,
        }
    }
}

/// `None`: nothing is logged.
fn log_format(config: &Config) -> Option<LogFormat> {
    config
        .logs_requests()
        .then(|| config.access_log_format.clone())
}

/// One ring thread's share.
fn connections_max(config: &Config) -> usize {
    let rings = config.rings.max(1);
    config.limits.connections.div_ceil(rings).max(1)
}

/// Connections that run no request, of a ring thread that drains.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guests {
    pub at_rest: bool,
    pub sockets: bool,
}

pub struct Ring {
    pub index: usize,
    times: Cell<Times>,
    site: RefCell<Rc<Site>>,
    /// As `config.apps`.
    pub apps: Vec<Rc<App>>,
    pub stats: Arc<RingStats>,
    pub access: RefCell<AccessLog>,
    pub tally: RefCell<Tally>,
    logger: Logger,
    outbox: Outbox,
    date: RefCell<DateCache>,
    buffers: RefCell<Vec<Vec<u8>>>,
    // Boxed because it travels: a request holds it while it waits, and a pointer is what a future should carry.
    #[expect(clippy::vec_box, reason = "the boxes are what is pooled")]
    records: RefCell<Vec<Box<Record>>>,
    /// For compressed WebSocket messages.
    pub machines: RefCell<Machines>,
    /// Percent-decoded paths are made here.
    pub scratch: RefCell<Vec<u8>>,
    keep_alive: Cell<bool>,
    draining: Cell<bool>,
    /// While it drains: what may stay until it is asked something.
    patience: Cell<Guests>,
    open: Cell<usize>,
    /// Listeners that still bring connections.
    doors: Cell<usize>,
    /// Times that the listeners' queues were to be looked at.
    looks: Cell<u32>,
    /// Who waits for the last connection's end.
    empty: RefCell<Option<Waker>>,
    /// This thread's share of the limit.
    connections_max: Cell<usize>,
}

impl Ring {
    /// Opens the static directories; call it inside the runtime.
    pub fn new(
        index: usize,
        config: Arc<Config>,
        stats: Arc<RingStats>,
        outbox: Outbox,
    ) -> io::Result<Ring> {
        let rings = config.rings;
        let apps = config
            .apps
            .iter()
            .enumerate()
            .map(|(index, app)| App::new(index, app, &config.limits, rings, Arc::clone(&stats)))
            .map(Rc::new)
            .collect();
        Ok(Ring {
            index,
            times: Cell::new(Times::new(&config.timeouts)),
            site: RefCell::new(Rc::new(Site::new(&config, Files::new(&config)?))),
            apps,
            stats,
            access: RefCell::new(AccessLog::new(log_format(&config), outbox.clone())),
            tally: RefCell::new(Tally::new(config.statsd.is_some(), outbox.clone())),
            logger: Logger::new(index, config.log_level, outbox.clone()),
            outbox,
            date: RefCell::new(DateCache::new()),
            buffers: RefCell::default(),
            records: RefCell::default(),
            machines: RefCell::default(),
            scratch: RefCell::default(),
            keep_alive: Cell::new(config.timeouts.idle_ms != 0),
            draining: Cell::new(false),
            patience: Cell::default(),
            open: Cell::new(0),
            doors: Cell::new(0),
            looks: Cell::new(0),
            empty: RefCell::default(),
            connections_max: Cell::new(connections_max(&config)),
        })
    }

    // What may change while it serves.

    pub fn site(&self) -> Rc<Site> {
        Rc::clone(&self.site.borrow())
    }

    pub fn times(&self) -> Times {
        self.times.get()
    }

    /// Serves by a new configuration with the same apps; `directories` are the locations', `gates` the apps'. Its access log is the
    /// `log`th of this edge.
    pub fn turn_to(
        &self,
        config: &Config,
        directories: Vec<Directory>,
        gates: &[Arc<Gates>],
        log: u32,
    ) -> io::Result<()> {
        let files = Files::over(config, directories)?;
        self.site.replace(Rc::new(Site::new(config, files)));
        self.times.set(Times::new(&config.timeouts));
        self.keep_alive
            .set(config.timeouts.idle_ms != 0 && !self.is_draining());
        self.connections_max.set(connections_max(config));
        for ((app, config_of), gates) in self.apps.iter().zip(&config.apps).zip(gates) {
            app.turn_to(config_of, &config.limits, config.rings, Arc::clone(gates));
        }
        self.logger.set_level(config.log_level);
        self.access.borrow_mut().turn_to(log_format(config), log);
        self.tally.borrow_mut().turn_to(config.statsd.is_some());
        Ok(())
    }

    // Clocks.

    /// The date of this second, by value: 29 bytes.
    pub fn date(&self) -> [u8; 29] {
        *self.date.borrow_mut().at(uring::wall() / 1_000_000_000)
    }

    /// Seconds after which a client that is refused now has a chance, as far as the apps' queues tell.
    pub fn retry_after_s(&self) -> u64 {
        let apps = self.apps.iter().map(|app| app.retry_after_s());
        apps.max().unwrap_or(1)
    }

    /// Sets a deadline `ns` after `start_ns`; a switched-off timeout clears it.
    pub fn arm(deadline: &Deadline, start_ns: u64, ns: u64) {
        if ns == u64::MAX {
            deadline.clear()
        } else {
            deadline.set(start_ns.saturating_add(ns))
        }
    }

    // Pools.

    pub fn take_buffer(&self) -> Vec<u8> {
        self.buffers
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    pub fn give_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if BUFFER_KEPT_BYTES.contains(&buffer.capacity()) && buffers.len() < POOL_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    pub fn take_record(&self) -> Box<Record> {
        self.records.borrow_mut().pop().unwrap_or_default()
    }

    pub fn give_record(&self, record: Box<Record>) {
        let mut records = self.records.borrow_mut();
        if records.len() < POOL_MAX {
            records.push(record);
        }
    }

    // Connections.

    /// Whether there is room for another connection; counts it if so.
    pub fn admit(&self) -> bool {
        let open = self.open.get();
        if open >= self.connections_max.get() {
            self.stats.connections_refused.add(1);
            return false;
        }
        self.open.set(open + 1);
        self.stats.connections_accepted.add(1);
        self.stats.connections_open.set(open as u64 + 1);
        true
    }

    /// A connection has ended.
    pub fn discharge(&self) {
        let open = self.open.get().saturating_sub(1);
        self.open.set(open);
        self.stats.connections_open.set(open as u64);
        self.tell_if_empty();
    }

    fn tell_if_empty(&self) {
        if self.is_empty()
            && let Some(waker) = self.empty.take()
        {
            waker.wake();
        }
    }

    /// A listener's connections are taken from now on.
    pub fn open_door(&self) {
        self.doors.set(self.doors.get() + 1);
    }

    /// They are not any more.
    pub fn close_door(&self) {
        self.doors.set(self.doors.get().saturating_sub(1));
        self.tell_if_empty();
    }

    /// Wakes `waker` when the last connection ends.
    pub fn when_empty(&self, waker: &Waker) {
        *self.empty.borrow_mut() = Some(waker.clone());
    }

    #[cfg(test)]
    pub fn connections(&self) -> usize {
        self.open.get()
    }

    /// There is no connection, and where none is taken in any more there will be none.
    pub fn is_empty(&self) -> bool {
        self.open.get() == 0 && (self.doors.get() == 0 || !self.is_draining())
    }

    /// Has every listener's queue looked at; the caller wakes the tasks.
    pub fn look_again(&self) {
        self.looks.set(self.looks.get().wrapping_add(1));
    }

    /// Changes with every order to look.
    pub fn looks(&self) -> u32 {
        self.looks.get()
    }

    /// Connections may stay open after an answer.
    pub fn keeps_alive(&self) -> bool {
        self.keep_alive.get()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// A connection at rest is to end without another request.
    pub fn ends_rest(&self) -> bool {
        self.draining.get() && !self.patience.get().at_rest
    }

    /// WebSockets are to end.
    pub fn ends_sockets(&self) -> bool {
        self.draining.get() && !self.patience.get().sockets
    }

    /// From now on every answer is its connection's last. Who is not in `guests` ends without being asked anything.
    pub fn drain(&self, guests: Guests) {
        self.draining.set(true);
        self.keep_alive.set(false);
        self.patience.set(guests);
    }

    /// As they were allowed to stay.
    pub fn guests(&self) -> Guests {
        self.patience.get()
    }

    // Voice.

    pub fn log(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        self.logger.log(uring::wall(), level, message);
    }

    /// To the control thread; what does not fit is lost, as the outbox says.
    pub fn tell(&self, message: FromRing) -> bool {
        self.outbox.send(message)
    }
}
