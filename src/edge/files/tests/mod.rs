//! The handler from outside: requests as bytes in, answers as bytes out, over a real directory and over a simulated one.

use super::*;
use config::StaticOptions;
use proto::{HeaderStorage, Limits, Parse};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use uring::net::Socket;
use uring::sim::Sim;

mod autoindex;
mod freshness;
mod options;
mod reach;
mod real;
mod selection;
mod siblings;
mod simulated;
mod steps;

/// A location's options, changed from the defaults.
fn options(change: impl FnOnce(&mut StaticOptions)) -> StaticOptions {
    let mut options = StaticOptions::default();
    change(&mut options);
    options
}

const DATE: &[u8; 29] = b"Mon, 23 Nov 2026 01:02:03 GMT";
const WRITE_NS: u64 = 10_000_000_000;

/// What carries bodies that come from files.
enum Wire {
    Socketpair,
    Simulated(Sim),
}

struct Server {
    files: Rc<Files>,
    wire: Wire,
}

impl Server {
    /// One mount, `/s`; inside a runtime.
    fn new(directory: &Path, wire: Wire) -> Server {
        Server::with(directory, config::StaticOptions::default(), wire)
    }

    fn with(directory: &Path, options: config::StaticOptions, wire: Wire) -> Server {
        let mut config = config::Config::bare();
        config.server_header = "ringgate".into();
        let mount = config::StaticMount::new("/s", directory);
        config.statics = vec![config::StaticMount { options, ..mount }];
        Server {
            files: Rc::new(Files::new(&config).expect("the directory is there")),
            wire,
        }
    }
}

/// An answer as a client sees it.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// How it was made: from memory, from a file, and whether the disk had to be asked.
    from_file: bool,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Server {
    /// `request` is a request line's method and target and header lines; the target lies below `/s`.
    async fn ask(&self, request: &str) -> Reply {
        self.try_ask(request, true).await.expect("the whole answer")
    }

    async fn try_ask(&self, request: &str, keep_alive: bool) -> io::Result<Reply> {
        self.ask_as(request, keep_alive, false).await
    }

    async fn ask_as(&self, request: &str, keep_alive: bool, internal: bool) -> io::Result<Reply> {
        let (line, fields) = request.split_once("\r\n").unwrap_or((request, ""));
        let version = if line.ends_with("HTTP/1.0") {
            ""
        } else {
            " HTTP/1.1"
        };
        let fields = if fields.is_empty() {
            String::new()
        } else {
            format!("{fields}\r\n")
        };
        let text = format!("{line}{version}\r\nHost: a\r\n{fields}\r\n");
        let mut storage = HeaderStorage::new();
        let Parse::Complete { head, .. } =
            proto::http1::request::parse(text.as_bytes(), &mut storage, &Limits::default())
        else {
            panic!("not a request: {text}");
        };
        let mut scratch = Vec::new();
        let path = proto::path::normalise(head.target.path, &mut scratch).expect("a path");
        assert!(path.bytes.starts_with(b"/s"));
        let request = Request {
            mount: 0,
            path,
            prefix: 2,
            head: &head,
        };
        let common = Common {
            date: DATE,
            server: "ringgate",
            retry_after_s: 1,
        };
        let manner = Manner {
            version: head.version,
            keep_alive,
            head_only: head.method == Method::Head,
        };
        // What is in the buffer before stays there.
        let mut out = b"earlier".to_vec();
        let mut answer = if internal {
            self.files
                .answer_internal(&request, common, manner, &mut out)
        } else {
            self.files.answer(&request, common, manner, &mut out)
        };
        if let Answer::Cold(cold) = answer {
            let ready = cold.wait().await;
            answer = ready.answer(common, manner, &mut out);
        }
        assert_eq!(out.drain(..7).as_slice(), b"earlier");
        let (status, from_file, announced, bytes) = match answer {
            Answer::Whole { status, body_bytes } => (status, false, body_bytes, out),
            Answer::Body { status, body } => {
                let bytes = self.carry(&body, out).await?;
                (status, true, body.length(), bytes)
            }
            Answer::Cold(_) => panic!("cold after a wait"),
        };
        let end = memchr::memmem::find(&bytes, b"\r\n\r\n").expect("an empty line") + 4;
        let reply = Reply {
            status,
            head: String::from_utf8(bytes[..end].to_vec()).expect("ASCII"),
            body: bytes[end..].to_vec(),
            from_file,
        };
        assert!(
            reply.head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{reply:?}"
        );
        assert_eq!(reply.header("Date"), Some("Mon, 23 Nov 2026 01:02:03 GMT"));
        assert_eq!(reply.header("Server"), Some("ringgate"));
        assert_eq!(announced, reply.body.len() as u64);
        match reply.header("Content-Length") {
            Some(length) if !manner.head_only => assert_eq!(length, reply.body.len().to_string()),
            Some(_) => assert!(reply.body.is_empty()),
            None => assert!(status == 304 || status == 204, "{reply:?}"),
        }
        Ok(reply)
    }

    /// Every request looks at the file system.
    fn without_freshness(&mut self) {
        let files = Rc::get_mut(&mut self.files).expect("nothing is cold");
        files.fresh_ns = 0;
    }

    /// What the caches cost: (present, absent).
    fn cost(&self) -> (cache::Cost, cache::Cost) {
        (
            self.files.found.borrow().cost(),
            self.files.absent.borrow().cost(),
        )
    }

    async fn status(&self, request: &str) -> u16 {
        self.ask(request).await.status
    }
}

impl Server {
    /// Sends a body through a socket and returns everything that came out of the other end.
    async fn carry(&self, body: &Body, head: Vec<u8>) -> io::Result<Vec<u8>> {
        match &self.wire {
            Wire::Socketpair => {
                let (ours, mut theirs) = UnixStream::pair()?;
                ours.set_nonblocking(true)?;
                let reader = std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    io::Read::read_to_end(&mut theirs, &mut bytes).map(|_| bytes)
                });
                let socket = Socket::from_fd(OwnedFd::from(ours));
                let result = body.send(&socket, &head, WRITE_NS).await;
                socket.shutdown(uring::net::Shutdown::Both)?;
                let bytes = reader.join().expect("the reader lives")?;
                result.map(|()| bytes)
            }
            Wire::Simulated(sim) => {
                let (socket, client) = sim.pair();
                let received = Rc::new(RefCell::new(None));
                let place = Rc::clone(&received);
                uring::spawn(async move { *place.borrow_mut() = Some(client.read_to_end().await) });
                let result = body.send(&socket, &head, WRITE_NS).await;
                drop(socket);
                // The reader sees the end, or the reset, in its own time.
                while received.borrow().is_none() {
                    uring::time::sleep(1_000_000).await;
                }
                let bytes = received.take().expect("just seen")?;
                result.map(|()| bytes)
            }
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

impl Found<'_, Rc<Entry>> {
    fn entry(self) -> Rc<Entry> {
        match self {
            Found::Fresh(entry) | Found::Stale(entry) => Rc::clone(entry),
            Found::Nothing => panic!("not cached"),
        }
    }
}
