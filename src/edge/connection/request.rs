//! One request head: parsed, routed, and answered on the spot, or turned into what it still needs.
//!
//! Nothing here waits. Invariant: whatever is returned owns what it needs; the receive buffer may go.

use super::again;
use super::input::Input;
use super::output::Output;
use super::peer::AddressText;
use super::record::{self, Record};
use super::stream_body::StreamBody;
use super::submission::Upload;
use super::{Connection, OUTPUT_MAX_BYTES};
use crate::access_log::{AppTimes, Entry};
use crate::app::{Call, Served};
use crate::familiar::Mark;
use crate::files;
use crate::forwarded::Client;
use crate::respond::{self, Manner};
use crate::ring::Site;
use crate::route::{Handler, Route};
use config::LogLevel;
use proto::http1::request::{Parse, parse};
use proto::path::{self, Path};
use proto::target::Form;
use proto::websocket::handshake::Offer;
use proto::{Body, Head, HeaderStorage, Method, Reject};

/// For a head that has been taken in once: the limits may have become narrower since.
pub(super) const TAKEN_IN: proto::Limits = proto::Limits {
    request_line: usize::MAX,
    header_count: usize::MAX,
    field_bytes: usize::MAX,
    header_bytes: usize::MAX,
};

/// What a request whose answer is not complete yet leaves behind.
pub struct Open {
    pub manner: Manner,
    /// The client takes fields behind the body.
    pub trailers: bool,
    pub started_ns: u64,
    pub record: Box<Record>,
}

/// What comes next.
pub enum Step {
    /// Everything received is answered.
    Dry,
    /// The head is not complete.
    Partial,
    /// Enough answers are waiting; send some before the next request is looked at.
    Full,
    /// The connection ends when what waits has been sent.
    Last { linger: bool },
    /// The head waits in the output; the body comes from a file.
    File {
        open: Open,
        status: u16,
        body: files::Body,
    },
    /// A file has to be looked for on the disk.
    Cold { open: Open, cold: Box<files::Cold> },
    /// An app has the request.
    Call { open: Open, call: Call },
    /// An app has the request, and its body is coming.
    Stream {
        open: Open,
        call: Call,
        body: Box<StreamBody>,
    },
    /// An app decides whether the connection becomes a WebSocket.
    Socket {
        open: Open,
        call: Call,
        offer: Box<Offer>,
    },
    /// The body has to be taken in before an app gets the request.
    Upload { open: Open, upload: Box<Upload> },
}

/// What became of one head.
pub(super) enum Verdict {
    /// Answered whole; the connection goes on.
    Answered,
    Step(Step),
}

impl Connection {
    /// Answers what it can, in order, and says why it stopped.
    pub(super) fn step(&mut self, input: &mut Input, out: &mut Output) -> Step {
        if self.peer.is_awaited()
            && let Some(step) = self.name_client(input, out)
        {
            return step;
        }
        loop {
            if input.is_empty() {
                return Step::Dry;
            }
            if out.len() >= OUTPUT_MAX_BYTES {
                return Step::Full;
            }
            let (verdict, used) = self.handle_head(input.bytes(), out);
            input.consume(used);
            match verdict {
                Verdict::Answered => self.started_ns = uring::now(),
                Verdict::Step(Step::Last { linger }) => {
                    return Step::Last {
                        linger: linger || !input.is_empty(),
                    };
                }
                Verdict::Step(step) => return step,
            }
        }
    }

    /// Parses the head at the start of `bytes`; the count is what of them is used up.
    fn handle_head(&self, bytes: &[u8], out: &mut Output) -> (Verdict, usize) {
        let site = self.ring.site();
        let mark = again::mark(bytes);
        if let Some(mark) = mark
            && let Some(verdict) = self.answer_again(&site, mark, bytes, out)
        {
            return (verdict, bytes.len());
        }
        let mut storage = HeaderStorage::new();
        match parse(bytes, &mut storage, &site.limits) {
            Parse::Partial => (Verdict::Step(Step::Partial), 0),
            Parse::Error(reject) => (Verdict::Step(self.reject(bytes, reject, out)), 0),
            Parse::Complete { head, len } => {
                let asked = Asked {
                    bytes,
                    head: &head,
                    len,
                    manner: self.manner(&head),
                    at: out.position(),
                    mark,
                };
                self.route(&site, &asked, out)
            }
        }
    }

    fn manner(&self, head: &Head<'_, '_>) -> Manner {
        Manner {
            version: head.version,
            keep_alive: head.keep_alive && self.ring.keeps_alive(),
            head_only: head.method == Method::Head,
        }
    }

    /// Answers what could not be read, and ends: the framing is lost.
    #[cold]
    pub(super) fn reject(&self, bytes: &[u8], reject: Reject, out: &mut Output) -> Step {
        self.ring
            .log(LogLevel::Debug, format_args!("refused: {reject}"));
        let sent = self.page(reject.status, reject.reason, Manner::LAST, out);
        self.count(reject.status, sent, self.started_ns);
        if self.ring.access.borrow().is_on() {
            let remote = AddressText::of(self.peer().map(|peer| peer.ip()));
            let entry = Entry {
                line: record::first_line(bytes),
                remote: remote.as_str(),
                ..Entry::default()
            };
            self.write_log(entry, self.started_ns, reject.status, sent, None);
        }
        Step::Last { linger: true }
    }

