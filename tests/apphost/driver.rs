//! Plays supervisor and edge for one app host: starts it with an exchange, submits requests, reads frames.
//!
//! Everything runs in the test's own thread, turn by turn, so a test says what the edge does and when. Must not know how the host works inside.

use crate::harness::{PATIENCE, TempDir, python};
use control::Channel;
use control::message::{FromHost, HostSpec, ToHost, WorkerSpec};
use shm::handover::{LABEL_BYTES, Label};
use shm::request::{self, Body, Request};
use shm::{EdgeRing, EventKind, Frame, Layout, Segment, SlotId};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use sys::eventfd::EventFd;
use sys::socket::Watch;

/// What the supervisor runs in the interpreter.
const BOOTSTRAP: &str = "\
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
loader = ExtensionFileLoader('_ringgate', sys.argv[1])
module = module_from_spec(spec_from_loader('_ringgate', loader))
loader.exec_module(module)
sys.modules['_ringgate'] = module
module.main()";

/// A host to be started.
pub struct Setup {
    pub spec: HostSpec,
    pub layout: Layout,
}

impl Setup {
    pub fn new(target: &str, kind: config::Kind, workers: u16) -> Setup {
        Setup {
            spec: HostSpec {
                app: 0,
                name: "app".to_owned(),
                target: target.to_owned(),
                mount: String::new(),
                options: config::AppOptions::default(),
                chdir: python::apps(),
                pythonpath: Vec::new(),
                env: Vec::new(),
                kind,
                probe: false,
                successor: false,
                first: true,
                beside: false,
                generation: 1,
                workers: (0..workers)
                    .map(|index| WorkerSpec {
                        index,
                        incarnation: 1,
                    })
                    .collect(),
                rings: 1,
                timeout_ms: 0,
                multithread: false,
                server_software: "ringgate/test".to_owned(),
                log_prefix: "app[1]".to_owned(),
            },
            layout: Layout {
                slots: 64,
                rings: 1,
                workers: 16,
                ..Layout::default()
            },
        }
    }

    /// The app's source, instead of one of tests/apps; the module is `app`.
    pub fn source(text: &str, kind: config::Kind, workers: u16) -> (Setup, TempDir) {
        let dir = TempDir::new();
        std::fs::write(dir.path().join("app.py"), text).expect("a file can be written");
        let mut setup = Setup::new("app:app", kind, workers);
        setup.spec.chdir = dir.path().to_owned();
        (setup, dir)
    }

    /// Starts the process and gives it its orders; it may fail.
    pub fn start(mut self) -> Host {
        let (fd, segment) = Segment::create(&self.layout).expect("a segment can be made");
        let segment = Arc::new(segment);
        let bell = EventFd::new().expect("an eventfd can be made");
        let mut ring = EdgeRing::new(Arc::clone(&segment), 0);
        let mut ours = HashMap::new();
        let mut theirs = Vec::new();
        for seat in &self.spec.workers {
            let (a, b) = sys::socket::seqpacket_pair().expect("a socket pair can be made");
            ours.insert(seat.index, a);
            let wake = EventFd::new().expect("an eventfd can be made");
            segment.set_bell(
                seat.index,
                wake.try_clone().expect("an eventfd can be copied"),
            );
            theirs.push((b, wake));
            ring.worker_up(seat.index, seat.incarnation);
        }
        let (channel, child_end) = Channel::pair().expect("a channel can be made");
        let (log, log_end) = std::io::pipe().expect("a pipe can be made");
        let mut command = Command::new(python::python());
        command
            .args(python::options())
            .args(["-c", BOOTSTRAP])
            .arg(extension())
            .current_dir(&self.spec.chdir)
            .envs(self.spec.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log_end.try_clone().expect("a descriptor can be duplicated"))
            .stderr(log_end);
        let child = sys::process::spawn(&mut command, child_end.as_fd()).expect("python starts");
        drop((command, child_end));
        let mut fds = Vec::new();
        if self.spec.probe {
            self.spec.workers.clear();
            self.spec.rings = 0;
        } else {
            fds.extend([fd.as_fd(), bell.as_fd()]);
            fds.extend(
                theirs
                    .iter()
                    .flat_map(|(socket, wake)| [socket.as_fd(), wake.as_fd()]),
            );
        }
        channel
            .send(
                &ToHost::Start {
                    spec: Box::new(self.spec),
                },
                &fds,
            )
            .expect("the host takes its orders");
        let text = Arc::new(std::sync::Mutex::new(String::new()));
        let copy = text.clone();
        std::thread::spawn(move || keep_log(log, &copy));
        Host {
            channel,
            child,
            ring,
            bell,
            sockets: ours,
            log: text,
            spools: HashMap::new(),
        }
    }

