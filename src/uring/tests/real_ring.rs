//! The executor over the kernel's ring: what the simulation cannot vouch for, the kernel's side of the contract.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod peer;

use std::ffi::CString;
use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::task::Poll;

use peer::{MS, eventually, joined, pattern, peer, run};
use uring::fs::{Directory, File, OpenHow, Symlinks, Walk};
use uring::net::{Listener, Shutdown, Socket};
use uring::time::{Deadline, within};
use uring::{Doorbell, Options, Runtime};

fn small() -> Options {
    Options {
        entries: 8,
        ..Options::default()
    }
}

async fn echo(socket: &Socket) {
    while let Some(Ok(bytes)) = socket.recv().await {
        let copy = bytes.to_vec();
        drop(bytes);
        if socket.send_all(copy).await.0.is_err() {
            return;
        }
    }
}

#[test]
fn bytes_come_back() {
    for options in [Options::default(), small()] {
        run(options, async |mut connections, address| {
            let client = peer(address, |mut stream| {
                let sent = pattern(300_000);
                let mut writer = stream.try_clone().unwrap();
                let text = sent.clone();
                let writing = std::thread::spawn(move || {
                    writer.write_all(&text).unwrap();
                    writer.shutdown(std::net::Shutdown::Write).unwrap();
                });
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                writing.join().unwrap();
                assert!(got == sent);
            });
            let socket = connections.next().await.unwrap();
            assert_eq!(socket.peer().unwrap().unwrap().ip(), address.ip());
            assert_eq!(socket.local().unwrap(), Some(address));
            echo(&socket).await;
            drop(socket);
            joined(client).await;
        });
    }
}

/// `close(2)` alone would send nothing here: the armed receive holds the file.
#[test]
fn dropping_a_socket_with_a_receive_armed_sends_the_end() {
    run(small(), async |mut connections, address| {
        for _ in 0..50 {
            let client = peer(address, |mut stream| stream.read(&mut [0; 8]).unwrap());
            let socket = connections.next().await.unwrap();
            let deadline = Deadline::new();
            deadline.set_after(MS);
            assert!(within(&deadline, socket.recv()).await.is_none());
            assert!(socket.is_receiving());
            drop(socket);
            assert_eq!(joined(client).await, 0);
        }
    });
}

/// A connection of one request: nothing is armed for it, and what was held back leaves with the end.
#[test]
fn what_came_with_the_connection_needs_no_operation() {
    run(small(), async |mut connections, address| {
        for _ in 0..50 {
            let client = peer(address, |mut stream| {
                stream.write_all(b"question").unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                assert_eq!(got, b"answer");
            });
            let socket = connections.next().await.unwrap();
            let mut asked = Vec::new();
            eventually(|| {
                if let Poll::Ready(next) = socket.recv_now() {
                    asked.extend_from_slice(&next.unwrap().unwrap());
                }
                asked == b"question"
            })
            .await;
            assert_eq!(socket.try_send_more(b"answer").unwrap(), 6);
            // One flight: the accept.
            assert_eq!(uring::stats().flights, 1);
            drop(socket);
            joined(client).await;
        }
    });
}

/// The peer is gone and the receive with it: the cancellation finds nothing, and the close must happen all the same.
#[test]
fn a_failed_cancellation_does_not_keep_the_descriptor_open() {
    run(Options::default(), async |mut connections, address| {
        for round in 0..200 {
            let client = peer(address, move |stream| {
                if round % 2 == 0 {
                    // Unread bytes make the close a reset.
                    stream.peek(&mut [0]).unwrap();
                }
            });
            let socket = connections.next().await.unwrap();
            socket.send_all(&b"x"[..]).await.0.unwrap();
            let deadline = Deadline::new();
            deadline.set_after(0);
            let _outcome = within(&deadline, socket.recv()).await;
            client.join().unwrap();
            drop(socket);
        }
        // One flight is left: the accept.
        eventually(|| established(address.port()) == 0 && uring::stats().flights == 1).await;
    });
}

/// Connections that the kernel still holds open on our side of `port`.
fn established(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    const CLOSE_WAIT: &str = "08";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ours = format!(":{port:04X}");
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| {
            columns[1].ends_with(&ours) && [ESTABLISHED, CLOSE_WAIT].contains(&columns[3])
        })
        .count()
}

#[test]
fn a_flood_that_nobody_reads_stops_nobody() {
    run(small(), async |mut connections, address| {
        let flood = peer(address, |mut stream| {
            stream.write_all(&pattern(1_000_000)).unwrap()
        });
        let flooded = connections.next().await.unwrap();
        let first = flooded.recv().await.unwrap().unwrap().to_vec();
        let quiet = peer(address, |mut stream| {
            stream.write_all(b"hello").unwrap();
            stream.read(&mut [0; 8]).unwrap()
        });
        let socket = connections.next().await.unwrap();
        assert_eq!(&*socket.recv().await.unwrap().unwrap(), b"hello");
        socket.try_send(b"hi").unwrap();
        assert_eq!(quiet.join().unwrap(), 2);
        let mut got = first;
        while let Some(bytes) = flooded.recv().await {
            got.extend_from_slice(&bytes.unwrap());
        }
        assert!(got == pattern(1_000_000));
        flood.join().unwrap();
    });
}

