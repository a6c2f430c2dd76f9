//! Messages for a socket elsewhere: a queue, and a task that connects, sends, and connects again.
//!
//! Owns the queue. Invariants: nobody waits for the other side, which may be slow, gone or never there; at most `QUEUE_BYTES_MAX`
//! wait; that it cannot be reached is said once, and once that it can again. A message is either sent whole or counted as lost.
//! Must not know what is in a message.

use config::{LogLevel, Remote};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::sync::{Notify, oneshot};

/// Bytes that may wait for the other side.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Before another attempt; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What a failure to send means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Messages wait for the other side to come back, as far as there is room.
    Keep,
    /// What is not taken now is worth nothing later.
    Drop,
}

/// A handle to the sending task; clones share it.
#[derive(Clone)]
pub struct Outlet {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    messages: RefCell<VecDeque<Vec<u8>>>,
    queued_bytes: Cell<usize>,
    lost: Cell<u64>,
    stopping: Cell<bool>,
    wake: Notify,
    over: Cell<bool>,
    ended: Notify,
}

impl Outlet {
    /// Starts the task on the current runtime. `name` is how the user calls the other side; `say` tells what became of it.
    pub fn start(
        remote: Remote,
        name: &'static str,
        care: Care,
        say: impl Fn(LogLevel, String) + 'static,
    ) -> Outlet {
        let shared = Rc::<Shared>::default();
        let task = Task {
            voice: Voice {
                name: format!("{name} {remote}"),
                say: Box::new(say),
                said: false,
            },
            remote,
            care,
            shared: Rc::clone(&shared),
        };
        tokio_uring::spawn(task.run());
        Outlet { shared }
    }

    /// Queues a message; if too much waits already it is lost.
    pub fn send(&self, message: Vec<u8>) {
        let shared = &self.shared;
        let queued_bytes = shared.queued_bytes.get() + message.len();
        if queued_bytes > QUEUE_BYTES_MAX || shared.over.get() {
            shared.lost.set(shared.lost.get() + 1);
            return;
        }
        shared.queued_bytes.set(queued_bytes);
        shared.messages.borrow_mut().push_back(message);
        shared.wake.notify_one();
    }

    /// Sends what waits, as far as the other side can be reached, and ends the task.
    pub async fn stop(&self) {
        self.shared.stopping.set(true);
        self.shared.wake.notify_one();
        while !self.shared.over.get() {
            self.shared.ended.notified().await;
        }
    }
}

impl Shared {
    /// The next message, which stays until it is sent; `None`: it is over.
    async fn next(&self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.messages.borrow_mut().pop_front() {
                return Some(message);
            }
            if self.stopping.get() {
                return None;
            }
            self.wake.notified().await;
        }
    }

    fn sent(&self, message: &[u8]) {
        self.queued_bytes
            .set(self.queued_bytes.get() - message.len());
    }

    fn keep(&self, message: Vec<u8>) {
        self.messages.borrow_mut().push_front(message);
    }

    fn lose(&self, message: &[u8]) {
        self.sent(message);
        self.lost.set(self.lost.get() + 1);
    }

    fn lose_all(&self) {
        let messages = self.messages.take();
        self.queued_bytes.set(0);
        self.lost.set(self.lost.get() + messages.len() as u64);
    }

    /// Waits for another attempt's time. False: it is stopping.
    async fn pause(&self, time: Duration) -> bool {
        let over = tokio::time::Instant::now() + time;
        while !self.stopping.get() {
            tokio::select! {
                () = tokio::time::sleep_until(over) => return true,
                () = self.wake.notified() => {}
            }
        }
        false
    }
}

struct Task {
    remote: Remote,
    care: Care,
    shared: Rc<Shared>,
    voice: Voice,
}

/// Says what became of the other side, once each time.
struct Voice {
    name: String,
    say: Box<dyn Fn(LogLevel, String)>,
    said: bool,
}

impl Voice {
    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.said, true) {
            let name = &self.name;
            (self.say)(
                LogLevel::Warning,
                format!(
                    "{name} cannot be reached ({error}); it is tried again, and requests do not wait for it"
                ),
            );
        }
    }

    fn rejoice(&mut self, lost: u64) {
        if std::mem::replace(&mut self.said, false) {
            let name = &self.name;
            (self.say)(
                LogLevel::Info,
                format!("{name} is reached again; {lost} messages were lost meanwhile"),
            );
        }
    }
}

