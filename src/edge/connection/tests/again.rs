//! Requests that come again byte for byte: answered without being read, and no otherwise than if they had been.

use super::site::{Answer, SECOND_NS, Site, config};
use crate::ring::Guests;
use uring::sim::{Faults, Sim, run, run_seeds};

const OLD_S: i64 = 1_700_000_000;

/// What a second request may look like, and whether it is worth remembering.
const HEADS: [(&str, bool); 12] = [
    ("GET /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n", true),
    ("HEAD /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n", true),
    (
        "GET /static/a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        true,
    ),
    (
        "GET /static/a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        true,
    ),
    (
        "GET /static/a.txt HTTP/1.1\r\nHost: x\r\nUser-Agent: \"u\"\r\nReferer: r\r\n\
         If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n",
        true,
    ),
    (
        "GET /static/%61.txt?q=1 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
        true,
    ),
    (
        "GET /static/a.css HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
        true,
    ),
    ("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n", true),
    (
        "GET /static/a.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n",
        false,
    ),
    (
        "GET /static/a.txt HTTP/1.1\r\nHost: x\r\nIf-Match: \"y\"\r\n\r\n",
        false,
    ),
    ("GET /static/none HTTP/1.1\r\nHost: x\r\n\r\n", false),
    ("POST /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n", false),
];

fn files(sim: &Sim) {
    sim.add_file("/www/a.txt", "alpha", OLD_S);
    sim.add_file("/www/a.css", "plain", OLD_S);
    sim.add_file("/www/a.css.gz", "coded", OLD_S);
    sim.add_file("/www/large.bin", vec![b'l'; 50_000], OLD_S);
}

fn site(sim: &Sim) -> Site {
    let mut config = config();
    config.statics[0].options.precompressed = vec![config::Coding::Gzip];
    Site::new(sim.clone(), config)
}

async fn ask(site: &Site, head: &str) -> Answer {
    let peer = site.connect();
    peer.write(head);
    let answered = if head.starts_with("HEAD") {
        peer.head_answer().await
    } else {
        peer.answer().await
    };
    answered.expect("an answer")
}

/// A line without its times.
fn without_times(line: &str) -> String {
    let (address, rest) = line.split_once(" - - [").expect("combined");
    let (_, rest) = rest.split_once(']').expect("a date");
    let (rest, _) = rest.rsplit_once(' ').expect("the whole time");
    format!("{address} {rest}")
}

#[test]
fn the_fourth_answer_is_the_first() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        files(&sim);
        let site = site(&sim);
        let mut remembered = 0;
        for (head, is_plain) in HEADS {
            let first = ask(&site, head).await;
            for _ in 0..3 {
                let next = ask(&site, head).await;
                let date = |answer: &Answer| answer.header("date").map(str::to_owned);
                let (was, is) = (date(&first).expect("a date"), date(&next).expect("a date"));
                assert_eq!(next.head, first.head.replace(&was, &is), "{head:?}");
                assert_eq!(next.body, first.body, "{head:?}");
            }
            let lines: Vec<_> = site
                .access_log()
                .iter()
                .map(|line| without_times(line))
                .collect();
            assert_eq!(lines.len(), 4);
            assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
            remembered += usize::from(is_plain);
            // A head that came in two pieces was not seen whole.
            assert!(site.ring.site().memory.len() <= remembered);
        }
        let stats = &site.ring.stats;
        assert_eq!(stats.requests.value(), 4 * HEADS.len() as u64);
        assert_eq!(stats.static_requests.value(), 4 * HEADS.len() as u64);
    });
    run(1, Faults::NONE, async |sim| {
        files(&sim);
        let site = site(&sim);
        for (head, is_plain) in HEADS {
            let before = site.ring.site().memory.len();
            for _ in 0..3 {
                ask(&site, head).await;
            }
            let learned = site.ring.site().memory.len() - before;
            assert_eq!(learned, usize::from(is_plain), "{head:?}");
        }
    });
}

#[test]
fn a_change_is_seen_as_soon_as_by_a_new_request() {
    run_seeds(0..40, Faults::harmless, async |sim| {
        files(&sim);
        let site = site(&sim);
        let peer = site.connect();
        let mut changed_ns = None;
        for _ in 0..40 {
            uring::time::sleep(sim.random(SECOND_NS / 5)).await;
            if changed_ns.is_none() && sim.random(20) == 0 {
                sim.add_file("/www/a.txt", "another", OLD_S + 1);
                changed_ns = Some(uring::now());
            }
            let asked_ns = uring::now();
            peer.write(HEADS[0].0);
            let answer = peer.answer().await.expect("an answer");
            let is_due = changed_ns.is_some_and(|changed_ns| asked_ns >= changed_ns + SECOND_NS);
            assert!(answer.body == b"another" || !is_due && answer.body == b"alpha");
        }
    });
}

#[test]
fn another_site_has_its_own_memory_and_a_drain_is_heard() {
    run(3, Faults::NONE, async |sim| {
        files(&sim);
        sim.add_file("/other/a.txt", "elsewhere", OLD_S);
        let site = site(&sim);
        for _ in 0..4 {
            assert_eq!(ask(&site, HEADS[0].0).await.body, b"alpha");
        }
        site.reconfigure(|config| {
            config.statics[0].dir = "/other".into();
            config.server_header = "another".into();
        });
        for _ in 0..4 {
            let answer = ask(&site, HEADS[0].0).await;
            assert_eq!(answer.body, b"elsewhere");
            assert_eq!(answer.header("server"), Some("another"));
        }
        assert_eq!(site.ring.site().memory.len(), 1);
        let peer = site.connect();
        peer.write(HEADS[0].0);
        assert_eq!(
            peer.answer().await.expect("an answer").header("connection"),
            None
        );
        site.ring.drain(Guests::default());
        peer.write(HEADS[0].0);
        let last = peer.answer().await.expect("an answer");
        assert_eq!(last.header("connection"), Some("close"));
        assert_eq!(peer.rest().await.expect("an end"), b"");
    });
}
