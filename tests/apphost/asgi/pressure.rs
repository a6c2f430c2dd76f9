//! Bodies in and answers out as fast as the other side takes them, and a side that is gone.

use super::{SEVERAL, host};
use crate::driver::{Answer, get, post, upload};
use crate::harness::eventually;
use crate::kinds;
use shm::request::FLAG_EXPECT_CONTINUE;
use shm::{Cancel, EventKind};

#[test]
fn a_body_streams_in_as_it_comes() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&upload("/echo"));
        eventually("claimed", || host.ring.worker_of(slot));
        let full = host.ring.inbound_room(slot);
        host.event(slot, EventKind::Body, b"one");
        eventually("read", || {
            (host.ring.inbound_room(slot) >= full).then_some(())
        });
        host.event(slot, EventKind::Body, b"three");
        host.event(slot, EventKind::BodyEnd, b"");
        let text = host.wait(slot);
        // In two events or three, as it happens; the last is marked as such.
        let text = text.text();
        assert!(text.starts_with("[('http.request', 3, True)"), "{text}");
        assert!(text.ends_with(", False)]"), "{text}");
        assert_eq!(text.matches("False").count(), 1);
        // All that has come in one event; nothing at all; and inline.
        let slot = host.ring.reserve().expect("a slot");
        host.ring.abandon(slot);
        for (call, seen) in [
            (
                post("/echo", b"12345".to_vec()),
                "[('http.request', 5, False)]",
            ),
            (get("/echo"), "[('http.request', 0, False)]"),
        ] {
            assert_eq!(host.call(&call).text(), seen);
        }
        let mut spooled = post("/echo", vec![7; 100_000]);
        spooled.spooled = true;
        assert_eq!(
            host.call(&spooled).text(),
            "[('http.request', 65536, True), ('http.request', 34464, False)]"
        );
        assert_eq!(host.log(), "");
    }
}

#[test]
fn a_long_upload_flows_through_the_ring() {
    for kind in kinds() {
        let (mut host, _dir) = host(
            "
async def app(scope, receive, send):
    total, more = 0, True
    while more:
        event = await receive()
        total += sum(event['body'])
        more = event['more_body']
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body', 'body': str(total).encode()})
",
            kind,
        );
        let slot = host.submit(&upload("/"));
        let body: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        let mut sent = 0;
        while sent < body.len() {
            sent += host.ring.push_bytes(
                slot,
                EventKind::Body,
                Some(EventKind::BodyEnd),
                &body[sent..],
            );
            host.ring.commit_events(slot);
            host.pause();
        }
        let total: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(host.wait(slot).text(), total.to_string());
    }
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_at_the_first_receive() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let mut call = upload("/echo");
        call.request.flags |= FLAG_EXPECT_CONTINUE;
        let slot = host.submit(&call);
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.wanted_body);
        host.ring.push_bytes(
            slot,
            EventKind::Body,
            Some(EventKind::BodyEnd),
            b"asked for",
        );
        host.ring.commit_events(slot);
        assert_eq!(host.wait(slot).text(), "[('http.request', 9, False)]");
        call.request.path = b"/silent";
        call.request.target = b"/silent";
        let slot = host.submit(&call);
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.status == 500);
        assert!(!answer.wanted_body);
    }
}

#[test]
fn a_client_that_leaves_is_noticed_at_once() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/disconnect"));
        host.logged("waits");
        assert_eq!(host.ring.cancel(slot), Cancel::Running);
        host.logged("saw http.request http.disconnect ConnectionAbortedError");
        eventually("the slot is free again", || {
            host.pause();
            (host.ring.in_use() == 0).then_some(())
        });
        assert!(!host.log().contains("Traceback"), "{}", host.log());
    }
}

#[test]
fn send_waits_for_the_edge_to_make_room() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/large"));
        eventually("claimed", || host.ring.worker_of(slot));
        // Others are served meanwhile.
        assert_eq!(host.call(&get("/wrong")).status, 200);
        assert!(!host.log().contains("sent 0"), "{}", host.log());
        let answer = host.wait(slot);
        assert_eq!(answer.body.len(), 1_000_000);
        assert!(answer.body.is_sorted());
        host.logged("sent 9");
        let answer = host.call(&get("/together"));
        assert_eq!(answer.body.len(), 200_000);
        assert!(answer.body.is_sorted(), "messages are not torn");
    }
}

#[test]
fn a_head_leaves_before_its_body_when_the_body_takes_time() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/early"));
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.status == 200);
        assert_eq!(answer.header("content-length"), None);
        host.ring.cancel(slot);
    }
}
