//! What app hosts print: a pipe's bytes cut into entries for the error log, named by app, generation and worker.
//!
//! Owns the unfinished line. Invariants: bounded memory per pipe whatever an app prints (a line longer than `LINE_BYTES_MAX`
//! is cut into several entries); every byte ends up in some entry; a traceback is one entry even if workers' lines mix. Time
//! comes in as an argument.
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

/// How long an entry waits for a continuation: Python writes a traceback line by line.
pub const HOLD_NS: u64 = 50_000_000;
/// Most workers whose entries are put together at the same time; beyond, the oldest is let go.
const GROUPS_MAX: usize = 256;

/// Cuts the bytes of one pipe.
#[derive(Debug)]
pub struct Cutter {
    /// The app's name, as the host marks lines with it.
    name: String,
    /// Bytes since the last newline, at most `LINE_BYTES_MAX`.
    partial: Vec<u8>,
    /// Unfinished entries, one per worker, in the order of their first lines.
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    worker: String,
    lines: Vec<String>,
    /// The exception line has come: only a chain or a blank line continues the group.
    complete: bool,
    traceback: bool,
    /// When its last line came.
    touched_ns: u64,
}

impl Cutter {
    pub fn new(name: &str) -> Cutter {
        Cutter {
            name: name.to_owned(),
            partial: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Takes in what one read gave and appends the entries that are finished.
    pub fn feed(&mut self, mut bytes: &[u8], now_ns: u64, out: &mut Vec<Entry>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.extend(&bytes[..end], now_ns, out);
            self.end_line(now_ns, out);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, now_ns, out);
    }

    /// Lets go of entries that nothing has continued for `HOLD_NS`. An unfinished line waits for its end.
    pub fn expire(&mut self, now_ns: u64, out: &mut Vec<Entry>) {
        let (due, waiting) = std::mem::take(&mut self.groups)
            .into_iter()
            .partition(|group| now_ns >= group.touched_ns.saturating_add(HOLD_NS));
        self.groups = waiting;
        let due: Vec<Group> = due;
        out.extend(due.into_iter().map(Group::entry));
    }

    /// Whether `expire` should be called in a while.
    pub fn is_waiting(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The pipe is at its end.
    pub fn finish(&mut self, out: &mut Vec<Entry>) {
        if !self.partial.is_empty() {
            self.end_line(0, out);
        }
        out.extend(self.groups.drain(..).map(Group::entry));
    }

    fn extend(&mut self, mut bytes: &[u8], now_ns: u64, out: &mut Vec<Entry>) {
        while self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            let (now, rest) = bytes.split_at(LINE_BYTES_MAX - self.partial.len());
            self.partial.extend_from_slice(now);
            self.end_line(now_ns, out);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn end_line(&mut self, now_ns: u64, out: &mut Vec<Entry>) {
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        let (worker, line) = split_mark(&self.name, text.trim_end_matches('\r'));
        if let Some(place) = self.groups.iter().position(|group| group.worker == worker) {
            if self.groups[place].continues(line) {
                self.groups[place].push(line, now_ns);
                return;
            }
            out.push(self.groups.remove(place).entry());
        }
        if line.trim().is_empty() {
            return;
        }
        if self.groups.len() >= GROUPS_MAX {
            out.push(self.groups.remove(0).entry());
        }
        self.groups.push(Group::new(worker, line, now_ns));
    }
}

impl Group {
    fn new(worker: &str, line: &str, now_ns: u64) -> Group {
        let traceback = is_head(line);
        Group {
            worker: worker.to_owned(),
            lines: vec![line.to_owned()],
            complete: !traceback,
            traceback,
            touched_ns: now_ns,
        }
    }

    /// Indented lines follow anything; in a traceback one unindented line (the exception) ends it, unless a chain follows.
    fn continues(&self, line: &str) -> bool {
        if self.lines.len() >= ENTRY_LINES_MAX {
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

    fn push(&mut self, line: &str, now_ns: u64) {
        if is_head(line) {
            self.traceback = true;
            self.complete = false;
        } else if self.traceback && !line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            self.complete = !CHAINS.contains(&line);
        }
        self.touched_ns = now_ns;
        self.lines.push(line.to_owned());
    }

    fn entry(mut self) -> Entry {
        while self.lines.last().is_some_and(|line| line.trim().is_empty()) {
            self.lines.pop();
        }
        let level = if self.traceback {
            LogLevel::Error
        } else {
            LogLevel::Info
        };
        Entry {
            level,
            worker: self.worker,
            message: self.lines.join("\n"),
        }
    }
}

fn is_head(line: &str) -> bool {
    TRACEBACK_HEADS.iter().any(|head| line.starts_with(head))
}

/// The host's mark in front of a line: `[shop w3] text` is worker `w3`, `[shop] text` the host itself. Anything else is all text.
fn split_mark<'a>(name: &str, line: &'a str) -> (&'a str, &'a str) {
    let marked = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_prefix(name));
    match marked.and_then(|rest| rest.split_once(']')) {
        Some(("", text)) => ("", text.strip_prefix(' ').unwrap_or(text)),
        Some((mark, text)) if mark.strip_prefix(' ').is_some_and(is_worker) => {
            (&mark[1..], text.strip_prefix(' ').unwrap_or(text))
        }
        _ => ("", line),
    }
}

fn is_worker(name: &str) -> bool {
    let digits = name.strip_prefix('w').unwrap_or("");
    (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