impl Task {
    async fn run(mut self) {
        let mut pause = PAUSE;
        let mut attempt = 0;
        loop {
            let opened = tokio::time::timeout(CONNECT_PATIENCE, Link::open(&self.remote, attempt));
            match opened.await.unwrap_or_else(|_| Err(late())) {
                Ok(link) => match self.pass(link, &mut pause).await {
                    Ok(()) => break,
                    Err(error) => self.voice.complain(&error),
                },
                Err(error) => self.voice.complain(&error),
            }
            attempt += 1;
            if self.care == Care::Drop {
                self.shared.lose_all();
            }
            if !self.shared.pause(pause).await {
                break;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.shared.lose_all();
        self.shared.over.set(true);
        self.shared.ended.notify_one();
    }

    /// Sends until the link fails or everything is over.
    async fn pass(&mut self, mut link: Link, pause: &mut Duration) -> io::Result<()> {
        while let Some(message) = self.shared.next().await {
            match link.send(&message).await {
                Ok(()) => {
                    self.shared.sent(&message);
                    // A datagram that has left says nothing about who takes it.
                    if !matches!(link, Link::Udp(_)) {
                        *pause = PAUSE;
                        self.voice.rejoice(self.shared.lost.take());
                    }
                }
                // Too long for a datagram: it will never fit.
                Err(error) if error.raw_os_error() == Some(sys::errno::EMSGSIZE) => {
                    self.shared.lose(&message);
                }
                Err(_) if self.care == Care::Drop && matches!(link, Link::Udp(_)) => {
                    self.shared.lose(&message);
                }
                Err(error) => {
                    self.shared.keep(message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Link {
    /// `attempt`: of several addresses each gets its turn.
    async fn open(remote: &Remote, attempt: usize) -> io::Result<Link> {
        match remote {
            Remote::Udp { host, port } => {
                let address = resolve(host, *port, attempt).await?;
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                    SocketAddr::V6(_) => ([0u16; 8], 0).into(),
                };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(Link::Udp(socket))
            }
            Remote::Tcp { host, port } => {
                let address = resolve(host, *port, attempt).await?;
                Ok(Link::Tcp(TcpStream::connect(address).await?))
            }
            Remote::Unix { path, stream } => {
                if *stream != Some(true) {
                    let socket = UnixDatagram::unbound()?;
                    match socket.connect(path) {
                        Ok(()) => return Ok(Link::Datagrams(socket)),
                        Err(error) if *stream == Some(false) => return Err(error),
                        // It is of the other kind, or what is wrong shows again.
                        Err(_) => {}
                    }
                }
                Ok(Link::Stream(UnixStream::connect(path).await?))
            }
        }
    }

    /// On streams a message ends as syslogs take it: with a newline over TCP, with a NUL on a unix socket.
    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Link::Udp(socket) => socket.send(message).await.map(drop),
            Link::Datagrams(socket) => socket.send(message).await.map(drop),
            Link::Tcp(socket) => socket.write_all(&ended(message, b'\n')).await,
            Link::Stream(socket) => socket.write_all(&ended(message, 0)).await,
        }
    }
}

/// A message that has the mark inside would be taken for two.
fn ended(message: &[u8], mark: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 16);
    for &byte in message {
        match byte == mark {
            // As syslog daemons write control characters.
            true => bytes.extend_from_slice(format!("#{byte:03o}").as_bytes()),
            false => bytes.push(byte),
        }
    }
    bytes.push(mark);
    bytes
}

/// IPv4 first: daemons on this machine mostly listen there, and `localhost` is both.
async fn resolve(host: &str, port: u16, attempt: usize) -> io::Result<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((address, port).into());
    }
    let (answer, asked) = oneshot::channel();
    let name = host.to_owned();
    // A thread of its own, which a name server that does not answer may keep: nobody waits for it, not even the end of the process.
    std::thread::Builder::new()
        .name("resolve".into())
        .spawn(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            // The asker may have lost patience.
            drop(answer.send(found.map(Iterator::collect::<Vec<_>>)));
        })?;
    let mut found = asked.await.map_err(|_| late())??;
    found.sort_by_key(SocketAddr::is_ipv6);
    let count = found.len().max(1);
    found
        .get(attempt % count)
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

#[cfg(test)]
mod tests;
