//! Numbers for a statsd, under gunicorn's names, several to a datagram.
//!
//! Owns the datagram that is being filled. Invariant: a datagram holds whole lines and is no longer than `PACKET_BYTES_MAX`.

use super::outlet::{Care, Outlet};
use crate::error_log::Line;
use crate::tally::Answer;
use config::LogLevel;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Arguments, Write};

/// What every network carries in one piece.
const PACKET_BYTES_MAX: usize = 1432;

pub struct Statsd {
    outlet: Outlet,
    prefix: String,
    /// `|#TAGS`, or "".
    tags: String,
    pub backlog: bool,
    packet: RefCell<String>,
}

impl Statsd {
    pub fn start(config: &config::Statsd, say: impl Fn(LogLevel, String) + 'static) -> Statsd {
        Statsd::to(
            Outlet::start(config.to.clone(), "statsd", Care::Drop, say),
            config,
        )
    }

    fn to(outlet: Outlet, config: &config::Statsd) -> Statsd {
        Statsd {
            outlet,
            prefix: config.prefix.clone(),
            tags: match config.tags.as_str() {
                "" => String::new(),
                tags => format!("|#{tags}"),
            },
            backlog: config.backlog,
            packet: RefCell::default(),
        }
    }

    pub fn answered(&self, answers: &[Answer]) {
        let mut by_status = BTreeMap::<u16, u64>::new();
        for answer in answers {
            *by_status.entry(answer.status).or_default() += 1;
            let (ms, rest) = (answer.took_us / 1000, answer.took_us % 1000);
            self.add(format_args!("request.duration:{ms}.{rest:03}|ms"));
        }
        self.add(format_args!("requests:{}|c|@1.0", answers.len()));
        for (status, count) in by_status {
            self.add(format_args!("request.status.{status}:{count}|c|@1.0"));
        }
        self.flush();
    }

    /// A line of the error log. Its numbers leave with the next datagram.
    pub fn logged(&self, line: &Line) {
        let what = match line.level {
            LogLevel::Debug | LogLevel::Info => return,
            LogLevel::Error if line.message.contains("Traceback (most recent call last):") => {
                "exception"
            }
            level => level.as_str(),
        };
        self.add(format_args!("log.{what}:1|c|@1.0"));
    }

    /// How it stands now; `waiting` is told if it was asked for.
    pub fn stands(&self, workers: usize, waiting: usize) {
        self.add(format_args!("workers:{workers}|g"));
        if self.backlog {
            self.add(format_args!("backlog:{waiting}|g"));
        }
        self.flush();
    }

    pub async fn stop(&self) {
        self.flush();
        self.outlet.stop().await;
    }

    fn add(&self, metric: Arguments<'_>) {
        let mut packet = self.packet.borrow_mut();
        let start = packet.len();
        if start > 0 {
            packet.push('\n');
        }
        write!(packet, "{}gunicorn.{metric}{}", self.prefix, self.tags)
            .expect("a String takes any text");
        if packet.len() > PACKET_BYTES_MAX && start > 0 {
            let line = packet.split_off(start);
            let full = std::mem::replace(&mut *packet, line[1..].to_owned());
            self.outlet.send(full.into_bytes());
        }
    }

    fn flush(&self) {
        let packet = self.packet.take();
        if !packet.is_empty() {
            self.outlet.send(packet.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Remote;
    use std::net::UdpSocket;

    #[test]
    fn numbers_have_gunicorns_names_and_fill_datagrams() {
        let statsd = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = statsd.local_addr().expect("bound").port();
        let host = "127.0.0.1".to_owned();
        let config = config::Statsd {
            to: Remote::Udp { host, port },
            prefix: "shop.".into(),
            tags: "env:live".into(),
            backlog: true,
        };
        tokio_uring::start(async {
            let sender = Statsd::start(&config, |_, said| panic!("{said}"));
            sender.stands(3, 7);
            let answer = Answer {
                status: 404,
                took_us: 1_234,
            };
            sender.answered(&[answer; 100]);
            sender.stop().await;
        });
        let mut buffer = [0; 65536];
        let mut receive = || {
            let length = statsd.recv(&mut buffer).expect("a datagram");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!(
            receive(),
            "shop.gunicorn.workers:3|g|#env:live\nshop.gunicorn.backlog:7|g|#env:live"
        );
        let mut lines = Vec::new();
        while lines.len() < 102 {
            let packet = receive();
            assert!(packet.len() <= PACKET_BYTES_MAX, "{}", packet.len());
            lines.extend(packet.lines().map(str::to_owned));
        }
        assert_eq!(
            lines[99],
            "shop.gunicorn.request.duration:1.234|ms|#env:live"
        );
        assert_eq!(lines[100], "shop.gunicorn.requests:100|c|@1.0|#env:live");
        assert_eq!(
            lines[101],
            "shop.gunicorn.request.status.404:100|c|@1.0|#env:live"
        );
    }
}
