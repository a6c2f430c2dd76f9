//! A site in the simulation, and a client that reads answers.

use crate::accept::accept;
use crate::connection::Entrance;
use crate::gate::Gates;
use crate::mailbox::{FromRing, Mailbox, OutboxReceiver, outbox};
use crate::ring::Ring;
use crate::stats::RingStats;
use crate::thread::look_outside;
use config::{Address, Config, StaticMount};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use uring::fs::Directory;
use uring::sim::{Client, Sim};

pub const SECOND_NS: u64 = 1_000_000_000;

/// One ring thread's world, listening.
pub struct Site {
    pub sim: Sim,
    pub ring: Rc<Ring>,
    pub address: uring::sim::Address,
    pub from_ring: RefCell<OutboxReceiver>,
    pub mailbox: Arc<Mailbox>,
    config: RefCell<Config>,
    gates: RefCell<Vec<Arc<Gates>>>,
}

/// A configuration with `/static` from `/www`.
pub fn config() -> Config {
    let mut config = Config::bare();
    config.statics.push(StaticMount::new("/static", "/www"));
    config.access_log = Some(config::LogTarget::Stdout);
    config
}

impl Site {
    pub fn new(sim: Sim, config: Config) -> Site {
        let (outbox, from_ring) = outbox();
        let stats = Arc::new(RingStats::new(config.apps.len()));
        let options = config.apps.iter().map(|app| &app.options);
        let gates: Vec<_> = options.map(|app| Arc::new(Gates::new(app))).collect();
        let ring = Ring::new(0, Arc::new(config.clone()), stats, outbox);
        let ring = ring.expect("directories are there");
        let ring = Rc::new(ring);
        let (listener, address) = sim.listen();
        let at = Address::Tcp("127.0.0.1:8000".parse().expect("an address"));
        let entrance = Rc::new(Entrance::new(&at));
        uring::spawn(accept(Rc::clone(&ring), entrance, listener.accept()));
        let bell = sys::eventfd::EventFd::new().expect("an eventfd");
        let mailbox = Arc::new(Mailbox::new(bell));
        look_outside(&ring, Arc::clone(&mailbox), &gates, false, None);
        Site {
            sim,
            ring,
            address,
            from_ring: RefCell::new(from_ring),
            mailbox,
            config: RefCell::new(config),
            gates: RefCell::new(gates),
        }
    }

    /// The configuration is read again.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = self.config.borrow_mut();
        change(&mut config);
        let open = |mount: &StaticMount| Directory::open(&mount.dir).expect("it is there");
        let directories = crate::files::mounts(&config).map(open).collect();
        let mut gates = self.gates.borrow_mut();
        for (gates, app) in gates.iter_mut().zip(&config.apps) {
            *gates = Arc::new(gates.turned_to(&app.options));
        }
        let turned = self.ring.turn_to(&config, directories, &gates, 0);
        turned.expect("a good configuration");
    }

    pub fn connect(&self) -> Peer {
        Peer {
            client: self.sim.connect(&self.address),
            unread: RefCell::default(),
        }
    }

    /// What the access log has seen, whole lines.
    pub fn access_log(&self) -> Vec<String> {
        self.said().0
    }

    /// Access-log lines, and every other message to the control thread as text.
    pub fn said(&self) -> (Vec<String>, Vec<String>) {
        self.ring.access.borrow_mut().flush();
        let (mut lines, mut others) = (Vec::new(), Vec::new());
        while let Some(message) = self.from_ring.borrow_mut().try_next() {
            match message {
                FromRing::AccessLog { lines: bytes, .. } => {
                    let text = String::from_utf8(bytes).expect("the log is UTF-8");
                    lines.extend(text.lines().map(str::to_owned));
                }
                FromRing::Log(line) => others.push(line.message),
                other => others.push(format!("{other:?}")),
            }
        }
        (lines, others)
    }

    /// Waits until every connection has ended, in virtual time.
    pub async fn empty(&self) {
        while self.ring.connections() > 0 {
            uring::time::sleep(SECOND_NS).await;
        }
    }
}

pub struct Peer {
    pub client: Client,
    unread: RefCell<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Peer {
    pub fn write(&self, bytes: impl AsRef<[u8]>) {
        self.client.write(bytes.as_ref());
    }

    /// The next answer to a GET.
    pub async fn answer(&self) -> io::Result<Answer> {
        self.read_answer(false).await
    }

    /// The next answer to a HEAD.
    pub async fn head_answer(&self) -> io::Result<Answer> {
        self.read_answer(true).await
    }

    async fn read_answer(&self, head_only: bool) -> io::Result<Answer> {
        let head_end = loop {
            let found = find(&self.unread.borrow(), b"\r\n\r\n");
            match found {
                Some(at) => break at + 4,
                None => self.more().await?,
            }
        };
        let head: Vec<u8> = self.unread.borrow_mut().drain(..head_end).collect();
        let head = String::from_utf8(head).expect("an ASCII head");
        let status = head
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if head_only || status < 200 || status == 204 || status == 304 {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a number");
            while self.unread.borrow().len() < length {
                self.more().await?;
            }
            answer.body = self.unread.borrow_mut().drain(..length).collect();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(&line, 16).expect("a chunk size");
                while self.unread.borrow().len() < size + 2 {
                    self.more().await?;
                }
                answer.body.extend(self.unread.borrow_mut().drain(..size));
                assert_eq!(
                    self.unread.borrow_mut().drain(..2).collect::<Vec<_>>(),
                    b"\r\n"
                );
                if size == 0 {
                    break;
                }
            }
        } else {
            answer.body = self.rest().await?;
        }
        Ok(answer)
    }

    async fn line(&self) -> io::Result<String> {
        loop {
            let found = find(&self.unread.borrow(), b"\r\n");
            if let Some(at) = found {
                let line: Vec<u8> = self.unread.borrow_mut().drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&self) -> io::Result<()> {
        let bytes = self.client.read().await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.borrow_mut().extend_from_slice(&bytes);
        Ok(())
    }

    /// So many bytes; `None`: the connection ended before.
    pub async fn exactly(&self, count: usize) -> Option<Vec<u8>> {
        while self.unread.borrow().len() < count {
            self.more().await.ok()?;
        }
        Some(self.unread.borrow_mut().drain(..count).collect())
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&self) -> io::Result<Vec<u8>> {
        let mut all = self.unread.take();
        all.extend(self.client.read_to_end().await?);
        Ok(all)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
