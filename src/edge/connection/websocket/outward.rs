//! From the app to the client: messages put into frames, the app's close, and the app's end in all its forms.
//!
//! Invariant: after the app's end the call is not touched again.

use super::{Phase, Session};
use crate::app::News;
use crate::connection::Connection;
use crate::connection::failure::Named;
use config::LogLevel;
use proto::websocket::writer::Mixed;
use proto::websocket::{Kind, close};
use shm::Chunk;
use std::fmt::Display;
use std::io;

/// What the edge keeps for a client that is slower than the app.
const BUFFER_MAX_BYTES: usize = 256 * 1024;
/// Longer pieces leave from where the worker wrote them, if the socket takes them.
const COPY_MAX_BYTES: usize = 8 * 1024;

impl Session {
    /// Takes in what the app has said. True: enough waits in the edge; the client has to take some first.
    pub(super) fn pull(&mut self, connection: &Connection) -> bool {
        while self.served.is_none() {
            if self.out.len() >= BUFFER_MAX_BYTES {
                return true;
            }
            let news = match self.call.next(|_, _| {}) {
                Ok(Some(news)) => news,
                Ok(None) => break,
                Err(corrupt) => {
                    self.break_off(
                        connection,
                        &format_args!("garbage in the exchange: {}", corrupt.0),
                    );
                    break;
                }
            };
            match news {
                News::Message {
                    binary,
                    last,
                    chunk,
                } => self.send(connection, binary, last, chunk),
                News::Close { code, reason } => self.say_close(code, &reason),
                News::End => self.app_is_through(close::NORMAL, ""),
                News::Abort => self.app_is_through(close::INTERNAL, "internal error"),
                News::Lost => {
                    connection.ring.stats.apps[self.call.app().index]
                        .broken
                        .add(1);
                    self.app_is_through(close::RESTART, "the worker is gone");
                }
                News::Head(_) | News::Body(_) | News::File { .. } | News::WantBody => {
                    let what = "the worker broke the protocol: an HTTP answer on a WebSocket";
                    self.break_off(connection, &what);
                }
            }
        }
        false
    }

    fn send(&mut self, connection: &Connection, binary: bool, last: bool, chunk: Chunk) {
        let kind = if binary { Kind::Binary } else { Kind::Text };
        let mut sent = Ok(());
        if self.phase == Phase::Open {
            self.body_bytes += chunk.len() as u64;
            let (writer, out, blocked) = (&mut self.writer, &mut self.out, &mut self.blocked);
            let machines = &connection.ring.machines;
            let put = |bytes: &[u8]| -> Result<(), Mixed> {
                if *blocked
                    || out.len() + bytes.len() <= COPY_MAX_BYTES
                    || !writer.is_plain(bytes.len(), last)
                {
                    let machines = &mut *machines.borrow_mut();
                    return writer.append(kind, bytes, last, machines, out.buffer());
                }
                let head = writer.plain_head(kind, bytes.len(), last)?;
                let parts = [head.as_bytes(), bytes, b""];
                let left: io::Result<bool> = out.try_send_through(&connection.socket, parts);
                // A client that is gone shows at the next receive or send.
                *blocked = !left.unwrap_or(true);
                Ok(())
            };
            sent = self.call.with_bytes(chunk, put).unwrap_or(Ok(()));
        }
        self.call.consume(chunk.mark());
        if sent.is_err() {
            self.break_off(
                connection,
                &"the worker broke the protocol: two messages at once",
            );
        }
    }

    /// The app has ended, in whatever way; if it did not say how to close, this is how.
    fn app_is_through(&mut self, code: u16, reason: &str) {
        self.served = Some(self.call.settle(uring::now()));
        self.say_close(code, reason);
    }

    /// The worker cannot be believed any more.
    #[cold]
    fn break_off(&mut self, connection: &Connection, fault: &dyn Display) {
        let app = self.call.app();
        connection.ring.stats.apps[app.index].broken.add(1);
        connection.ring.log(
            LogLevel::Error,
            format_args!("app {}: {fault}, {}", app.name, Named(&self.open)),
        );
        self.let_app_go();
        self.say_close(close::INTERNAL, "internal error");
    }
}
