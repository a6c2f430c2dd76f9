//! Lines of the error log: `2026-11-23T01:02:03.123Z error app shop: ...`.
//!
//! Owns their shape, not their writing. Invariant: a `Line` formats to one line, or for a multi-line message (a traceback)
//! to one line and indented continuation lines, so that every entry starts with a time at the beginning of a line.
//! Ring threads log through their outbox; `Logger` bounds how much one thread can say per second, because a client can provoke
//! some of the lines.

use crate::mailbox::{FromRing, Outbox};
use crate::timestamp::Timestamp;
use config::LogLevel;
use control::visible;
use std::cell::Cell;
use std::fmt;

/// Longest message kept, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Lines a ring thread may write per second; what is beyond is counted and said once.
const LINES_PER_SECOND_MAX: u32 = 200;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Edge,
    Ring(usize),
    /// As another process calls itself.
    Other(String),
    /// An app by name and generation; `worker` as the host names it (`w3`), "" if it is the host itself.
    App {
        name: String,
        generation: u32,
        worker: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Edge => f.write_str("edge"),
            Origin::Other(name) => f.write_str(name),
            Origin::Ring(index) => write!(f, "ring {index}"),
            Origin::App {
                name,
                generation,
                worker,
            } => {
                write!(f, "app {name}[{generation}]")?;
                if worker.is_empty() {
                    Ok(())
                } else {
                    write!(f, " {worker}")
                }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Unix nanoseconds.
    pub wall_ns: u64,
    pub level: LogLevel,
    pub origin: Origin,
    pub message: String,
}

impl Line {
    /// The control thread's own.
    pub fn of_edge(level: LogLevel, message: String) -> Line {
        Line {
            wall_ns: sys::clock::wall_ns(),
            level,
            origin: Origin::Edge,
            message,
        }
    }

    /// Appends the line; control characters (terminal escapes of an app, say) are made visible.
    pub fn format(&self, stamp: &mut Timestamp, out: &mut Vec<u8>) {
        stamp.iso(self.wall_ns, out);
        out.push(b' ');
        out.extend_from_slice(self.level.as_str().as_bytes());
        out.push(b' ');
        self.format_bare(out);
    }

    /// As `format`, for readers that are told time and level in a way of their own.
    pub fn format_bare(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.origin.to_string().as_bytes());
        out.push(b':');
        let mut message = self.message.as_str();
        let mut end = message.len().min(MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message = &message[..end];
        for (index, line) in message
            .trim_end_matches(['\n', '\r'])
            .split('\n')
            .enumerate()
        {
            out.extend_from_slice(if index == 0 { b" " } else { b"\n    " });
            visible::append(line.trim_end_matches('\r'), out);
        }
        if end < self.message.len() {
            out.extend_from_slice(b" [...]");
        }
        out.push(b'\n');
    }
}

/// A ring thread's voice in the error log. Cheap when the level is off: nothing is formatted.
#[derive(Debug)]
pub struct Logger {
    outbox: Outbox,
    ring: usize,
    level: Cell<LogLevel>,
    second: Cell<u64>,
    lines: Cell<u32>,
}

impl Logger {
    /// `level` is the least severe level written.
    pub fn new(ring: usize, level: LogLevel, outbox: Outbox) -> Logger {
        Logger {
            outbox,
            ring,
            level: Cell::new(level),
            second: Cell::new(0),
            lines: Cell::new(0),
        }
    }

    pub fn set_level(&self, level: LogLevel) {
        self.level.set(level);
    }

    /// Writes a line, or counts it if this thread has said too much this second.
    pub fn log(&self, wall_ns: u64, level: LogLevel, message: fmt::Arguments<'_>) {
        if level < self.level.get() {
            return;
        }
        let second = wall_ns / 1_000_000_000;
        if self.second.replace(second) != second {
            let silent = self.lines.replace(0).saturating_sub(LINES_PER_SECOND_MAX);
            if silent > 0 {
                self.send(
                    wall_ns,
                    LogLevel::Warning,
                    format!("{silent} further lines were not written"),
                );
            }
        }
        let lines = self.lines.get() + 1;
        self.lines.set(lines);
        if lines <= LINES_PER_SECOND_MAX {
            self.send(wall_ns, level, message.to_string());
        }
    }

    fn send(&self, wall_ns: u64, level: LogLevel, message: String) {
        // A full outbox means that the control thread is far behind; there is nobody to tell.
        self.outbox.send(FromRing::Log(Line {
            wall_ns,
            level,
            origin: Origin::Ring(self.ring),
            message,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::outbox;

    const WALL_NS: u64 = 1_795_395_723_123_000_000;

    fn format(origin: Origin, message: &str) -> String {
        let mut out = Vec::new();
        let line = Line {
            wall_ns: WALL_NS,
            level: LogLevel::Error,
            origin,
            message: message.into(),
        };
        line.format(&mut Timestamp::default(), &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn one_line_per_entry_and_tracebacks_indented() {
        assert_eq!(
            format(Origin::Edge, "oops\n"),
            "2026-11-23T01:02:03.123Z error edge: oops\n"
        );
        let origin = Origin::App {
            name: "shop".into(),
            generation: 2,
            worker: "w3".into(),
        };
        assert_eq!(
            format(origin, "Traceback:\r\n  File x\nValueError\n\n"),
            "2026-11-23T01:02:03.123Z error app shop[2] w3: Traceback:\n      File x\n    ValueError\n"
        );
    }

    #[test]
    fn terminal_escapes_are_shown_not_played() {
        assert!(
            format(Origin::Ring(1), "a\x1b[31mb\tc\x07").ends_with("ring 1: a\\x1b[31mb\tc\\x07\n")
        );
    }

    #[test]
    fn endless_messages_are_cut_at_a_character() {
        let text = format(Origin::Edge, &"é".repeat(MESSAGE_BYTES_MAX));
        assert!(text.ends_with("é [...]\n") && text.len() < MESSAGE_BYTES_MAX + 100);
    }

    #[test]
    fn a_flood_is_counted_and_mentioned() {
        let (outbox, mut receiver) = outbox();
        let logger = Logger::new(0, LogLevel::Info, outbox);
        logger.log(WALL_NS, LogLevel::Debug, format_args!("not said"));
        for _ in 0..LINES_PER_SECOND_MAX + 5 {
            logger.log(WALL_NS, LogLevel::Info, format_args!("hello"));
        }
        logger.log(
            WALL_NS + 1_000_000_000,
            LogLevel::Info,
            format_args!("next"),
        );
        let mut said = Vec::new();
        while let Some(FromRing::Log(line)) = receiver.try_next() {
            said.push(line.message);
        }
        assert_eq!(said.len() as u32, LINES_PER_SECOND_MAX + 2);
        assert_eq!(said[said.len() - 2], "5 further lines were not written");
        assert_eq!(said[said.len() - 1], "next");
    }
}
