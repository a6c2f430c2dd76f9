//! The other end: plain blocking sockets in threads of their own, and a runtime for the end under test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use uring::net::{AcceptStream, Listener};
use uring::time::sleep;
use uring::{Options, Runtime};

pub const MS: u64 = 1_000_000;

pub fn run<T>(options: Options, test: impl AsyncFnOnce(AcceptStream, SocketAddr) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut runtime = Runtime::real(options).unwrap();
    let result = runtime.block_on(async {
        let connections = Listener::from_fd(OwnedFd::from(listener)).accept();
        test(connections, address).await
    });
    assert_eq!(runtime.stats().strays, 0);
    result
}

/// Lets the ring turn until `done`, at most so often.
pub async fn eventually(mut done: impl FnMut() -> bool) {
    const TURNS_MAX: usize = 5_000;
    for _ in 0..TURNS_MAX {
        if done() {
            return;
        }
        sleep(MS).await;
    }
    panic!("it never came to pass: {:?}", uring::stats());
}

/// Waits for a peer's thread while the ring turns.
pub async fn joined<T>(thread: JoinHandle<T>) -> T {
    eventually(|| thread.is_finished()).await;
    thread.join().unwrap()
}

pub fn peer<T: Send + 'static>(
    address: SocketAddr,
    act: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> JoinHandle<T> {
    std::thread::spawn(move || act(TcpStream::connect(address).unwrap()))
}

pub fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}
