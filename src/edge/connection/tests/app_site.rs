//! A site with an app on the simulated ring, its WSGI workers in the same thread: the real exchange, the real labels, virtual
//! time.

use super::site::{Peer, SECOND_NS, Site, config};
use crate::mailbox::ToRing;
use crate::snapshot::{AppView, Snapshot, WorkerView};
use crate::worker_socket::WorkerSocket;
use config::{App, Interface, Kind};
use control::message::AppState;
use shm::handover::{LABEL_BYTES, Label};
use shm::request::{Body, decode};
use shm::{Claim, Finish, Layout, Segment, WorkerSeat};
use std::cell::Cell;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use sys::eventfd::EventFd;
use uring::sim::Sim;
use uring::time::sleep;

pub const TICK_NS: u64 = 200_000;

/// A site with one app at the root and a number of workers.
pub struct AppSite {
    pub site: Site,
    pub segment: Arc<Segment>,
    bells: Arc<[EventFd]>,
    pub views: Vec<WorkerView>,
    /// Requests that workers have begun.
    pub begun: Rc<Cell<usize>>,
    /// Answers whose iterable was closed early, because the client had left.
    pub told: Rc<Cell<usize>>,
    /// The edge's ends of the workers' sockets.
    sockets: Vec<WorkerSocket>,
}

impl AppSite {
    pub fn new(sim: Sim, workers: u16) -> AppSite {
        AppSite::with(sim, workers, |_| {})
    }

    pub fn with(sim: Sim, workers: u16, change: impl FnOnce(&mut config::Config)) -> AppSite {
        sim.add_file("/www/a.txt", "alpha", 1_700_000_000);
        let mut config = config();
        config.apps.push(App {
            name: "shop".into(),
            mount: String::new(),
            target: "shop:app".into(),
            options: config::AppOptions::default(),
        });
        change(&mut config);
        let layout = Layout {
            slots: 8,
            rings: 1,
            workers: 8,
            request_bytes: 16 << 10,
            response_bytes: 8 << 10,
            inbound_bytes: 8 << 10,
        };
        let (_fd, segment) = Segment::create(&layout).expect("a segment");
        let segment = Arc::new(segment);
        let site = Site::new(sim, config);
        site.mailbox.post(ToRing::App {
            app: 0,
            segment: Arc::clone(&segment),
        });
        let bells = Arc::new([EventFd::new().expect("an eventfd")]);
        let mut app = AppSite {
            site,
            segment,
            bells,
            views: Vec::new(),
            begun: Rc::default(),
            told: Rc::default(),
            sockets: Vec::new(),
        };
        for index in 0..workers {
            app.start_worker(index, 1);
        }
        app.show(AppState::Ready);
        app
    }

    pub fn show(&self, state: AppState) {
        let view = AppView {
            name: "shop".into(),
            state,
            message: String::new(),
            workers: self.views.clone(),
        };
        self.site
            .mailbox
            .post(ToRing::Snapshot(Arc::new(Snapshot { apps: vec![view] })));
    }

    /// Announces a worker, and gives what it needs.
    pub fn seat(
        &mut self,
        index: u16,
        incarnation: u16,
        interface: Interface,
    ) -> (WorkerSeat, OwnedFd) {
        let seat = WorkerSeat::attach(
            Arc::clone(&self.segment),
            index,
            incarnation,
            1,
            Arc::clone(&self.bells),
        );
        let mut seat = seat.expect("a seat");
        seat.set_clock(uring::now);
        let (edge, worker) = sys::socket::seqpacket_pair().expect("a pair");
        sys::socket::set_nonblocking(edge.as_fd(), true).expect("a flag");
        sys::socket::set_nonblocking(worker.as_fd(), true).expect("a flag");
        let socket = WorkerSocket::new(Arc::new(edge));
        self.sockets.push(socket.clone());
        self.site.mailbox.post(ToRing::WorkerSocket {
            app: 0,
            index,
            socket,
            wake: Arc::new(EventFd::new().expect("an eventfd")),
        });
        self.views.push(WorkerView {
            index,
            incarnation,
            generation: 1,
            pid: 1,
            kind: Kind::Processes,
            interface,
            up_ns: 0,
        });
        (seat, worker)
    }

    pub fn start_worker(&mut self, index: u16, incarnation: u16) {
        let (mut seat, worker) = self.seat(index, incarnation, Interface::Wsgi);
        let (begun, told) = (Rc::clone(&self.begun), Rc::clone(&self.told));
        uring::spawn(async move {
            while !seat.should_drain() {
                match seat.try_claim() {
                    Some(claim) => {
                        begun.set(begun.get() + 1);
                        if work(claim, &worker, &told).await == Worker::Dies {
                            // As after kill -9: nothing is tidied up.
                            std::mem::forget(seat);
                            return;
                        }
                    }
                    None => sleep(TICK_NS).await,
                }
            }
        });
    }

    pub fn connect(&self) -> Peer {
        self.site.connect()
    }

    /// Descriptors that workers have sent and nobody has taken or closed.
    pub fn descriptors(&self) -> usize {
        let held = |socket: &WorkerSocket| {
            socket.sweep(|_| true);
            socket.stashed()
        };
        self.sockets.iter().map(held).sum()
    }

    pub fn stop(&self) {
        (0..8).for_each(|index| self.segment.request_drain(index));
    }
}

#[derive(PartialEq)]
enum Worker {
    Lives,
    Dies,
}

pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    shm::response::encode(&mut out, status, b"", headers).expect("a small head");
    out
}