#[test]
fn an_abandoned_send_is_cancelled_and_frees_its_buffer() {
    run(Options::default(), async |mut connections, address| {
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let client = peer(address, move |mut stream| {
            finished.recv().unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got.len()
        });
        let socket = connections.next().await.unwrap();
        let deadline = Deadline::new();
        deadline.set_after(20 * MS);
        let sent = within(&deadline, socket.send_all(vec![7; 64 << 20])).await;
        assert!(sent.is_none(), "64 MiB fit into no socket buffer");
        drop(socket);
        // One flight is left: the accept.
        eventually(|| uring::stats().flights == 1).await;
        finish.send(()).unwrap();
        assert!(client.join().unwrap() < 64 << 20);
    });
}

#[test]
fn inline_sends_wait_for_room() {
    run(Options::default(), async |mut connections, address| {
        let client = peer(address, |mut stream| {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let socket = connections.next().await.unwrap();
        let text = pattern(20_000_000);
        let mut rest = &text[..];
        let mut waits = 0;
        while !rest.is_empty() {
            let (one, two) = rest.split_at(rest.len() / 2);
            let parts = [std::io::IoSlice::new(one), std::io::IoSlice::new(two)];
            match socket.try_send_parts(&parts, false) {
                Ok(count) => rest = &rest[count..],
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    waits += 1;
                    socket.writable().await.unwrap();
                }
            }
        }
        socket.shutdown(Shutdown::Write).unwrap();
        assert!(client.join().unwrap() == text);
        assert!(waits > 0);
        assert!(socket.recv().await.is_none());
    });
}

#[test]
fn vectored_sends_go_out_in_order() {
    run(Options::default(), async |mut connections, address| {
        let client = peer(address, |mut stream| {
            let mut got = String::new();
            stream.read_to_string(&mut got).unwrap();
            got
        });
        let socket = connections.next().await.unwrap();
        let (sent, parts) = socket
            .send_vectored(vec![b"head ".to_vec(), b"body ".to_vec()])
            .await;
        assert_eq!((sent.unwrap(), parts.len()), (10, 2));
        socket.send_detached(b"bye".to_vec());
        drop(socket);
        assert_eq!(joined(client).await, "head body bye");
    });
}

#[test]
fn a_full_submission_queue_is_flushed_and_an_overflown_completion_queue_loses_nothing() {
    const CLIENTS: usize = 100;
    // 2 submissions, 8 completions.
    let options = Options {
        entries: 2,
        ..Options::default()
    };
    run(options, async |mut connections, address| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|index| {
                peer(address, move |mut stream| {
                    let text = vec![index as u8; 1000];
                    for _ in 0..10 {
                        stream.write_all(&text).unwrap();
                        let mut back = vec![0; 1000];
                        stream.read_exact(&mut back).unwrap();
                        assert!(back == text);
                    }
                })
            })
            .collect();
        for _ in 0..CLIENTS {
            let socket = connections.next().await.unwrap();
            uring::spawn(async move { echo(&socket).await });
        }
        eventually(|| uring::stats().tasks == 0).await;
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
    });
}

#[test]
fn a_doorbell_rung_before_and_after_wakes_the_loop() {
    struct Watch(
        std::sync::mpsc::Receiver<u32>,
        std::rc::Rc<std::cell::Cell<u32>>,
    );
    impl uring::Poller for Watch {
        fn poll(&mut self) {
            self.1.set(self.1.get() + self.0.try_iter().sum::<u32>());
        }
        fn before_park(&mut self) -> uring::Park {
            uring::Park::Sleep
        }
        fn after_park(&mut self) {}
    }
    let mut runtime = Runtime::real(Options::default()).unwrap();
    runtime.block_on(async {
        let bell = sys::eventfd::EventFd::new().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let seen = std::rc::Rc::new(std::cell::Cell::new(0));
        uring::set_poller(Box::new(Watch(receive, seen.clone())));
        send.send(1).unwrap();
        bell.ring().unwrap();
        Doorbell::from_fd(bell.try_clone().unwrap().into_fd());
        while seen.get() < 1 {
            uring::yield_now().await;
        }
        let ringer = std::thread::spawn(move || {
            for _ in 0..1000 {
                send.send(1).unwrap();
                bell.ring().unwrap();
            }
        });
        while seen.get() < 1001 {
            uring::yield_now().await;
        }
        ringer.join().unwrap();
    });
}