    /// Starts it and waits until all workers are up.
    pub fn ready(self) -> Host {
        let mut host = self.start();
        host.until(|message| matches!(message, FromHost::Ready));
        host
    }
}

/// Where the extension is: named, or built as the harness does it.
fn extension() -> PathBuf {
    std::env::var_os("RINGGATE_TEST_EXTENSION")
        .map_or_else(|| python::extension().to_owned(), PathBuf::from)
}

fn keep_log(mut from: std::io::PipeReader, to: &std::sync::Mutex<String>) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let text = String::from_utf8_lossy(&chunk[..count]).into_owned();
        if std::env::var_os("RINGGATE_TEST_VERBOSE").is_some() {
            std::io::stderr()
                .write_all(text.as_bytes())
                .expect("stderr takes text");
        }
        to.lock()
            .expect("nobody panics with the log")
            .push_str(&text);
    }
}

pub struct Host {
    pub channel: Channel,
    pub child: Child,
    pub ring: EdgeRing,
    bell: EventFd,
    /// The edge's ends of the worker sockets.
    sockets: HashMap<u16, OwnedFd>,
    log: Arc<std::sync::Mutex<String>>,
    /// Spooled bodies by slot.
    spools: HashMap<usize, OwnedFd>,
}

/// A request to be submitted.
#[derive(Clone)]
pub struct Call {
    pub request: Request<'static>,
    pub headers: Vec<(&'static [u8], &'static [u8])>,
    pub body: Vec<u8>,
    pub spooled: bool,
    /// The body is pushed by the test, on the inbound ring.
    pub streamed: bool,
}

pub fn get(target: &'static str) -> Call {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Call {
        request: Request {
            method: b"GET",
            target: target.as_bytes(),
            path: path.as_bytes(),
            query: query.as_bytes(),
            minor_version: 1,
            server_name: b"localhost",
            server_port: 8000,
            remote_addr: b"127.0.0.1",
            remote_port: 4711,
            ..Request::default()
        },
        headers: vec![(b"host", b"localhost:8000")],
        body: Vec::new(),
        spooled: false,
        streamed: false,
    }
}

/// A WebSocket handshake.
pub fn websocket(target: &'static str) -> Call {
    let mut call = get(target);
    call.request.flags = request::FLAG_WEBSOCKET;
    call
}

/// A request whose body the test pushes.
pub fn upload(target: &'static str) -> Call {
    let mut call = post(target, Vec::new());
    call.request.content_length = None;
    call.streamed = true;
    call
}

