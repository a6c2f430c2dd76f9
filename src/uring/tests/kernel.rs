//! Facts about the kernel that the code relies on, asked of the kernel itself: each stands in `kernel-notes/` as well. When
//! one of these fails on a new kernel, read the note, then the code that it names.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::time::Duration;

fn ring() -> IoUring {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(64)
        .unwrap()
}

fn push(ring: &mut IoUring, entry: squeue::Entry) {
    // SAFETY: the tests below keep what their entries point at.
    unsafe { ring.submission().push(&entry) }.unwrap();
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

/// Submits and waits for `count` completions: (user data, result, more).
fn completions(ring: &mut IoUring, count: usize) -> Vec<(u64, i32, bool)> {
    ring.submit_and_wait(count).unwrap();
    ring.completion()
        .map(|entry| {
            (
                entry.user_data(),
                entry.result(),
                cqueue::more(entry.flags()),
            )
        })
        .collect()
}

/// Runs what task work there is, without waiting.
fn turn(ring: &mut IoUring) -> Vec<(u64, i32, bool)> {
    let timeout = types::Timespec::new().nsec(20_000_000);
    let arguments = types::SubmitArgs::new().timespec(&timeout);
    // ETIME is the rule here.
    let _timed_out = ring.submitter().submit_with_args(1, &arguments);
    ring.completion()
        .map(|entry| {
            (
                entry.user_data(),
                entry.result(),
                cqueue::more(entry.flags()),
            )
        })
        .collect()
}

fn provide(ring: &mut IoUring, memory: &mut [u8], id: u16, count: u16) {
    let size = memory.len() as i32 / i32::from(count);
    let entry = opcode::ProvideBuffers::new(memory.as_mut_ptr(), size, count, 7, id).build();
    push(ring, entry.user_data(100));
    assert_eq!(completions(ring, 1), [(100, 0, false)]);
}

#[test]
fn closing_with_a_receive_armed_sends_nothing_and_cancelling_does() {
    let mut ring = ring();
    let mut memory = vec![0; 4096];
    provide(&mut ring, &mut memory, 0, 4);
    let (server, mut client) = pair();
    client
        .set_read_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let fd = server.into_raw_fd();
    push(
        &mut ring,
        opcode::RecvMulti::new(types::Fd(fd), 7)
            .build()
            .user_data(1),
    );
    push(
        &mut ring,
        opcode::Close::new(types::Fd(fd)).build().user_data(2),
    );
    assert_eq!(completions(&mut ring, 1), [(2, 0, false)]);
    client.read(&mut [0]).unwrap_err();
    assert_eq!(turn(&mut ring), [], "the receive is still armed");
    push(&mut ring, opcode::AsyncCancel::new(1).build().user_data(3));
    let mut done = completions(&mut ring, 2);
    done.sort_unstable();
    assert_eq!(done, [(1, -sys::errno::ECANCELED, false), (3, 0, false)]);
    client.set_read_timeout(None).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_soft_link_breaks_on_a_failed_cancellation_and_a_hard_link_does_not() {
    for (link, result) in [
        (squeue::Flags::IO_LINK, -sys::errno::ECANCELED),
        (squeue::Flags::IO_HARDLINK, 0),
    ] {
        let mut ring = ring();
        let (server, _client) = pair();
        let fd = server.as_raw_fd();
        push(
            &mut ring,
            opcode::AsyncCancel::new(99)
                .build()
                .user_data(1)
                .flags(link),
        );
        push(
            &mut ring,
            opcode::Close::new(types::Fd(fd)).build().user_data(2),
        );
        let mut done = completions(&mut ring, 2);
        done.sort_unstable();
        assert_eq!(done, [(1, -sys::errno::ENOENT, false), (2, result, false)]);
        if result == 0 {
            // The ring has closed it.
            let _closed = server.into_raw_fd();
        }
    }
}

#[test]
fn a_socket_polled_multishot_tells_of_every_arrival_once() {
    const READABLE: i32 = sys::transfer::POLL_READABLE as i32 & !(sys::transfer::POLL_ENDED as i32);
    let mut ring = ring();
    let (mut server, mut client) = pair();
    let fd = types::Fd(server.as_raw_fd());
    let poll = opcode::PollAdd::new(fd, sys::transfer::POLL_READABLE).multi(true);
    client.write_all(b"before").unwrap();
    push(&mut ring, poll.build().user_data(1));
    assert_eq!(
        turn(&mut ring),
        [(1, READABLE, true)],
        "what was there before"
    );
    assert_eq!(turn(&mut ring), [], "once, though it is there still");
    client.write_all(b"behind").unwrap();
    assert_eq!(turn(&mut ring), [(1, READABLE, true)]);
    assert_eq!(
        server.read(&mut [0; 64]).unwrap(),
        12,
        "a short count: empty"
    );
    assert_eq!(turn(&mut ring), []);
    client.write_all(b"last").unwrap();
    drop(client);
    let told = turn(&mut ring);
    let ended = |told: &(u64, i32, bool)| told.1 as u32 & sys::transfer::POLL_ENDED != 0;
    assert!(told.iter().any(ended), "{told:?}");
}

#[test]
fn an_eventfd_polled_multishot_tells_every_ring_unread() {
    let mut ring = ring();
    let bell = sys::eventfd::EventFd::new().unwrap();
    bell.ring().unwrap();
    let fd = types::Fd(std::os::fd::AsFd::as_fd(&bell).as_raw_fd());
    push(
        &mut ring,
        opcode::PollAdd::new(fd, sys::transfer::POLL_READABLE)
            .multi(true)
            .build()
            .user_data(1),
    );
    assert_eq!(turn(&mut ring), [(1, 1, true)], "what was rung before");
    assert_eq!(turn(&mut ring), [], "nobody read it, and it is quiet");
    for _ in 0..3 {
        bell.ring().unwrap();
        assert_eq!(turn(&mut ring), [(1, 1, true)]);
    }
}

#[test]
fn deferred_task_work_runs_only_in_an_enter_that_asks_for_events() {
    let mut ring = ring();
    let mut memory = vec![0; 4096];
    provide(&mut ring, &mut memory, 0, 4);
    let (server, mut client) = pair();
    push(
        &mut ring,
        opcode::RecvMulti::new(types::Fd(server.as_raw_fd()), 7)
            .build()
            .user_data(1),
    );
    ring.submit().unwrap();
    client.write_all(b"x").unwrap();
    // SAFETY: no flags and no argument.
    unsafe { ring.submitter().enter::<u64>(0, 0, 0, None) }.unwrap();
    assert_eq!(ring.completion().count(), 0);
    assert_eq!(turn(&mut ring), [(1, 1, true)]);
}

/// Whatever is cached: what reading ahead costs, another thread bears.
#[test]
fn advice_about_what_is_wanted_soon_goes_to_a_kernel_worker() {
    let mut ring = ring();
    let path = std::env::temp_dir().join(format!("uring-advice-{}", std::process::id()));
    std::fs::write(&path, [1; 5000]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let file = types::Fd(file.as_raw_fd());
    let advice = opcode::Fadvise::new(file, 5000, sys::file::WILL_NEED).build();
    push(&mut ring, advice.user_data(1));
    assert_eq!(completions(&mut ring, 1), [(1, 0, false)]);
    assert!(workers() > 0);
    std::fs::remove_file(path).unwrap();
}

/// The kernel workers of the calling thread's ring.
fn workers() -> usize {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    let name = format!("iou-wrk-{}", link.file_name().unwrap().to_string_lossy());
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|found| *found == format!("{name}\n"))
        .count()
}
