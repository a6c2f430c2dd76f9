//! What app hosts print: a pipe's bytes cut into entries for the error log, named by app, generation and worker.
//!
//! Owns the unfinished line. Invariants: bounded memory per pipe whatever an app prints (a line longer than `LINE_BYTES_MAX`
//! is cut into several entries); every byte ends up in some entry; a traceback that arrives in one piece is one entry.
//! Must not know how the pipe is read or where entries go.

use config::LogLevel;

/// Longest line kept in one piece, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Most lines joined into one entry.
const ENTRY_LINES_MAX: usize = 400;

/// The first line of a Python traceback, and of an exception group's.
const TRACEBACK_HEADS: [&str; 2] = [
    "Traceback (most recent call last):",
    "  + Exception Group Traceback",
];
/// What joins a chained traceback to the one before.
const CHAINS: [&str; 2] = [
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];

/// One thing an app said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub level: LogLevel,
    /// As the host marks it, `w3`; "" without a mark.
    pub worker: String,
    /// One or several lines.
    pub message: String,
}

/// Cuts the bytes of one pipe.
#[derive(Debug, Default)]
pub struct Cutter {
    /// Bytes since the last newline, at most `LINE_BYTES_MAX`.
    partial: Vec<u8>,
    group: Option<Group>,
}

#[derive(Debug)]
struct Group {
    worker: String,
    lines: Vec<String>,
    /// The exception line has come: only a chain or a blank line continues the group.
    complete: bool,
    traceback: bool,
}

impl Cutter {
    /// Takes in what one read gave and appends the entries that are finished.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Entry>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.extend(&bytes[..end], out);
            self.end_line(out);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, out);
    }

    /// Nothing more is in the pipe for now: what is grouped leaves. An unfinished line waits for its end.
    pub fn pause(&mut self, out: &mut Vec<Entry>) {
        self.end_group(out);
    }

    /// The pipe is at its end.
    pub fn finish(&mut self, out: &mut Vec<Entry>) {
        if !self.partial.is_empty() {
            self.end_line(out);
        }
        self.end_group(out);
    }

    fn extend(&mut self, mut bytes: &[u8], out: &mut Vec<Entry>) {
        while self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            let (now, rest) = bytes.split_at(LINE_BYTES_MAX - self.partial.len());
            self.partial.extend_from_slice(now);
            self.end_line(out);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn end_line(&mut self, out: &mut Vec<Entry>) {
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        let (worker, line) = split_mark(text.trim_end_matches('\r'));
        if let Some(group) = self
            .group
            .as_mut()
            .filter(|group| group.continues(worker, line))
        {
            group.push(line);
            return;
        }
        self.end_group(out);
        if line.trim().is_empty() {
            return;
        }
        self.group = Some(Group::new(worker, line));
    }

    fn end_group(&mut self, out: &mut Vec<Entry>) {
        if let Some(mut group) = self.group.take() {
            while group
                .lines
                .last()
                .is_some_and(|line| line.trim().is_empty())
            {
                group.lines.pop();
            }
            let level = if group.traceback {
                LogLevel::Error
            } else {
                LogLevel::Info
            };
            out.push(Entry {
                level,
                worker: group.worker,
                message: group.lines.join("\n"),
            });
        }
    }
}

impl Group {
    fn new(worker: &str, line: &str) -> Group {
        let traceback = is_head(line);
        Group {
            worker: worker.to_owned(),
            lines: vec![line.to_owned()],
            complete: !traceback,
            traceback,
        }
    }

    /// Indented lines follow anything; in a traceback one unindented line (the exception) ends it, unless a chain follows.
    fn continues(&self, worker: &str, line: &str) -> bool {
        if self.lines.len() >= ENTRY_LINES_MAX || worker != self.worker {
            return false;
        }
        let indented = line.starts_with([' ', '\t']);
        if !self.traceback {
            // "Error while serving /x" and its traceback belong together.
            return indented || is_head(line);
        }
        let last = self.lines.last().map_or("", String::as_str);
        if line.trim().is_empty() || CHAINS.contains(&line) {
            return true;
        }
        !self.complete || indented || (is_head(line) && last.trim().is_empty())
    }

    fn push(&mut self, line: &str) {
        if is_head(line) {
            self.traceback = true;
            self.complete = false;
        } else if self.traceback && !line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            self.complete = !CHAINS.contains(&line);
        }
        self.lines.push(line.to_owned());
    }
}

fn is_head(line: &str) -> bool {
    TRACEBACK_HEADS.iter().any(|head| line.starts_with(head))
}

/// `[shop w3] text` -> (`w3`, `text`): the host's mark in front of what a worker says. Anything else is all text.
fn split_mark(line: &str) -> (&str, &str) {
    let Some(rest) = line.strip_prefix('[') else {
        return ("", line);
    };
    // The app's name may hold brackets itself: `[shop[2] w3]`.
    for (end, bracket) in rest.match_indices("] ").take(2) {
        let worker = rest[..end].rsplit_once(' ').map(|(_, worker)| worker);
        if let Some(worker) = worker.filter(|worker| is_worker(worker)) {
            return (worker, &rest[end + bracket.len()..]);
        }
    }
    ("", line)
}

fn is_worker(name: &str) -> bool {
    let digits = name.strip_prefix('w').unwrap_or("");
    (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
