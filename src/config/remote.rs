//! Who is told beside the logs: a statsd and a syslog, in gunicorn's words and with its names.
//!
//! Owns the types and how an address is written. Invariant: a host is not empty and holds no path, a path is absolute.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where datagrams or lines go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remote {
    Udp {
        host: String,
        port: u16,
    },
    Tcp {
        host: String,
        port: u16,
    },
    /// `stream`: false: datagrams; `None`: whichever the other side takes.
    Unix {
        path: PathBuf,
        stream: Option<bool>,
    },
}

/// Numbers about requests, workers and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statsd {
    pub to: Remote,
    /// Ends in a point, unless it is "".
    pub prefix: String,
    /// DogStatsD's: `name:value,name`; "" for none.
    pub tags: String,
    /// Requests that wait are told too.
    pub backlog: bool,
}

/// The error log, and the access log beside it or instead of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    pub to: Remote,
    /// Lines are `gunicorn.PREFIX.error` and `gunicorn.PREFIX.access`.
    pub prefix: String,
    /// RFC 5424's number.
    pub facility: u8,
    pub access: bool,
}

/// As RFC 5424 numbers them, by the names of syslog.conf.
const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("security", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// A facility's number by its name.
pub fn facility(name: &str) -> Result<u8, String> {
    let name = name.to_ascii_lowercase();
    let known = FACILITIES.iter().find(|(each, _)| *each == name);
    known
        .map(|(_, number)| *number)
        .ok_or_else(|| format!("'{name}' is no facility (user, daemon, local0 ... local7)"))
}

/// `HOST:PORT`, `HOST`, `[V6]:PORT`, `unix:///PATH`.
pub fn statsd(text: &str) -> Result<Remote, String> {
    const PORT: u16 = 8125;
    if let Some(path) = unix_path(text) {
        let path = path?;
        let stream = Some(false);
        return Ok(Remote::Unix { path, stream });
    }
    let text = text.strip_prefix("udp://").unwrap_or(text);
    let (host, port) = endpoint(text, PORT)?;
    Ok(Remote::Udp { host, port })
}

/// `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix:///PATH`, `unix:///PATH#dgram`.
pub fn syslog(text: &str) -> Result<Remote, String> {
    const PORT: u16 = 514;
    let (address, kind) = text.split_once('#').unwrap_or((text, ""));
    if let Some(path) = unix_path(address) {
        let path = path?;
        let stream = match kind {
            "dgram" => Some(false),
            "stream" | "" => None,
            _ => return Err(format!("'#{kind}' is neither #dgram nor #stream")),
        };
        return Ok(Remote::Unix { path, stream });
    }
    let or_localhost = |rest: &str| match rest {
        "" => Ok(("localhost".to_owned(), PORT)),
        rest => endpoint(rest, PORT),
    };
    if let Some(rest) = text.strip_prefix("udp://") {
        let (host, port) = or_localhost(rest)?;
        return Ok(Remote::Udp { host, port });
    }
    if let Some(rest) = text.strip_prefix("tcp://") {
        let (host, port) = or_localhost(rest)?;
        return Ok(Remote::Tcp { host, port });
    }
    Err(format!(
        "expected udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH, not '{text}'"
    ))
}

fn unix_path(text: &str) -> Option<Result<PathBuf, String>> {
    let rest = text.strip_prefix("unix:")?;
    let path = PathBuf::from(rest.strip_prefix("//").unwrap_or(rest));
    Some(match path.is_absolute() {
        true => Ok(path),
        false => Err(format!("expected an absolute path, not '{text}'")),
    })
}

fn endpoint(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let wrong = || format!("expected HOST:PORT, not '{text}'");
    let (host, port) = match text.strip_prefix('[') {
        Some(inside) => {
            let (host, rest) = inside.split_once(']').ok_or_else(wrong)?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = !host.is_empty() && !host.contains(['/', ' ']);
    let port = port.map_or(Ok(default_port), |port| port.parse());
    match (is_name, port) {
        (true, Ok(port)) if port > 0 => Ok((host.to_owned(), port)),
        _ => Err(wrong()),
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Udp { host, port } => write!(f, "udp://{host}:{port}"),
            Remote::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Remote::Unix { path, .. } => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_gunicorns() {
        let shown = |read: Result<Remote, String>| read.expect("an address").to_string();
        assert_eq!(shown(statsd("stats.local")), "udp://stats.local:8125");
        assert_eq!(shown(statsd("[::1]:99")), "udp://::1:99");
        assert_eq!(shown(statsd("unix:///run/s")), "unix:///run/s");
        assert_eq!(shown(syslog("udp://log:1514")), "udp://log:1514");
        assert_eq!(shown(syslog("tcp://")), "tcp://localhost:514");
        assert_eq!(
            syslog("unix:///dev/log#dgram"),
            Ok(Remote::Unix {
                path: "/dev/log".into(),
                stream: Some(false)
            })
        );
        for wrong in ["log:514", "unix://log", "udp://a:b", "unix:///x#y"] {
            assert!(syslog(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "x:0", "x:99999", "unix:s", "[::1"] {
            assert!(statsd(wrong).is_err(), "{wrong}");
        }
        assert_eq!(facility("LOCAL3"), Ok(19));
        assert!(facility("local8").is_err());
    }
}