    fn route(&self, site: &Site, asked: &Asked<'_, '_, '_>, out: &mut Output) -> (Verdict, usize) {
        let head = asked.head;
        if head.target.form == Form::Asterisk {
            let (manner, used) = asked.without_body();
            let date = self.ring.date();
            respond::options(out.buffer(), manner, site.common(&date));
            return (self.answered(asked, manner, 200, 0, out), used);
        }
        let mut scratch = self.ring.scratch.borrow_mut();
        let path = match path::normalise(head.target.path, &mut scratch) {
            Ok(path) => path,
            Err(fault) => return self.refuse(asked, 400, fault.reject().reason, out),
        };
        match site.routes.find(path.bytes) {
            None => self.refuse(asked, 404, "", out),
            Some(Route {
                handler: Handler::Static(mount),
                prefix,
            }) => self.serve_file(site, asked, mount, prefix, path, out),
            Some(Route {
                handler: Handler::Internal(_),
                ..
            }) => self.refuse(asked, 404, "", out),
            Some(Route {
                handler: Handler::App(app),
                ..
            }) => self.serve_app(asked, app, path, out),
        }
    }

    // The edge's own answers.

    /// A page in answer to a good head; a body that has not come yet is not waited for.
    #[cold]
    pub(super) fn refuse(
        &self,
        asked: &Asked<'_, '_, '_>,
        status: u16,
        detail: &str,
        out: &mut Output,
    ) -> (Verdict, usize) {
        let (manner, used) = asked.without_body();
        let sent = self.page(status, detail, manner, out);
        (self.answered(asked, manner, status, sent, out), used)
    }

    /// With `--reload`: the traceback of code that cannot be loaded.
    #[cold]
    pub(super) fn show_trouble(
        &self,
        asked: &Asked<'_, '_, '_>,
        text: &str,
        out: &mut Output,
    ) -> (Verdict, usize) {
        let (manner, used) = asked.without_body();
        let (site, date) = (self.ring.site(), self.ring.date());
        let sent = respond::trouble(out.buffer(), text, manner, site.common(&date));
        (self.answered(asked, manner, 500, sent, out), used)
    }

    /// Appends an error page; the bytes of its body.
    pub(super) fn page(&self, status: u16, detail: &str, manner: Manner, out: &mut Output) -> u64 {
        let (site, date) = (self.ring.site(), self.ring.date());
        let mut common = site.common(&date);
        if status == 503 {
            common.retry_after_s = self.ring.retry_after_s();
        }
        respond::page(out.buffer(), status, detail, manner, common)
    }

    /// Counts and logs an answer that is complete.
    #[inline]
    fn answered(
        &self,
        asked: &Asked<'_, '_, '_>,
        manner: Manner,
        status: u16,
        body_bytes: u64,
        out: &Output,
    ) -> Verdict {
        self.count(status, body_bytes, self.started_ns);
        if self.ring.access.borrow().is_on() {
            self.log_answered(asked, status, body_bytes, out.since(asked.at));
        }
        if manner.keep_alive {
            Verdict::Answered
        } else {
            // What of the body has not come may still be on its way.
            let linger = !asked.head.body.is_empty();
            Verdict::Step(Step::Last { linger })
        }
    }

    // Files.

    #[inline]
    fn serve_file(
        &self,
        site: &Site,
        asked: &Asked<'_, '_, '_>,
        mount: usize,
        prefix: usize,
        path: Path<'_>,
        out: &mut Output,
    ) -> (Verdict, usize) {
        let (manner, used) = asked.without_body();
        let request = files::Request {
            mount,
            path,
            prefix,
            head: asked.head,
        };
        let date = self.ring.date();
        let common = site.common(&date);
        let answer = site.files.answer(&request, common, manner, out.buffer());
        if let files::Answer::Whole { status, .. } | files::Answer::Body { status, .. } = answer {
            self.remember_answer(site, asked, &request, status);
        }
        let verdict = match answer {
            files::Answer::Whole { status, body_bytes } => {
                self.ring.stats.static_requests.add(1);
                self.answered(asked, manner, status, body_bytes, out)
            }
            files::Answer::Body { status, body } => {
                let mut open = self.open(asked, manner);
                self.note_answer(&mut open, out.since(asked.at));
                Verdict::Step(Step::File { open, status, body })
            }
            files::Answer::Cold(cold) => Verdict::Step(Step::Cold {
                open: self.open(asked, manner),
                cold,
            }),
        };
        (verdict, used)
    }

    // What an unfinished answer keeps, and its end.

    pub(super) fn open(&self, asked: &Asked<'_, '_, '_>, manner: Manner) -> Open {
        let mut record = self.ring.take_record();
        if self.ring.access.borrow().is_on() {
            self.remember(&mut record, asked);
        } else {
            record.fill_line(record::first_line(asked.bytes));
        }
        Open {
            manner,
            trailers: asked.head.takes_trailers(),
            started_ns: self.started_ns,
            record,
        }
    }

