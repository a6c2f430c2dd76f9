//! Writes a log: whole blocks of lines, in order, through the control thread's ring.
//!
//! Owns the open file and the queue before it. Invariants: blocks are written whole and in order (a short write is continued);
//! after `reopen` has returned, what comes goes to the new file; `stop` returns when everything queued is written. A log
//! that cannot be written (full disk, stuck pipe) loses lines, never the server: at most `QUEUE_BYTES_MAX` wait, what is
//! lost is counted.
//! Must not know what is in the lines.

use config::LogTarget;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File as StdFile;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

/// Bytes that may wait for a slow disk or pipe.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Small blocks are joined up to this size.
const JOIN_BYTES: usize = 64 * 1024;
/// "At the current position", for files and streams alike; `O_APPEND` makes it the end.
const AT_POSITION: u64 = u64::MAX;
/// Somebody made our stdout non-blocking, and its reader is slow: look again after this time.
const FULL_PIPE_PAUSE: Duration = Duration::from_millis(5);

/// A handle to the writing task; clones share it.
#[derive(Clone)]
pub struct LogWriter {
    target: LogTarget,
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    blocks: RefCell<VecDeque<Vec<u8>>>,
    /// Sum over `blocks` and the block being written.
    queued_bytes: Cell<usize>,
    lost_lines: Cell<u64>,
    /// Why lines were lost last, if not for want of time.
    failure: RefCell<Option<io::Error>>,
    reopen: RefCell<Option<oneshot::Sender<io::Result<()>>>>,
    stop: RefCell<Option<oneshot::Sender<()>>>,
    wake: Notify,
}

impl LogWriter {
    /// Opens the log and starts its task on the current tokio-uring runtime. `written` gets each block's buffer back.
    pub fn start(
        target: &LogTarget,
        written: impl FnMut(Vec<u8>) + 'static,
    ) -> io::Result<LogWriter> {
        let file = open(target)?;
        let writer = LogWriter {
            target: target.clone(),
            shared: Rc::default(),
        };
        tokio_uring::spawn(work(file, writer.clone(), written));
        Ok(writer)
    }

    /// Where it writes.
    pub fn target(&self) -> &LogTarget {
        &self.target
    }

    /// Queues whole lines; if too much waits already they are lost and counted.
    pub fn write(&self, block: Vec<u8>) {
        let shared = &self.shared;
        if shared.queued_bytes.get() + block.len() > QUEUE_BYTES_MAX {
            shared.lose(&block);
            return;
        }
        shared
            .queued_bytes
            .set(shared.queued_bytes.get() + block.len());
        let mut blocks = shared.blocks.borrow_mut();
        match blocks.back_mut() {
            Some(last) if last.len() + block.len() <= JOIN_BYTES => last.extend_from_slice(&block),
            _ => blocks.push_back(block),
        }
        shared.wake.notify_one();
    }

    /// Lines that could not be written since the last call.
    pub fn take_lost_lines(&self) -> u64 {
        self.shared.lost_lines.take()
    }

    /// What the last write that failed since the last call ran into.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.shared.failure.take()
    }

    /// Opens the target again (after a rotation), once what is queued is written; on failure the old file stays.
    pub async fn reopen(&self) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.shared.reopen.replace(Some(done));
        self.shared.wake.notify_one();
        // No answer: a later reopen took this one's place, or the task has ended.
        answer.await.unwrap_or(Ok(()))
    }

    /// Writes what is queued and ends the task.
    pub async fn stop(&self) {
        let (done, answer) = oneshot::channel();
        self.shared.stop.replace(Some(done));
        self.shared.wake.notify_one();
        // An error means that the task has ended already.
        drop(answer.await);
    }
}

impl Shared {
    fn lose(&self, block: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', block).count() as u64;
        self.lost_lines.set(self.lost_lines.get() + lines);
    }
}

