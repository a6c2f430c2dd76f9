//! WebSockets: messages, refusals, closes.

use super::{SEVERAL, host};
use crate::driver::{Answer, Call, Host, websocket};
use crate::kinds;
use shm::EventKind;
use shm::event::disconnect;

/// Accepted, and what came with it.
pub fn accepted(host: &mut Host, call: &Call) -> (shm::SlotId, Answer) {
    let slot = host.submit(call);
    let mut answer = Answer::default();
    host.take_until(slot, &mut answer, |answer| answer.accepted.is_some());
    (slot, answer)
}

#[test]
fn websockets_echo_whole_messages() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let mut call = websocket("/echo");
        call.headers.push((b"Sec-WebSocket-Protocol", b"one, two"));
        let (slot, mut answer) = accepted(&mut host, &call);
        let headers = answer.accepted.clone().expect("accepted");
        assert_eq!(headers[0].1, "two");
        assert_eq!(headers[1], ("x-a".to_owned(), "b".to_owned()));
        let text = "zwölf".as_bytes();
        host.event(slot, EventKind::WsTextPart, &text[..3]);
        host.event(slot, EventKind::WsTextEnd, &text[3..]);
        host.event(slot, EventKind::WsBinaryEnd, b"");
        host.event(slot, EventKind::WsTextEnd, b"");
        host.take_until(slot, &mut answer, |answer| answer.messages.len() == 3);
        assert_eq!(
            answer.messages,
            [
                (false, text.to_vec()),
                (true, Vec::new()),
                (false, Vec::new())
            ]
        );
        // Larger than both rings.
        let large: Vec<u8> = (0..500_000u32).map(|at| (at % 253) as u8).collect();
        let mut sent = 0;
        while answer.messages.len() < 4 {
            if sent < large.len() {
                sent += host.ring.push_bytes(
                    slot,
                    EventKind::WsBinaryPart,
                    Some(EventKind::WsBinaryEnd),
                    &large[sent..],
                );
                host.ring.commit_events(slot);
            }
            host.take(slot, &mut answer);
            host.pause();
        }
        assert!(answer.messages[3] == (true, large));
        host.event(slot, EventKind::WsTextEnd, b"close");
        host.take_until(slot, &mut answer, |answer| answer.close.is_some());
        assert_eq!(answer.close, Some((3001, "asked".to_owned())));
        assert!(host.take(slot, &mut answer) && !answer.aborted);
        host.ring.release(slot);
        assert_eq!(host.log(), "");
    }
}

#[test]
fn websockets_are_refused_and_closed_as_the_application_says() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        assert_eq!(host.call(&websocket("/refuses")).status, 403);
        let answer = host.call(&websocket("/denies"));
        assert_eq!((answer.status, answer.text()), (429, "later"));
        assert_eq!(answer.header("retry-after"), Some("9"));
        assert_eq!(host.call(&websocket("/returns")).status, 500);
        host.logged("neither accepted nor refused");
        assert_eq!(host.call(&websocket("/fails")).status, 500);
        host.logged("ValueError: before it accepted");
        let answer = host.call(&websocket("/fails-later"));
        assert_eq!(answer.close.expect("closed").0, 1011);
        host.logged("ValueError: after it accepted");
        let (slot, mut answer) = accepted(&mut host, &websocket("/"));
        host.event(slot, EventKind::WsTextEnd, b"end");
        host.take_until(slot, &mut answer, |answer| answer.close.is_some());
        assert_eq!(answer.close, Some((1000, String::new())));
    }
}

#[test]
fn a_websocket_hears_how_its_client_left_after_everything_it_said() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let (slot, mut answer) = accepted(&mut host, &websocket("/"));
        for text in [b"a", b"b", b"c"] {
            host.ring
                .push_event(slot, EventKind::WsTextEnd, text)
                .expect("room");
        }
        host.event(slot, EventKind::Disconnect, &disconnect(1001, "bye"));
        host.logged("left 1001 bye");
        host.logged("then ConnectionAbortedError");
        host.take(slot, &mut answer);
        assert_eq!(answer.messages.len(), 3);
        // One that is cut off.
        let (slot, _) = accepted(&mut host, &websocket("/"));
        host.ring.cancel(slot);
        host.logged("left 1006");
        assert!(!host.log().contains("Traceback"), "{}", host.log());
    }
}
