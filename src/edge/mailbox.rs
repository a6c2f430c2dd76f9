//! The two ways between the control thread and a ring thread: a mailbox inwards, an outbox outwards.
//!
//! Owns the queues. Invariants: a message posted to a mailbox is seen by the ring thread's next turn, and a parked ring is
//! woken by its doorbell; nothing that a ring thread does here ever waits for more than a push under a lock, and
//! nothing it sends can grow without bound (`OUTBOX_MAX`; what does not fit is counted).
//! Must not know what follows from a message.

use crate::error_log::Line;
use crate::gate::{Gates, Permit, Reach, Ticket};
use crate::snapshot::Snapshot;
use crate::tally::Answer;
use crate::worker_socket::WorkerSocket;
use control::message::Patience;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use sys::eventfd::EventFd;
use tokio::sync::mpsc;

/// Messages that ring threads may have on their way to the control thread, all rings together. With access-log batches of
/// 64 KiB that is 64 MiB at the very worst.
const OUTBOX_MAX: usize = 1024;

/// Control thread to ring thread.
#[derive(Debug)]
pub enum ToRing {
    /// Accept here once `Go` has come; at once if it has come already.
    Listener {
        address: config::Address,
        socket: OwnedFd,
    },
    /// The segment of `config.apps[app]`, mapped and checked. Comes before anything else about that app.
    App {
        app: usize,
        segment: Arc<shm::Segment>,
    },
    /// The edge's end of a worker index's socket and the eventfd of its event loop, shared by all rings.
    WorkerSocket {
        app: usize,
        index: u16,
        socket: WorkerSocket,
        wake: Arc<EventFd>,
    },
    /// Requests that this worker held are lost: 502. What it lost in the queue is queued again.
    WorkerGone {
        app: usize,
        index: u16,
        incarnation: u16,
    },
    /// The new view of the apps; replaces the one before.
    Snapshot(Arc<Snapshot>),
    /// A request that waited in line may run. From another ring thread, or this one.
    Admitted { ticket: Ticket, permit: Permit },
    /// Stop accepting there; what has come in stays.
    Unlisten { address: config::Address },
    /// Serve by this configuration from now on: it has the same apps and rings. The directories are those of `files::mounts`, the gates
    /// each app's, and its access log is the `log`th.
    Site {
        config: Arc<config::Config>,
        directories: Vec<OwnedFd>,
        gates: Vec<Arc<Gates>>,
        log: u32,
    },
    /// Start accepting.
    Go,
    /// Look at the listeners' queues: a wake-up may have gone to another process.
    LookAgain,
    /// Leave the listeners, finish requests, answer `Connection: close`, report `FromRing::Drained`; whatever is
    /// left after `grace_ms` is cut. The thread then ends.
    Drain { grace_ms: u64, patience: Patience },
    /// End the thread now; what is in the access-log batch is handed over first.
    Quit,
}

/// The inbox of one ring thread.
#[derive(Debug)]
pub struct Mailbox {
    queue: Mutex<VecDeque<ToRing>>,
    /// May be true with an empty queue, never false with a full one (once `post` has returned).
    waiting: AtomicBool,
    /// The ring's eventfd, the one that workers ring as well.
    doorbell: EventFd,
}

impl Mailbox {
    /// `doorbell` is a duplicate of the ring's eventfd.
    pub fn new(doorbell: EventFd) -> Mailbox {
        Mailbox {
            queue: Mutex::default(),
            waiting: AtomicBool::new(false),
            doorbell,
        }
    }

    /// Queues a message and wakes the ring. Control messages are few, so the queue needs no bound and the bell no
    /// thrift.
    pub fn post(&self, message: ToRing) {
        self.lock().push_back(message);
        self.waiting.store(true, Ordering::Release);
        // Fails only on a descriptor that is no eventfd; the mail is then found at the ring's next turn.
        drop(self.doorbell.ring());
    }