    fn log_answered(&self, asked: &Asked<'_, '_, '_>, status: u16, body_bytes: u64, head: &[u8]) {
        let started_ns = self.started_ns;
        if !self.ring.access.borrow().wanted().is_empty() {
            let mut record = self.ring.take_record();
            self.remember(&mut record, asked);
            record.note_answer(head, &self.ring.access.borrow());
            self.log_record(&record, started_ns, status, body_bytes, None);
            self.ring.give_record(record);
            return;
        }
        // Nothing is copied where nothing has to wait.
        let (referer, user_agent) = record::from_whom(asked.head);
        let client = Client::of(asked.head, self.peer(), &self.ring.site().forwarded);
        let remote = AddressText::of(client.address);
        let entry = Entry {
            line: record::first_line(asked.bytes),
            host: asked.head.host.map_or(b"", |host| host.raw.as_bytes()),
            referer,
            user_agent,
            remote: remote.as_str(),
            port: client.port,
            https: client.https,
            ..Entry::default()
        };
        self.write_log(entry, started_ns, status, body_bytes, None);
    }

    /// What the log will want to know.
    fn remember(&self, record: &mut Record, asked: &Asked<'_, '_, '_>) {
        let client = Client::of(asked.head, self.peer(), &self.ring.site().forwarded);
        let line = record::first_line(asked.bytes);
        record.fill(line, asked.head, client, &self.ring.access.borrow());
    }

    /// Keeps what the log will want to know of an answer whose head has just been written.
    pub(super) fn note_answer(&self, open: &mut Open, head: &[u8]) {
        let access = self.ring.access.borrow();
        if !access.wanted().response.is_empty() {
            open.record.note_answer(head, &access);
        }
    }

    /// Counts and logs the answer to an open request.
    pub(super) fn close_request(
        &self,
        open: Open,
        status: u16,
        body_bytes: u64,
        app: Option<(&str, Served)>,
    ) {
        self.count(status, body_bytes, open.started_ns);
        if self.ring.access.borrow().is_on() {
            self.log_record(&open.record, open.started_ns, status, body_bytes, app);
        }
        self.ring.give_record(open.record);
    }

    fn log_record(
        &self,
        record: &Record,
        started_ns: u64,
        status: u16,
        body_bytes: u64,
        app: Option<(&str, Served)>,
    ) {
        let entry = record.entry(&self.ring.access.borrow());
        self.write_log(entry, started_ns, status, body_bytes, app);
    }

    #[inline]
    pub(super) fn count(&self, status: u16, body_bytes: u64, started_ns: u64) {
        self.ring.stats.answered(status);
        self.ring.stats.bytes_out.add(body_bytes);
        if self.ring.tally.borrow().is_on() {
            let mut tally = self.ring.tally.borrow_mut();
            tally.count(status, started_ns, uring::now());
        }
    }

    pub(super) fn write_log(
        &self,
        entry: Entry<'_>,
        started_ns: u64,
        status: u16,
        body_bytes: u64,
        app: Option<(&str, Served)>,
    ) {
        let now_ns = uring::now();
        let app = app.map(|(name, served)| AppTimes {
            name,
            worker: served.worker,
            queue_ns: served.queue_ns,
            app_ns: served.app_ns,
        });
        let total_ns = now_ns.saturating_sub(started_ns);
        let entry = Entry {
            status,
            body_bytes,
            total_ns,
            server: (&self.entrance.listener, self.entrance.server_port),
            app,
            ..entry
        };
        self.ring
            .access
            .borrow_mut()
            .log(&entry, now_ns, uring::wall());
    }
}

/// A good head and the bytes it came in.
pub(super) struct Asked<'a, 'h, 'b> {
    pub bytes: &'a [u8],
    pub head: &'a Head<'h, 'b>,
    pub len: usize,
    pub manner: Manner,
    /// Where an answer to it begins in the output.
    pub at: u64,
    /// Of `bytes`, if they may be worth remembering.
    pub mark: Option<Mark>,
}

impl<'a> Asked<'a, '_, '_> {
    /// A body of `length` bytes, if it has come whole.
    pub fn body(&self, length: u64) -> Option<&'a [u8]> {
        self.bytes[self.len..].get(..usize::try_from(length).ok()?)
    }

    /// For an answer that does not need the body: one that has come whole is passed over, one that has not ends the
    /// connection. The second value is what of `bytes` is used up.
    #[inline]
    fn without_body(&self) -> (Manner, usize) {
        match self.head.body {
            Body::None | Body::Length(0) => (self.manner, self.len),
            Body::Length(length) if length <= (self.bytes.len() - self.len) as u64 => {
                (self.manner, self.len + length as usize)
            }
            Body::Length(_) | Body::Chunked => (
                Manner {
                    keep_alive: false,
                    ..self.manner
                },
                self.bytes.len(),
            ),
        }
    }
}
