//! Running out of descriptors: alone in its process, because the limit is the process's.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use uring::net::Listener;
use uring::time::sleep;
use uring::{Options, Runtime, StartError};

const MS: u64 = 1_000_000;
const CLIENTS: usize = 40;

#[test]
fn accepting_survives_a_full_descriptor_table() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The clients' own ends come first, then the table is cut so that their other ends do not all fit.
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut runtime = Runtime::real(Options::default()).unwrap();
    let highest = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = sys::limit::open_files().unwrap();
    sys::limit::set_open_files(highest + 10).unwrap();
    runtime.block_on(async {
        let mut connections = Listener::from_fd(OwnedFd::from(listener)).accept();
        let mut open = Vec::new();
        let mut accepted = 0;
        let mut refusals = 0;
        while accepted < CLIENTS {
            match connections.next().await {
                Ok(socket) => {
                    accepted += 1;
                    open.push(socket);
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(sys::errno::EMFILE));
                    refusals += 1;
                    // The caller's policy: make room, back off, and call again, which arms again.
                    open.clear();
                    sleep(MS).await;
                }
            }
        }
        assert!(refusals > 0);
        assert!(uring::stats().turns < 10_000, "no spinning");
    });
    // A ring is a descriptor as well.
    let held: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok())
        .take(1000)
        .collect();
    let refused = std::thread::spawn(|| Runtime::real(Options::default()).err())
        .join()
        .unwrap();
    assert!(
        matches!(refused, Some(StartError::NoDescriptors)),
        "{refused:?}"
    );
    drop(held);
    sys::limit::set_open_files(limit.soft).unwrap();
    drop(clients);
}