#[test]
fn the_end_of_a_turn_knows_of_what_came_during_it() {
    struct Watch(std::rc::Rc<std::cell::RefCell<Vec<bool>>>);
    impl uring::Poller for Watch {
        fn poll(&mut self) {}
        fn turn_end(&mut self, more: bool) {
            self.0.borrow_mut().push(more);
        }
        fn before_park(&mut self) -> uring::Park {
            uring::Park::Sleep
        }
        fn after_park(&mut self) {}
    }
    let mut runtime = Runtime::real(Options::default()).unwrap();
    runtime.block_on(async {
        let bell = sys::eventfd::EventFd::new().unwrap();
        Doorbell::from_fd(bell.try_clone().unwrap().into_fd());
        let ends = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        uring::set_poller(Box::new(Watch(ends.clone())));
        // By then the bell is listened to.
        uring::time::sleep(MS).await;
        ends.borrow_mut().clear();
        bell.ring().unwrap();
        uring::time::sleep(MS).await;
        assert_eq!(ends.borrow().first(), Some(&true));
        assert_eq!(ends.borrow().last(), Some(&false), "before it slept");
    });
}

#[test]
fn a_runtime_goes_with_everything_in_flight_and_buffers_outlive_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut runtime = Runtime::real(small()).unwrap();
    let client = peer(address, |mut stream| {
        stream.write_all(b"kept").unwrap();
        // Ends when the server is gone: the rest of its send never comes.
        let mut got = Vec::new();
        let _outcome = stream.read_to_end(&mut got);
        got.len()
    });
    let kept = runtime.block_on(async move {
        let mut connections = Listener::from_fd(OwnedFd::from(listener)).accept();
        let socket = connections.next().await.unwrap();
        let kept = socket.recv().await.unwrap().unwrap();
        uring::spawn(async move {
            let _accepting = connections.next().await;
        });
        uring::spawn(async move {
            let mut receive = std::pin::pin!(socket.recv());
            std::future::poll_fn(|cx| {
                let _pending = receive.as_mut().poll(cx).is_pending();
                std::task::Poll::Ready(())
            })
            .await;
            let _outcome = socket.send_all(vec![1; 32 << 20]).await;
        });
        for _ in 0..10 {
            uring::yield_now().await;
        }
        kept
    });
    drop(runtime);
    assert_eq!(&*kept, b"kept");
    assert!(client.join().unwrap() < 32 << 20);
    drop(kept);
}

#[test]
fn files_are_opened_read_and_sent_below_their_root() {
    let directory = std::env::temp_dir().join(format!("uring-files-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("css")).unwrap();
    let contents = pattern(3_000_000);
    std::fs::write(directory.join("css/a.css"), &contents).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.join("out")).unwrap_or_default();
    run(Options::default(), async |mut connections, address| {
        let root = Directory::open(&directory).unwrap();
        let how = OpenHow::beneath(Symlinks::WithinRoot, Walk::CachedOnly);
        for bad in ["../etc/passwd", "out", "/etc/passwd"] {
            let error = root
                .open_file(CString::new(bad).unwrap(), how)
                .await
                .unwrap_err();
            assert_eq!(error.raw_os_error(), Some(sys::errno::EXDEV), "{bad}");
        }
        let file = root
            .open_file(CString::new("css/a.css").unwrap(), how)
            .await
            .unwrap();
        assert_eq!(file.stat().unwrap().size, 3_000_000);
        let (count, bytes) = file.read_at(b"> ".to_vec(), 1000, 2_999_500).await;
        assert_eq!(count.unwrap(), 500);
        assert!(bytes[..2] == *b"> " && bytes[2..] == contents[2_999_500..]);

        let client = peer(address, |mut stream| {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let socket = connections.next().await.unwrap();
        let mut at = 0;
        while at < 3_000_000 {
            let left = 3_000_000 - at as usize;
            match socket.try_sendfile(&file, at, left) {
                Ok(count) => at += count as u64,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    socket.writable().await.unwrap();
                }
            }
        }
        assert_eq!(
            socket.try_sendfile(&file, 3_000_000, 10).unwrap(),
            0,
            "the end"
        );
        socket.shutdown(Shutdown::Write).unwrap();
        assert!(client.join().unwrap() == contents);
        drop::<File>(file);
    });
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_was_read_ahead_is_in_the_page_cache() {
    let path = std::env::temp_dir().join(format!("uring-ahead-{}", std::process::id()));
    std::fs::write(&path, pattern(700_000)).unwrap();
    run(Options::default(), async |_, _| {
        let file = File::from_fd(OwnedFd::from(std::fs::File::open(&path).unwrap()));
        file.read_ahead(100_000, 500_000).await.unwrap();
        let (count, _) = file.read_at(Vec::new(), 1, 599_999).await;
        assert_eq!(count.unwrap(), 1);
        assert!(file.is_cached(100_000, 500_000));
        let (read, _write) = std::io::pipe().unwrap();
        let pipe = File::from_fd(read.into());
        assert!(
            pipe.read_ahead(0, 1).await.is_err(),
            "nothing to be ahead of"
        );
    });
    std::fs::remove_file(path).unwrap();
}