pub fn post(target: &'static str, body: impl Into<Vec<u8>>) -> Call {
    let mut call = get(target);
    call.body = body.into();
    call.request.method = b"POST";
    call.request.content_length = Some(call.body.len() as u64);
    call
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Length of the file parts of the body.
    pub file_bytes: u64,
    /// `HEAD_*`.
    pub flags: u16,
    /// The headers of interim responses, with their status.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
    pub trailers: Vec<(String, String)>,
    /// The WebSocket was accepted, with these headers.
    pub accepted: Option<Vec<(String, String)>>,
    /// Whole messages: whether binary, and what.
    pub messages: Vec<(bool, Vec<u8>)>,
    partial: Vec<u8>,
    pub close: Option<(u16, String)>,
    /// It asked for the body.
    pub wanted_body: bool,
    pub aborted: bool,
    ended: bool,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Host {
    /// The next message of the host, in time.
    #[track_caller]
    pub fn message(&self) -> FromHost {
        let mut watch = [Watch::read(self.channel.as_fd())];
        sys::socket::poll(&mut watch, Some(PATIENCE.as_millis() as u64)).expect("poll");
        assert!(
            watch[0].readable,
            "the host says nothing; its log:\n{}",
            self.log()
        );
        match self.channel.recv() {
            Ok(Some((message, _))) => message,
            other => panic!("the host is gone ({other:?}); its log:\n{}", self.log()),
        }
    }

    /// Messages up to the one that fits, which is returned; the edge hears of workers on the way.
    #[track_caller]
    pub fn until(&mut self, fits: impl Fn(&FromHost) -> bool) -> FromHost {
        loop {
            let message = self.message();
            match &message {
                FromHost::Loaded => self.order(&ToHost::Open),
                FromHost::WorkerUp {
                    index, incarnation, ..
                } => self.ring.worker_up(*index, *incarnation),
                FromHost::WorkerGone {
                    index, incarnation, ..
                } => {
                    self.ring.worker_gone(*index, *incarnation);
                }
                FromHost::Failed { .. } if !fits(&message) => {
                    panic!("{message:?}; log:\n{}", self.log())
                }
                _ => {}
            }
            if fits(&message) {
                return message;
            }
        }
    }

    pub fn order(&self, order: &ToHost) {
        self.channel
            .send(order, &[])
            .expect("the host takes an order");
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("nobody panics with the log").clone()
    }

    /// Waits until the log holds `text`.
    #[track_caller]
    pub fn logged(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(
                start.elapsed() < PATIENCE,
                "never logged: {text}; the log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Queues a request.
    pub fn submit(&mut self, call: &Call) -> SlotId {
        let slot = self.ring.reserve().expect("a slot is free");
        let area = self.ring.request_area(slot);
        let offset =
            request::encode(area, &call.request, call.headers.iter().copied()).expect("it fits");
        let body = if call.streamed {
            Body::Stream
        } else if call.spooled {
            let mut file = sys::file::temporary(Path::new("/tmp")).expect("a spool file");
            file.write_all(&call.body).expect("a file takes bytes");
            self.spools.insert(slot.index(), file.into());
            Body::File {
                len: call.body.len() as u64,
            }
        } else {
            area[offset..offset + call.body.len()].copy_from_slice(&call.body);
            Body::Inline {
                offset,
                len: call.body.len(),
            }
        };
        let len = request::set_body(area, body, call.request.content_length);
        assert!(
            self.ring.submit(slot, len, sys::clock::monotonic_ns()),
            "the queue has room"
        );
        self.ring.wake_workers(sys::clock::monotonic_ns());
        slot
    }

    /// Takes what has come for `slot`; `false`: there may be more.
    #[track_caller]
    pub fn take(&mut self, slot: SlotId, answer: &mut Answer) -> bool {
        enum Next {
            Nothing,
            WantBody,
            File {
                token: u64,
                offset: u64,
                length: u64,
            },
            Chunk(shm::Chunk),
            Message(bool, bool, shm::Chunk),
        }
        loop {
            let next = match self.ring.next_frame(slot).expect("no garbage") {
                None => return answer.ended,
                Some(Frame::Head(bytes)) => {
                    let head = shm::response::decode(bytes).expect("a head");
                    (answer.status, answer.flags) = (head.status, head.flags);
                    answer.headers = headers(bytes);
                    Next::Nothing
                }
                Some(Frame::Informational(bytes)) => {
                    let status = shm::response::decode(bytes).expect("a head").status;
                    answer.interim.push((status, headers(bytes)));
                    Next::Nothing
                }
                Some(Frame::Trailers(bytes)) => {
                    answer.trailers.extend(headers(bytes));
                    Next::Nothing
                }
                Some(Frame::Accept(bytes)) => {
                    answer.accepted = Some(headers(bytes));
                    Next::Nothing
                }
                Some(Frame::Close { code, reason }) => {
                    answer.close = Some((code, String::from_utf8_lossy(reason).into_owned()));
                    Next::Nothing
                }
                Some(Frame::Message {
                    binary,
                    last,
                    chunk,
                }) => Next::Message(binary, last, chunk),
                Some(Frame::Body(chunk)) => Next::Chunk(chunk),
                Some(Frame::File {
                    token,
                    offset,
                    length,
                }) => Next::File {
                    token,
                    offset,
                    length,
                },
                Some(Frame::WantBody) => Next::WantBody,
                Some(Frame::End) => {
                    answer.ended = true;
                    return true;
                }
                Some(Frame::Abort) => {
                    (answer.ended, answer.aborted) = (true, true);
                    return true;
                }
            };
            match next {
                Next::Nothing => {}
                Next::Chunk(chunk) => {
                    answer.body.extend_from_slice(self.ring.bytes(slot, chunk));
                    self.ring.consume(slot, chunk.mark());
                }
                Next::Message(binary, last, chunk) => {
                    answer
                        .partial
                        .extend_from_slice(self.ring.bytes(slot, chunk));
                    self.ring.consume(slot, chunk.mark());
                    if last {
                        let message = std::mem::take(&mut answer.partial);
                        answer.messages.push((binary, message));
                    }
                }
                Next::WantBody => {
                    answer.wanted_body = true;
                    if self.spools.contains_key(&slot.index()) {
                        self.send_spool(slot);
                    }
                }
                Next::File {
                    token,
                    offset,
                    length,
                } => {
                    answer.file_bytes += length;
                    let file = self.receive_file(slot, token);
                    let mut part = vec![0; length as usize];
                    let count = sys::file::read_at(file.as_fd(), &mut part, offset)
                        .expect("a readable file");
                    answer.body.extend_from_slice(&part[..count]);
                    self.ring.consume_all(slot);
                }
            }
        }
    }

    fn socket(&self, slot: SlotId) -> &OwnedFd {
        &self.sockets[&self.ring.worker_of(slot).expect("a worker has it").index]
    }

    pub fn send_spool(&self, slot: SlotId) {
        let label = Label {
            slot: slot.index() as u32,
            ticket: self.ring.ticket(slot),
            token: 0,
        };
        sys::socket::send_with_fds(
            self.socket(slot).as_fd(),
            &label.encode(),
            &[self.spools[&slot.index()].as_fd()],
        )
        .expect("the worker takes a file");
    }

    fn receive_file(&self, slot: SlotId, token: u64) -> OwnedFd {
        let (mut packet, mut files) = ([0; LABEL_BYTES], Vec::new());
        sys::socket::recv_with_fds(self.socket(slot).as_fd(), &mut packet, &mut files)
            .expect("a file comes");
        let label = Label::decode(&packet).expect("a label");
        assert_eq!(
            (label.slot as usize, label.ticket, label.token),
            (slot.index(), self.ring.ticket(slot), token)
        );
        files.pop().expect("a descriptor comes with it")
    }

    /// Waits for something to happen in the exchange, at most a millisecond.
    pub fn pause(&mut self) {
        self.ring.before_park(sys::clock::monotonic_ns());
        let mut watch = [Watch::read(self.bell.as_fd())];
        sys::socket::poll(&mut watch, Some(1)).expect("poll");
        self.bell.take().expect("an eventfd");
        self.ring.after_park();
        self.ring.dirty(|_| {});
    }

    /// Takes what comes until `enough` is so.
    #[track_caller]
    pub fn take_until(
        &mut self,
        slot: SlotId,
        answer: &mut Answer,
        enough: impl Fn(&Answer) -> bool,
    ) {
        let start = Instant::now();
        loop {
            let ended = self.take(slot, answer);
            if enough(answer) {
                return;
            }
            assert!(
                !ended && start.elapsed() < PATIENCE,
                "not enough: {answer:?}; log:\n{}",
                self.log()
            );
            self.pause();
        }
    }

    /// Pushes an event and shows it.
    pub fn event(&mut self, slot: SlotId, kind: EventKind, payload: &[u8]) {
        self.ring
            .push_event(slot, kind, payload)
            .expect("the inbound ring has room");
        self.ring.commit_events(slot);
    }

    /// The whole answer to a submitted request.
    #[track_caller]
    pub fn wait(&mut self, slot: SlotId) -> Answer {
        let mut answer = Answer::default();
        let start = Instant::now();
        while !self.take(slot, &mut answer) {
            assert!(
                start.elapsed() < PATIENCE,
                "no end of {answer:?}; log:\n{}",
                self.log()
            );
            self.pause();
        }
        self.ring.release(slot);
        answer
    }

    #[track_caller]
    pub fn call(&mut self, call: &Call) -> Answer {
        let slot = self.submit(call);
        self.wait(slot)
    }
}

fn headers(head: &[u8]) -> Vec<(String, String)> {
    shm::response::decode(head)
        .expect("a head")
        .headers
        .map(|(name, value)| (latin1(name), latin1(value)))
        .collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its workers die with it (PR_SET_PDEATHSIG).
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }
}
