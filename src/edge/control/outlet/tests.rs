//! Messages and a peer that comes, goes and comes back.

use super::*;
use std::io::Read;
use std::os::unix::net::UnixListener;

fn path(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("ringgate-{name}-{}", std::process::id()));
    std::fs::remove_file(&path).ok();
    path
}

/// What was said, in order.
type Said = Rc<RefCell<Vec<String>>>;

fn outlet(remote: Remote, care: Care) -> (Outlet, Said) {
    let said = Said::default();
    let heard = Rc::clone(&said);
    let say = move |_, message| heard.borrow_mut().push(message);
    (Outlet::start(remote, "syslog", care, say), said)
}

#[test]
fn a_peer_that_is_not_there_yet_gets_what_waited_and_is_mentioned_once() {
    let path = path("late");
    let remote = Remote::Unix {
        path: path.clone(),
        stream: None,
    };
    tokio_uring::start(async {
        let (outlet, said) = outlet(remote, Care::Keep);
        outlet.send(b"one\ntwo".to_vec());
        while said.borrow().is_empty() {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // A stream socket where datagrams were tried first.
        let listener = UnixListener::bind(&path).expect("a socket");
        outlet.send(b"three\0".to_vec());
        let mut peer = loop {
            listener.set_nonblocking(true).expect("non-blocking");
            match listener.accept() {
                Ok((peer, _)) => break peer,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        outlet.stop().await;
        let mut text = String::new();
        peer.set_nonblocking(false).expect("blocking");
        peer.read_to_string(&mut text).expect("to its end");
        assert_eq!(text, "one\ntwo\0three#000\0");
        let said = said.borrow();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("cannot be reached") && said[1].contains("is reached again"));
    });
    std::fs::remove_file(path).expect("ours");
}

#[test]
fn what_nobody_takes_is_bounded_and_holds_up_no_stop() {
    let path = path("never");
    let remote = Remote::Unix {
        path,
        stream: Some(false),
    };
    tokio_uring::start(async {
        let (outlet, said) = outlet(remote, Care::Keep);
        for _ in 0..QUEUE_BYTES_MAX / 1024 + 10 {
            outlet.send(vec![b'x'; 1024]);
        }
        assert_eq!(outlet.shared.lost.get(), 10);
        outlet.stop().await;
        assert_eq!(outlet.shared.queued_bytes.get(), 0);
        assert_eq!(said.borrow().len(), 1);
        outlet.send(b"too late".to_vec());
        assert!(outlet.shared.messages.borrow().is_empty());
    });
}
