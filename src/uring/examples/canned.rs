//! A server that finds the blank line and sends a prepared answer: the floor of what a request costs here, twice.
//!
//! `canned executor [inline] [timed]`: on the executor, sending through the ring (or inline), with a deadline that moves at
//! every request (or without). `canned raw`: a bare loop over the
//! ring without tasks, wakers or slab, as a yardstick. Prints its port, serves until killed. Measure both in turn, in one
//! run, under the same load: only their ratio means anything (`kernel-notes/ring-costs.md`).

use io_uring::{IoUring, cqueue, opcode, types};
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use uring::net::{Listener, Socket};
use uring::time::{Deadline, within};
use uring::{Options, Runtime};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: canned\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n\
    0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let flags: Vec<String> = arguments.collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let (inline, timed) = (has("inline"), has("timed"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    println!("{}", listener.local_addr().expect("bound").port());
    std::io::stdout().flush().expect("stdout");
    match mode.as_str() {
        "executor" => executor(listener, inline, timed),
        "raw" => raw(listener),
        _ => panic!("executor [inline] [timed] | raw"),
    }
}

/// Counts the heads that end in `bytes`; `matched` bytes of a blank line came before.
fn heads(bytes: &[u8], matched: &mut usize) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    if *matched == 0 && bytes.ends_with(END) && !bytes[..bytes.len() - 4].contains(&0) {
        // The common case, one request in one piece, is recognised by its end; pipelined ones are counted.
        return bytes
            .windows(4)
            .step_by(1)
            .filter(|window| *window == END)
            .count();
    }
    let mut count = 0;
    for &byte in bytes {
        *matched = if byte == END[*matched] {
            *matched + 1
        } else {
            usize::from(byte == END[0])
        };
        if *matched == END.len() {
            *matched = 0;
            count += 1;
        }
    }
    count
}

fn executor(listener: TcpListener, inline: bool, timed: bool) {
    let mut runtime = Runtime::real(Options::default()).expect("a ring");
    runtime.block_on(async move {
        let mut connections = Listener::from_fd(OwnedFd::from(listener)).accept();
        loop {
            let socket = connections.next().await.expect("accept");
            uring::spawn(serve(socket, inline, timed));
        }
    });
}

async fn serve(socket: Socket, inline: bool, timed: bool) {
    let mut answer = Vec::new();
    let mut matched = 0;
    let deadline = Deadline::new();
    loop {
        if timed {
            deadline.set_after(75_000_000_000);
        }
        let Some(Some(Ok(bytes))) = within(&deadline, socket.recv()).await else {
            return;
        };
        let count = heads(&bytes, &mut matched);
        drop(bytes);
        if count == 0 {
            continue;
        }
        answer.clear();
        for _ in 0..count {
            answer.extend_from_slice(ANSWER);
        }
        if inline {
            if socket.try_send(&answer).is_err() {
                return;
            }
        } else {
            let (result, back) = socket.send_all(answer).await;
            answer = back;
            if result.is_err() {
                return;
            }
        }
    }
}

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const COUNT: u16 = 512;
const BYTES: usize = 8192;

fn raw(listener: TcpListener) {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4096)
        .build(1024)
        .expect("a ring");
    let mut memory = vec![0u8; COUNT as usize * BYTES];
    let provide = |ring: &mut IoUring, memory: &mut Vec<u8>, id: u16, count: u16| {
        let at = memory[id as usize * BYTES..].as_mut_ptr();
        let entry = opcode::ProvideBuffers::new(at, BYTES as i32, count, 0, id).build();
        let entry = entry.flags(io_uring::squeue::Flags::SKIP_SUCCESS);
        // SAFETY: the buffers live until the process ends.
        unsafe { ring.submission().push(&entry) }.expect("room");
    };
    let mut provided = raw_buffers(&ring, &mut memory);
    if provided.is_none() {
        provide(&mut ring, &mut memory, 0, COUNT);
    }
    let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
        .build()
        .user_data(ACCEPT);
    // SAFETY: no memory is pointed at.
    unsafe { ring.submission().push(&accept) }.expect("room");
    let mut matched: HashMap<i32, usize> = HashMap::new();
    let mut answers = Vec::new();
    for _ in 0..64 {
        answers.extend_from_slice(ANSWER);
    }
    let mut batch = Vec::new();
    loop {
        ring.submit_and_wait(1).expect("enter");
        batch.extend(ring.completion());
        for completion in batch.drain(..) {
            let fd = completion.user_data() as u32 as i32;
            match completion.user_data() >> 32 << 32 {
                ACCEPT => arm(&mut ring, completion.result()),
                RECEIVE if completion.result() > 0 => {
                    let id = cqueue::buffer_select(completion.flags()).expect("a buffer");
                    let bytes = &memory[id as usize * BYTES..][..completion.result() as usize];
                    let count = heads(bytes, matched.entry(fd).or_default());
                    match &mut provided {
                        Some(provided) => provided.give_back(id),
                        None => provide(&mut ring, &mut memory, id, 1),
                    }
                    if count > 0 {
                        let length = (count.min(64) * ANSWER.len()) as u32;
                        let send =
                            opcode::Send::new(types::Fd(fd), answers.as_ptr(), length).build();
                        // SAFETY: the answers live until the process ends.
                        unsafe { ring.submission().push(&send.user_data(SEND | fd as u64)) }
                            .expect("room");
                    }
                    if !cqueue::more(completion.flags()) {
                        arm(&mut ring, fd);
                    }
                }
                RECEIVE => {
                    matched.remove(&fd);
                    let close = opcode::Close::new(types::Fd(fd)).build();
                    // SAFETY: no memory is pointed at.
                    unsafe { ring.submission().push(&close) }.expect("room");
                }
                _ => {}
            }
        }
    }
}

fn arm(ring: &mut IoUring, fd: i32) {
    let receive = opcode::RecvMulti::new(types::Fd(fd), 0)
        .build()
        .user_data(RECEIVE | fd as u64);
    // SAFETY: the buffers live until the process ends.
    unsafe { ring.submission().push(&receive) }.expect("room");
}

/// A provided-buffer ring without any bookkeeping.
struct Provided {
    entries: *mut types::BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

fn raw_buffers(ring: &IoUring, memory: &mut [u8]) -> Option<Provided> {
    let layout = std::alloc::Layout::from_size_align(COUNT as usize * 16, 4096).expect("small");
    // SAFETY: the layout is not empty.
    let entries = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<types::BufRingEntry>();
    // SAFETY: the entries are never freed.
    unsafe {
        ring.submitter()
            .register_buf_ring_with_flags(entries as u64, COUNT, 0, 0)
    }
    .ok()?;
    let mut provided = Provided {
        entries,
        memory: memory.as_mut_ptr(),
        tail: 0,
    };
    for id in 0..COUNT {
        provided.give_back(id);
    }
    Some(provided)
}

impl Provided {
    fn give_back(&mut self, id: u16) {
        // SAFETY: the index is below COUNT; the kernel looks only after the tail has moved.
        unsafe {
            let entry = &mut *self.entries.add((self.tail & (COUNT - 1)) as usize);
            entry.set_addr(self.memory.add(id as usize * BYTES) as u64);
            entry.set_len(BYTES as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail =
                types::BufRingEntry::tail(self.entries).cast::<std::sync::atomic::AtomicU16>();
            (*tail).store(self.tail, std::sync::atomic::Ordering::Release);
        }
    }
}
