//! The supervisor's own lines: `2026-11-23T01:02:03.123Z info supervisor: ...`, in the error log beside the edge's.
//!
//! One write per entry on a descriptor opened for appending, so lines of several processes do not mix.

use config::{Config, LogLevel, LogTarget};
use control::visible;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;

pub struct Log {
    target: LogTarget,
    level: LogLevel,
    file: Option<File>,
    /// What the edge has not been told yet; `None`: nobody there wants it.
    untold: Option<VecDeque<Said>>,
}

/// A line for those who are told beside the error log: the edge knows them.
pub struct Said {
    pub level: LogLevel,
    pub origin: String,
    pub text: String,
}

/// While there is no edge.
const UNTOLD_MAX: usize = 256;

impl Log {
    pub fn open(config: &Config) -> std::io::Result<Log> {
        let mut log = Log {
            target: config.error_log.clone(),
            level: config.log_level,
            file: None,
            untold: None,
        };
        log.tell_as(config);
        log.reopen()?;
        Ok(log)
    }

    /// Goes on as the configuration says; where it was if that cannot be opened.
    pub fn turn_to(&mut self, config: &Config) -> std::io::Result<()> {
        self.level = config.log_level;
        let file = opened(&config.error_log)?;
        (self.target, self.file) = (config.error_log.clone(), file);
        Ok(())
    }

    /// Whether somebody beside the log is to hear of what is said.
    pub fn tell_as(&mut self, config: &Config) {
        match config.syslog.is_some() || config.statsd.is_some() {
            true => drop(self.untold.get_or_insert_default()),
            false => self.untold = None,
        }
    }

    /// Opens the file anew; the old one stays in use if that fails.
    pub fn reopen(&mut self) -> std::io::Result<()> {
        self.file = opened(&self.target)?;
        Ok(())
    }

    pub fn say(&mut self, level: LogLevel, text: &str) {
        self.write(level, "supervisor", text);
    }

    pub fn write(&mut self, level: LogLevel, origin: &str, text: &str) {
        if level >= self.level {
            self.raw(&entry(sys::clock::wall_ns(), level, origin, text));
            if let Some(untold) = &mut self.untold
                && untold.len() < UNTOLD_MAX
            {
                untold.push_back(Said {
                    level,
                    origin: origin.to_owned(),
                    text: text.to_owned(),
                });
            }
        }
    }

    /// The next line that the edge is to hear of.
    pub fn take_untold(&mut self) -> Option<Said> {
        self.untold.as_mut()?.pop_front()
    }

    fn raw(&mut self, text: &[u8]) {
        let written = match (&self.target, &mut self.file) {
            (_, Some(file)) => file.write_all(text),
            (LogTarget::Stdout, _) => std::io::stdout().write_all(text),
            _ => std::io::stderr().write_all(text),
        };
        // A full disk or a closed terminal must not stop the server, and there is nobody left to tell.
        drop(written);
    }
}

fn opened(target: &LogTarget) -> std::io::Result<Option<File>> {
    match target {
        LogTarget::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map(Some)
        }
        LogTarget::Stdout | LogTarget::Stderr => Ok(None),
    }
}

/// The entry with its line ends; later lines are indented, so that each entry starts with its time. Control characters (in what an application
/// gave as its reason, say) are made visible.
fn entry(wall_ns: u64, level: LogLevel, origin: &str, text: &str) -> Vec<u8> {
    let stamp = proto::date::rfc3339(wall_ns / 1_000_000_000, (wall_ns / 1_000_000 % 1000) as u32);
    let stamp = String::from_utf8_lossy(&stamp);
    let mut entry = format!("{stamp} {} {origin}: ", level.as_str()).into_bytes();
    for (index, line) in text.trim_end().split('\n').enumerate() {
        if index > 0 {
            entry.extend_from_slice(b"\n    ");
        }
        visible::append(line.trim_end_matches('\r'), &mut entry);
    }
    entry.push(b'\n');
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_starts_with_its_time_and_keeps_its_lines_together() {
        let text = entry(
            1_795_395_723_123_456_789,
            LogLevel::Error,
            "supervisor",
            "no \x1b[31mred\nTraceback\r\n  File\n",
        );
        assert_eq!(
            String::from_utf8_lossy(&text),
            "2026-11-23T01:02:03.123Z error supervisor: no \\x1b[31mred\n    Traceback\n      File\n"
        );
    }
}