    /// One load: is there mail? For every turn, and before parking.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Moves the mail to the end of `into`, in order.
    pub fn take(&self, into: &mut VecDeque<ToRing>) {
        self.waiting.store(false, Ordering::Release);
        into.append(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<ToRing>> {
        // A push cannot leave the queue half-done, so a poisoned lock is still a good queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reach for Mailbox {
    fn admit(&self, ticket: Ticket, permit: Permit) {
        self.post(ToRing::Admitted { ticket, permit });
    }
}

/// Ring thread to control thread.
#[derive(Debug)]
pub enum FromRing {
    /// The ring works; the thread is in its loop.
    Up { ring: usize },
    /// The thread could not start; the text is for the user and says what to do.
    Failed { ring: usize, message: String },
    /// Whole lines of the `log`th access log.
    AccessLog { lines: Vec<u8>, log: u32 },
    /// After `Site`: what follows is for this access log.
    Turned { ring: usize, log: u32 },
    /// Answered requests, for statsd.
    Answers(Vec<Answer>),
    /// A line for the error log.
    Log(Line),
    /// A request ran over its time and got its 504.
    WorkerStuck {
        app: usize,
        index: u16,
        incarnation: u16,
        request: String,
    },
    /// After `Drain`: no connection is left, the thread ends.
    Drained { ring: usize },
}

/// What ring threads hand out with; one clone per ring thread.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: mpsc::Sender<FromRing>,
    shared: Arc<OutboxShared>,
}

#[derive(Debug, Default)]
struct OutboxShared {
    /// What did not fit; see [`Lost`].
    lost_lines: AtomicU64,
    lost_answers: AtomicU64,
    /// Empty access-log buffers on their way back.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// What did not fit on its way to the control thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines of the access log and the error log.
    pub lines: u64,
    /// Answers that a statsd was to be told of.
    pub answers: u64,
}

/// The control thread's end of all outboxes.
#[derive(Debug)]
pub struct OutboxReceiver {
    receiver: mpsc::Receiver<FromRing>,
    shared: Arc<OutboxShared>,
}

/// Empty access-log buffers kept for reuse.
const BUFFERS_KEPT: usize = 16;

/// The channel from all ring threads to the control thread.
pub fn outbox() -> (Outbox, OutboxReceiver) {
    let (sender, receiver) = mpsc::channel(OUTBOX_MAX);
    let shared = Arc::<OutboxShared>::default();
    (
        Outbox {
            sender,
            shared: Arc::clone(&shared),
        },
        OutboxReceiver { receiver, shared },
    )
}

impl Outbox {
    /// Hands a message over; never waits. False if it did not fit or the control thread is gone. Lines and answers that do not fit are
    /// counted.
    pub fn send(&self, message: FromRing) -> bool {
        match self.sender.try_send(message) {
            Ok(()) => true,
            Err(
                mpsc::error::TrySendError::Full(message)
                | mpsc::error::TrySendError::Closed(message),
            ) => {
                let (counter, count) = match message {
                    FromRing::AccessLog { lines, .. } => {
                        let count = memchr::memchr_iter(b'\n', &lines).count();
                        (&self.shared.lost_lines, count)
                    }
                    FromRing::Log(_) => (&self.shared.lost_lines, 1),
                    FromRing::Answers(answers) => (&self.shared.lost_answers, answers.len()),
                    _ => return false,
                };
                counter.fetch_add(count as u64, Ordering::Relaxed);
                false
            }
        }
    }

    /// An empty buffer, used before if there is one.
    pub fn buffer(&self) -> Option<Vec<u8>> {
        self.shared
            .buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }
}

impl OutboxReceiver {
    /// The next message; `None` when every ring thread has ended and all is read.
    pub async fn next(&mut self) -> Option<FromRing> {
        self.receiver.recv().await
    }

    /// The next message if one is there.
    pub fn try_next(&mut self) -> Option<FromRing> {
        self.receiver.try_recv().ok()
    }

    /// What did not fit since the last call.
    pub fn take_lost(&self) -> Lost {
        Lost {
            lines: self.shared.lost_lines.swap(0, Ordering::Relaxed),
            answers: self.shared.lost_answers.swap(0, Ordering::Relaxed),
        }
    }

    /// Gives buffers back to the ring threads.
    pub fn recycler(&self) -> Recycler {
        Recycler(Arc::clone(&self.shared))
    }
}

/// Where written access-log buffers go.
#[derive(Clone, Debug)]
pub struct Recycler(Arc<OutboxShared>);

impl Recycler {
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        let mut kept = self
            .0
            .buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.len() < BUFFERS_KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_arrives_in_order_and_rings_the_bell() {
        let bell = EventFd::new().expect("eventfd");
        let mailbox = Mailbox::new(bell.try_clone().expect("dup"));
        let mut mail = VecDeque::new();
        assert!(!mailbox.is_waiting());
        mailbox.post(ToRing::Go);
        mailbox.post(ToRing::LookAgain);
        assert!(mailbox.is_waiting());
        assert_eq!(bell.take().expect("rung"), 2);
        mailbox.take(&mut mail);
        assert!(!mailbox.is_waiting());
        assert!(matches!(mail.pop_front(), Some(ToRing::Go)));
        assert!(matches!(mail.pop_front(), Some(ToRing::LookAgain)));
        assert!(mail.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (outbox, receiver) = outbox();
        let lines = |bytes: &[u8]| FromRing::AccessLog {
            lines: bytes.to_vec(),
            log: 0,
        };
        for _ in 0..OUTBOX_MAX {
            assert!(outbox.send(lines(b"one\n")));
        }
        assert!(!outbox.send(lines(b"two\nthree\n")));
        let line = Line::of_edge(config::LogLevel::Error, "four".into());
        assert!(!outbox.send(FromRing::Log(line)));
        let answer = Answer {
            status: 200,
            took_us: 1,
        };
        assert!(!outbox.send(FromRing::Answers(vec![answer; 5])));
        let (lines, answers) = (3, 5);
        assert_eq!(receiver.take_lost(), Lost { lines, answers });
        assert_eq!(receiver.take_lost(), Lost::default());
    }

    #[test]
    fn buffers_come_back_empty() {
        let (outbox, receiver) = outbox();
        assert!(outbox.buffer().is_none());
        receiver.recycler().recycle(b"used".to_vec());
        assert_eq!(outbox.buffer(), Some(Vec::new()));
    }
}