/// Writes all of it, waiting for room in virtual time. False: the client is gone.
async fn write_all(claim: &mut Claim, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if claim.cancelled() {
            return false;
        }
        let count = claim.write_body(bytes);
        bytes = &bytes[count..];
        if count == 0 {
            claim.flush();
            sleep(TICK_NS).await;
        }
    }
    true
}

/// Sends a descriptor and names it, as `wsgi.file_wrapper` does.
fn write_file(claim: &mut Claim, socket: &OwnedFd) {
    let label = Label {
        slot: claim.slot(),
        ticket: claim.ticket(),
        token: 1,
    };
    sys::socket::try_send_with_fds(socket.as_fd(), &label.encode(), &[socket.as_fd()])
        .expect("room in the socket");
    claim.write_file(1, 0, 5).expect("room");
}

async fn body(claim: &mut Claim, socket: &OwnedFd) -> Vec<u8> {
    let decoded = decode(claim.request()).expect("a good request");
    match decoded.body {
        Body::Inline { .. } => decoded.inline_body().to_vec(),
        Body::Stream => panic!("bodies do not stream here"),
        Body::File { len } => {
            claim.want_body().expect("room for a wish");
            loop {
                let mut packet = [0; LABEL_BYTES];
                let mut fds = Vec::new();
                match sys::socket::recv_with_fds(socket.as_fd(), &mut packet, &mut fds) {
                    Ok(count) => {
                        let label = Label::decode(&packet[..count]).expect("a label");
                        assert_eq!((label.slot, label.ticket), (claim.slot(), claim.ticket()));
                        let mut bytes = Vec::new();
                        let mut file = std::fs::File::from(fds.pop().expect("a descriptor"));
                        file.read_to_end(&mut bytes).expect("a readable body");
                        assert_eq!(bytes.len() as u64, len);
                        return bytes;
                    }
                    Err(_) if claim.cancelled() => return Vec::new(),
                    Err(_) => sleep(TICK_NS).await,
                }
            }
        }
    }
}

pub fn large() -> Vec<u8> {
    (0..200_000u32).map(|n| (n % 241) as u8).collect()
}

/// The app: what it does is in the path.
async fn work(mut claim: Claim, socket: &OwnedFd, told: &Cell<usize>) -> Worker {
    let path = decode(claim.request())
        .expect("a good request")
        .request
        .path
        .to_vec();
    let text = [("Content-Type", "text/plain")];
    match &path[..] {
        b"/hello" => {
            claim
                .write_head(&head(200, &[text[0], ("Content-Length", "5")]))
                .expect("room");
            claim.write_body(b"hello");
        }
        b"/echo" => {
            let bytes = body(&mut claim, socket).await;
            claim.write_head(&head(200, &text)).expect("room");
            write_all(&mut claim, &bytes).await;
        }
        b"/stream" => {
            claim.write_head(&head(200, &text)).expect("room");
            for piece in [&b"one "[..], b"", b"two ", b"three"] {
                write_all(&mut claim, piece).await;
                claim.flush();
                sleep(10 * TICK_NS).await;
            }
        }
        b"/large" => {
            claim.write_head(&head(200, &text)).expect("room");
            if !write_all(&mut claim, &large()).await {
                told.set(told.get() + 1);
                claim.finish(Finish::Abort);
                return Worker::Lives;
            }
        }
        b"/slow" => {
            sleep(3 * SECOND_NS).await;
            if claim.cancelled() {
                told.set(told.get() + 1);
            }
            claim
                .write_head(&head(200, &[("Content-Length", "4")]))
                .expect("room");
            claim.write_body(b"slow");
        }
        b"/never" => {
            while !claim.cancelled() {
                sleep(SECOND_NS).await;
            }
            told.set(told.get() + 1);
        }
        b"/deaf" => sleep(1000 * SECOND_NS).await,
        b"/die" => {
            std::mem::forget(claim);
            return Worker::Dies;
        }
        b"/die-late" => {
            claim.write_head(&head(200, &text)).expect("room");
            claim.write_body(b"some");
            claim.flush();
            sleep(SECOND_NS).await;
            std::mem::forget(claim);
            return Worker::Dies;
        }
        b"/short" => {
            claim
                .write_head(&head(200, &[("Content-Length", "10")]))
                .expect("room");
            claim.write_body(b"hello");
        }
        b"/excess" => {
            claim
                .write_head(&head(200, &[("Content-Length", "3")]))
                .expect("room");
            claim.write_body(b"hello");
        }
        b"/split" => claim
            .write_head(&head(200, &[("X", "a\r\nSet-Cookie: b")]))
            .expect("room"),
        b"/status" => claim.write_head(&head(2000, &[])).expect("room"),
        b"/lengths" => {
            claim
                .write_head(&head(
                    200,
                    &[("Content-Length", "1"), ("Content-Length", "2")],
                ))
                .expect("room");
        }
        b"/garbage" => claim.write_head(b"\x00\xff\xff\xff\xff").expect("room"),
        b"/headless" => {
            claim.write_body(b"hello");
        }
        b"/abort" => {
            claim.finish(Finish::Abort);
            return Worker::Lives;
        }
        b"/no-content" => claim.write_head(&head(204, &[])).expect("room"),
        b"/file-after-all" => {
            while !claim.cancelled() {
                sleep(TICK_NS).await;
            }
            claim.write_head(&head(200, &text)).expect("room");
            write_file(&mut claim, socket);
        }
        b"/file-nobody-wants" => {
            claim.write_head(&head(204, &[])).expect("room");
            write_file(&mut claim, socket);
        }
        other => panic!("no such path: {}", String::from_utf8_lossy(other)),
    }
    claim.finish(Finish::End);
    Worker::Lives
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}
