//! What the executor itself costs per request: a driver that completes everything at once, 64 connections that receive,
//! move a deadline and send. Prints nanoseconds per request; the kernel has no part in it.

use std::ffi::CStr;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use sys::file::{OpenHow, Stat};
use uring::driver::{Completion, Handle, Inline, Operation, Shutdown, Wait};
use uring::net::Socket;
use uring::time::{Deadline, within};
use uring::{Driver, Options, Runtime};

const CONNECTIONS: usize = 64;
const REQUESTS: u64 = 20_000;

/// Every receive always has a request, every send is always taken.
struct Instant {
    polls: Vec<u64>,
    done: Vec<Completion>,
}

impl Driver for Instant {
    unsafe fn push(&mut self, user_data: u64, operation: &Operation) {
        match operation {
            Operation::Poll { .. } => self.polls.push(user_data),
            Operation::Send { length, .. } => {
                let result = *length as i32;
                self.done.push(Completion {
                    user_data,
                    result,
                    more: false,
                });
            }
            Operation::Cancel { target } => {
                let result = -sys::errno::ECANCELED;
                self.done.push(Completion {
                    user_data: *target,
                    result,
                    more: false,
                });
            }
            _ => {}
        }
    }

    fn enter(&mut self, _wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        if self.done.is_empty() {
            for &user_data in &self.polls {
                completions.push(Completion {
                    user_data,
                    result: 1,
                    more: true,
                });
            }
        }
        completions.append(&mut self.done);
        Ok(())
    }

    fn queued(&self) -> usize {
        0
    }

    fn now(&mut self) -> u64 {
        sys::clock::monotonic_ns()
    }

    fn wall(&mut self) -> u64 {
        sys::clock::wall_ns()
    }
}

fn main() {
    let options = Options::default();
    let driver = Instant {
        polls: Vec::new(),
        done: Vec::new(),
    };
    let mut runtime = Runtime::new(Box::new(driver), options);
    let start = std::time::Instant::now();
    runtime.block_on(async {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        for _ in 1..CONNECTIONS {
            let descriptor = reader.try_clone().expect("a descriptor");
            uring::spawn(serve(Socket::from_fd(OwnedFd::from(descriptor))));
        }
        serve(Socket::from_fd(OwnedFd::from(reader))).await;
    });
    let requests = REQUESTS * CONNECTIONS as u64;
    println!(
        "{:.1} ns per request",
        start.elapsed().as_nanos() as f64 / requests as f64
    );
    std::process::exit(0);
}

async fn serve(socket: Socket) {
    let mut answer = vec![b'y'; 200];
    let deadline = Deadline::new();
    for _ in 0..REQUESTS {
        deadline.set_after(75_000_000_000);
        let Some(Some(Ok(bytes))) = within(&deadline, socket.recv()).await else {
            return;
        };
        std::hint::black_box(bytes.len());
        drop(bytes);
        let (result, back) = socket.send_all(answer).await;
        if result.is_err() {
            return;
        }
        answer = back;
    }
}

fn never<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Inline for Instant {
    fn send_now(&mut self, _: Handle, bytes: &[u8], _: bool) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn send_parts_now(&mut self, _: Handle, _: &[IoSlice<'_>], _: bool) -> io::Result<usize> {
        never()
    }
    fn receive_now(&mut self, _: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        buffer[..100].fill(b'x');
        Ok(100)
    }
    fn sendfile_now(&mut self, _: Handle, _: Handle, _: u64, _: usize) -> io::Result<usize> {
        never()
    }
    fn shutdown_now(&mut self, _: Handle, _: Shutdown) -> io::Result<()> {
        never()
    }
    fn is_waiting_now(&mut self, _: Handle) -> bool {
        unreachable!()
    }
    fn peer_now(&mut self, _: Handle) -> io::Result<Option<SocketAddr>> {
        never()
    }
    fn local_now(&mut self, _: Handle) -> io::Result<Option<SocketAddr>> {
        never()
    }
    fn open_root_now(&mut self, _: &Path) -> io::Result<Handle> {
        never()
    }
    fn open_now(&mut self, _: Handle, _: &CStr, _: &OpenHow) -> io::Result<Handle> {
        never()
    }
    fn stat_now(&mut self, _: Handle) -> io::Result<Stat> {
        never()
    }
    fn read_now(&mut self, _: Handle, _: &mut [u8], _: u64) -> io::Result<usize> {
        never()
    }
    fn is_cached(&mut self, _: Handle, _: u64, _: u64) -> bool {
        true
    }
    fn reader_now(&mut self, _: Handle) -> io::Result<uring::beside::Reader> {
        never()
    }
    fn thread_now(&mut self, _: Box<dyn FnOnce() + Send>) -> io::Result<Handle> {
        never()
    }
}
