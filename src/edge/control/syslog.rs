//! The logs' lines for a syslog, as gunicorn sends them: `<PRIORITY>gunicorn.PREFIX.error: [PID] message`, without a time of its own.
//!
//! Owns their shape. Invariant: a message is no longer than `MESSAGE_BYTES_MAX`.

use super::outlet::{Care, Outlet};
use crate::error_log::Line;
use config::LogLevel;

/// What syslog daemons take without further settings.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
const SEVERITY_INFO: u8 = 6;

pub struct Syslog {
    outlet: Outlet,
    facility: u8,
    error: String,
    access: Option<String>,
}

impl Syslog {
    pub fn start(config: &config::Syslog, say: impl Fn(LogLevel, String) + 'static) -> Syslog {
        let pid = std::process::id();
        let name = |which: &str| format!("gunicorn.{}.{which}: [{pid}] ", config.prefix);
        Syslog {
            outlet: Outlet::start(config.to.clone(), "syslog", Care::Keep, say),
            facility: config.facility,
            error: name("error"),
            access: config.access.then(|| name("access")),
        }
    }

    /// A line of the error log; its time is the syslog's to tell.
    pub fn error(&self, line: &Line) {
        let mut text = Vec::with_capacity(line.message.len() + 32);
        line.format_bare(&mut text);
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        self.send(severity(line.level), &self.error, text);
    }

    /// Whole lines of the access log.
    pub fn access(&self, lines: &[u8]) {
        let Some(name) = &self.access else { return };
        for line in lines.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                self.send(SEVERITY_INFO, name, line);
            }
        }
    }

    pub async fn stop(&self) {
        self.outlet.stop().await;
    }

    fn send(&self, severity: u8, name: &str, text: &[u8]) {
        let mut message = format!("<{}>{name}", self.facility * 8 + severity).into_bytes();
        let room = MESSAGE_BYTES_MAX.saturating_sub(message.len());
        message.extend_from_slice(&text[..text.len().min(room)]);
        self.outlet.send(message);
    }
}

/// RFC 5424's.
fn severity(level: LogLevel) -> u8 {
    match level {
        LogLevel::Critical => 2,
        LogLevel::Error => 3,
        LogLevel::Warning => 4,
        LogLevel::Info => SEVERITY_INFO,
        LogLevel::Debug => 7,
    }
}