async fn work(mut file: File, writer: LogWriter, mut written: impl FnMut(Vec<u8>)) {
    let shared = &writer.shared;
    loop {
        // The borrow must end before the write begins.
        let block = shared.blocks.borrow_mut().pop_front();
        if let Some(block) = block {
            let length = block.len();
            let (result, block) = write_all(&file, block).await;
            shared.queued_bytes.set(shared.queued_bytes.get() - length);
            if let Err((unwritten, error)) = result {
                shared.lose(&block[unwritten..]);
                shared.failure.replace(Some(error));
            }
            written(block);
        } else if let Some(done) = shared.reopen.take() {
            let result = open(&writer.target).map(|new| file = new);
            // The asker may have stopped waiting.
            drop(done.send(result));
        } else if let Some(done) = shared.stop.take() {
            // The asker may have stopped waiting.
            done.send(()).unwrap_or_default();
            return;
        } else {
            shared.wake.notified().await;
        }
    }
}

fn open(target: &LogTarget) -> io::Result<File> {
    let file = match target {
        LogTarget::Stdout => StdFile::from(sys::socket::duplicate(io::stdout().as_fd())?),
        LogTarget::Stderr => StdFile::from(sys::socket::duplicate(io::stderr().as_fd())?),
        LogTarget::File(path) => sys::file::open_log(path)?,
    };
    Ok(File::from_std(file))
}

/// On failure: how many bytes went out before, and why no more.
async fn write_all(file: &File, mut block: Vec<u8>) -> (Result<(), (usize, io::Error)>, Vec<u8>) {
    let mut start = 0;
    while start < block.len() {
        let (result, slice) = file
            .write_at(block.slice(start..), AT_POSITION)
            .submit()
            .await;
        block = slice.into_inner();
        match result {
            Ok(0) => return (Err((start, io::ErrorKind::WriteZero.into())), block),
            Ok(n) => start += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(FULL_PIPE_PAUSE).await;
            }
            Err(error) => return (Err((start, error)), block),
        }
    }
    (Ok(()), block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_over_reopen_and_stop() {
        let path = std::env::temp_dir().join(format!("ringgate-log-{}", std::process::id()));
        let rotated = path.with_extension("1");
        tokio_uring::start(async {
            let target = LogTarget::File(path.clone());
            let writer = LogWriter::start(&target, drop).expect("opens");
            for n in 0..1000 {
                writer.write(format!("line {n}\n").into_bytes());
                if n % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            writer.reopen().await.expect("the same file");
            std::fs::rename(&path, &rotated).expect("rename");
            writer.write(b"before\n".to_vec());
            writer.reopen().await.expect("the new file");
            writer.write(b"after\n".to_vec());
            writer.stop().await;
            assert_eq!(writer.take_lost_lines(), 0);
            assert_eq!(writer.shared.queued_bytes.get(), 0);
        });
        let first = std::fs::read_to_string(&rotated).expect("rotated");
        assert_eq!(first.lines().count(), 1001);
        assert!(first.ends_with("line 999\nbefore\n"));
        assert_eq!(std::fs::read_to_string(&path).expect("new"), "after\n");
        std::fs::remove_file(&path).expect("ours");
        std::fs::remove_file(&rotated).expect("ours");
    }

    #[test]
    fn a_full_disk_costs_lines_not_the_task() {
        tokio_uring::start(async {
            let writer =
                LogWriter::start(&LogTarget::File("/dev/full".into()), drop).expect("opens");
            writer.write(b"lost\n".to_vec());
            writer.write(b"lost\ntoo\n".to_vec());
            writer.stop().await;
            assert_eq!(writer.take_lost_lines(), 3);
            let failure = writer.take_failure().expect("a reason");
            assert_eq!(failure.kind(), io::ErrorKind::StorageFull);
            assert!(writer.take_failure().is_none());
        });
    }

    #[test]
    fn a_stuck_log_is_bounded() {
        tokio_uring::start(async {
            let writer =
                LogWriter::start(&LogTarget::File("/dev/null".into()), drop).expect("opens");
            let block = vec![b'\n'; JOIN_BYTES];
            for _ in 0..QUEUE_BYTES_MAX / JOIN_BYTES {
                writer.write(block.clone());
            }
            assert_eq!(writer.take_lost_lines(), 0);
            writer.write(b"one too many\n".to_vec());
            assert_eq!(writer.take_lost_lines(), 1);
            writer.stop().await;
        });
    }
}
