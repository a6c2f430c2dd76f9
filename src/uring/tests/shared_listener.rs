//! A listener that several processes have: none may leave it so that a connection waits for nobody.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uring::net::Listener;
use uring::time::{Deadline, within};
use uring::{Options, Runtime};

const CLIENTS: usize = 600;

/// Whoever takes a connection greets it. A client that is taken and let go is not greeted; one that is not taken waits for ever.
#[test]
fn who_leaves_a_listener_takes_along_whom_it_kept_from_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    // The other process: it sleeps until it is woken for a connection.
    let other = {
        let (listener, over) = (listener.try_clone().unwrap(), Arc::clone(&over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(b"!").unwrap();
            }
        })
    };
    let clients = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            for number in 0..CLIENTS {
                let mut stream = TcpStream::connect(address).unwrap();
                let patience = Some(Duration::from_secs(30));
                stream.set_read_timeout(patience).unwrap();
                let greeting = stream.read(&mut [0; 8]);
                if !matches!(greeting, Ok(1)) {
                    over.store(true, Ordering::Release);
                    panic!("client {number}: {greeting:?}");
                }
            }
            over.store(true, Ordering::Release);
        })
    };
    Runtime::real(Options::default()).unwrap().block_on(async {
        while !over.load(Ordering::Acquire) {
            let mut connections = Listener::from_fd(listener.try_clone().unwrap().into()).accept();
            let deadline = Deadline::new();
            deadline.set_after(1_000_000);
            while let Some(taken) = within(&deadline, connections.next()).await {
                assert_eq!(taken.unwrap().try_send(b"!").unwrap(), 1);
            }
            while let Some(taken) = poll_fn(|cx| connections.poll_last(cx)).await {
                assert_eq!(taken.unwrap().try_send(b"!").unwrap(), 1);
            }
        }
    });
    clients.join().unwrap();
    // The other one sleeps.
    drop(TcpStream::connect(address));
    other.join().unwrap();
}
