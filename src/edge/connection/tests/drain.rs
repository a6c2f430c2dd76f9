//! The end of a ring thread's connections, at once or with patience.

use super::http::{GET, files};
use super::site::{SECOND_NS, Site, config};
use crate::ring::Guests;
use uring::sim::{Faults, run_seeds};
use uring::time::sleep;

#[test]
fn draining_ends_connections_at_rest_and_finishes_the_others() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let large = files(&sim);
        let site = Site::new(sim, config());
        let resting = site.connect();
        resting.write(GET);
        assert_eq!(resting.answer().await.expect("an answer").status, 200);
        let busy = site.connect();
        busy.write("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        busy.client.read_at_most(1).await.expect("the first byte");
        site.ring.drain(Guests::default());
        uring::wake_all();
        assert_eq!(resting.rest().await.expect("an end"), b"");
        let rest = busy.rest().await.expect("the answer's rest");
        assert!(rest.ends_with(&large[1000..]));
        site.empty().await;
    });
}

#[test]
fn connections_at_rest_may_be_let_ask_once_more_before_they_end() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        let (active, silent) = (site.connect(), site.connect());
        for peer in [&active, &silent] {
            peer.write(GET);
            assert_eq!(peer.answer().await.expect("an answer").status, 200);
        }
        site.ring.drain(Guests {
            at_rest: true,
            sockets: true,
        });
        uring::wake_all();
        sleep(SECOND_NS).await;
        active.write(GET);
        let answer = active.answer().await.expect("an answer");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(active.rest().await.expect("an end"), b"");
        assert_eq!(site.ring.connections(), 1, "the silent one stays");
        site.ring.drain(Guests::default());
        uring::wake_all();
        assert_eq!(silent.rest().await.expect("an end"), b"");
        site.empty().await;
    });
}
