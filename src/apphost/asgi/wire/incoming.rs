//! The way in: bodies, messages, and how the client left.

use super::{Stage, Wire};
use shm::event::{CODE_TIMEOUT, read_disconnect};
use shm::{EventKind, Finish};
use std::os::fd::{AsFd, OwnedFd};

/// Most bytes of a streamed body in one event.
const EVENT_BYTES_MAX: usize = 256 * 1024;
/// How much of a spooled body is in one event.
const SPOOL_READ_BYTES: usize = 64 * 1024;

/// Where the request's body comes from.
pub enum Intake {
    /// In the request area.
    Inline { offset: usize, len: usize },
    /// On the inbound ring. `ask`: the client waits for 100 Continue.
    Stream { ask: bool },
    /// In a file that the edge hands over when asked.
    File {
        len: u64,
        position: u64,
        file: Option<OwnedFd>,
        asked: bool,
    },
}

/// How a request's client left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Of a WebSocket's close frame; 1006 without one.
    pub code: u16,
    pub reason: Vec<u8>,
    pub timed_out: bool,
}

/// Something for `receive`.
pub enum Incoming {
    Body { more: bool },
    Text,
    Binary,
}

impl Wire {
    /// Looks whether the client has gone. True: it just has, or has been so before.
    pub fn note_gone(&mut self, websocket: bool) -> bool {
        let Some(claim) = &mut self.claim else {
            return self.gone.is_some();
        };
        let cancelled = claim.cancelled();
        if !cancelled && !matches!(claim.peek_event(), Ok(Some(EventKind::Disconnect)) | Err(_)) {
            return false;
        }
        if !cancelled && websocket {
            // Its turn comes in `next_message`.
            return self.gone.is_some();
        }
        let mut gone = Gone {
            code: 1006,
            reason: Vec::new(),
            timed_out: false,
        };
        // What came before is still the application's.
        loop {
            let start = self.partial.len();
            match claim.next_event(&mut self.partial) {
                Ok(Some(EventKind::Disconnect)) => {
                    gone.take(&self.partial[start..]);
                    break;
                }
                Ok(Some(kind @ (EventKind::WsTextEnd | EventKind::WsBinaryEnd))) => {
                    let message = std::mem::take(&mut self.partial);
                    self.saved
                        .push_back((kind == EventKind::WsTextEnd, message));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.leave(gone);
        true
    }

    /// The client has gone: the edge has its slot back, what waits goes nowhere.
    fn leave(&mut self, gone: Gone) {
        // A WebSocket that the application has closed keeps its own code.
        self.gone.get_or_insert(gone);
        self.partial = Vec::new();
        self.queue.clear();
        self.stage = Stage::Over;
        if let Some(claim) = self.claim.take() {
            claim.finish(Finish::Abort);
        }
    }

    /// The next part of the request's body, appended to `out`. `None`: nothing has come, or nothing will (`body_done`).
    pub fn next_body(&mut self, out: &mut Vec<u8>) -> Option<Incoming> {
        let claim = self.claim.as_mut()?;
        if self.body_done {
            return None;
        }
        match &mut self.intake {
            Intake::Inline { offset, len } => {
                let area = claim.request();
                out.extend_from_slice(area.get(*offset..*offset + *len).unwrap_or_default());
                self.body_done = true;
            }
            Intake::Stream { ask } => {
                if *ask && claim.want_body().is_ok() {
                    *ask = false;
                }
                while out.len() < EVENT_BYTES_MAX {
                    match claim.peek_event() {
                        Ok(Some(EventKind::Body)) => {}
                        Ok(Some(EventKind::BodyEnd)) => self.body_done = true,
                        _ => break,
                    }
                    if claim.next_event(out).is_err() || self.body_done {
                        break;
                    }
                }
                if out.is_empty() && !self.body_done {
                    return None;
                }
            }
            Intake::File {
                len,
                position,
                file,
                asked,
            } => {
                let Some(file) = file else {
                    if !*asked {
                        *asked = claim.want_body().is_ok();
                    }
                    return None;
                };
                let wanted = (*len - *position).min(SPOOL_READ_BYTES as u64) as usize;
                out.resize(wanted, 0);
                let count = sys::file::read_at(file.as_fd(), out, *position).unwrap_or(0);
                out.truncate(count);
                *position += count as u64;
                self.body_done = count < wanted || *position == *len;
            }
        }
        Some(Incoming::Body {
            more: !self.body_done,
        })
    }

    /// The spooled body's file has come.
    pub fn take_spool(&mut self, received: OwnedFd) {
        if let Intake::File { file, .. } = &mut self.intake {
            *file = Some(received);
        }
    }

    /// The next whole message, moved into `out`. `None`: none has come, or the client has gone.
    pub fn next_message(&mut self, out: &mut Vec<u8>) -> Option<Incoming> {
        let kind = |text: bool| {
            if text {
                Incoming::Text
            } else {
                Incoming::Binary
            }
        };
        if let Some((text, message)) = self.saved.pop_front() {
            *out = message;
            return Some(kind(text));
        }
        let claim = self.claim.as_mut()?;
        loop {
            let start = self.partial.len();
            match claim.next_event(&mut self.partial) {
                Ok(Some(found @ (EventKind::WsTextEnd | EventKind::WsBinaryEnd))) => {
                    std::mem::swap(out, &mut self.partial);
                    self.partial.clear();
                    return Some(kind(found == EventKind::WsTextEnd));
                }
                Ok(Some(EventKind::Disconnect)) => {
                    let mut gone = Gone {
                        code: 1006,
                        reason: Vec::new(),
                        timed_out: false,
                    };
                    gone.take(&self.partial[start..]);
                    self.leave(gone);
                    return None;
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(_) => {
                    // Not an edge's doing: nothing sensible follows.
                    self.leave(Gone {
                        code: 1006,
                        reason: Vec::new(),
                        timed_out: false,
                    });
                    return None;
                }
            }
        }
    }
}

impl Gone {
    fn take(&mut self, payload: &[u8]) {
        let (code, reason) = read_disconnect(payload);
        self.timed_out = code == CODE_TIMEOUT;
        if code >= 1000 {
            self.code = code;
        }
        self.reason = reason.to_vec();
    }
}
