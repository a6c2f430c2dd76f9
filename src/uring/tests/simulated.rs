//! The executor and its operations in a simulated world, many seeds each.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::path::Path;
use std::rc::Rc;

use uring::fs::{Directory, OpenHow, Symlinks, Walk};
use uring::net::{AcceptStream, Listener, Socket};
use uring::sim::{self, Client, Faults, Sim};
use uring::time::{Deadline, sleep, within};

const MS: u64 = 1_000_000;
/// `URING_SEEDS=5000` looks further.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("URING_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok());
    0..count.unwrap_or(200)
}

/// Accepts for ever; failures of the listener are waited out.
async fn accept(mut connections: AcceptStream, serve: impl AsyncFn(Socket) + Clone + 'static) {
    loop {
        match connections.next().await {
            Ok(socket) => {
                let serve = serve.clone();
                uring::spawn(async move { serve(socket).await });
            }
            Err(_) => sleep(10 * MS).await,
        }
    }
}

async fn echo(socket: Socket) {
    while let Some(Ok(bytes)) = socket.recv().await {
        let copy = bytes.to_vec();
        drop(bytes);
        if socket.send_all(copy).await.0.is_err() {
            return;
        }
    }
}

fn start_echo(sim: &Sim) -> sim::Address {
    let (listener, address) = sim.listen();
    uring::spawn(accept(Listener::accept(listener), echo));
    address
}

fn text(sim: &Sim, most: u64) -> Vec<u8> {
    let length = 1 + sim.random(most);
    (0..length).map(|_| b'a' + sim.random(26) as u8).collect()
}

#[test]
fn every_byte_comes_back_in_order() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let address = start_echo(&sim);
        let clients: Vec<Client> = (0..8).map(|_| sim.connect(&address)).collect();
        for _ in 0..4 {
            let texts: Vec<Vec<u8>> = clients.iter().map(|_| text(&sim, 5000)).collect();
            for (client, text) in clients.iter().zip(&texts) {
                client.write(text);
            }
            for (client, text) in clients.iter().zip(&texts) {
                assert_eq!(client.read_exact(text.len()).await.unwrap(), *text);
            }
        }
        for client in &clients {
            client.shutdown();
            assert_eq!(client.read_to_end().await.unwrap(), b"");
        }
    });
}

#[test]
fn dying_peers_leave_nothing_behind() {
    sim::run_seeds(seeds(), Faults::deadly, async |sim: Sim| {
        let address = start_echo(&sim);
        for _ in 0..6 {
            let clients: Vec<Client> = (0..6).map(|_| sim.connect(&address)).collect();
            for client in &clients {
                client.write(&text(&sim, 3000));
                if sim.random(4) == 0 {
                    client.reset();
                }
            }
            for client in &clients {
                // Either all comes back or the connection was reset; both are fine, hanging is not.
                client.shutdown();
                let _outcome = client.read_to_end().await;
            }
        }
        sim.set_faults(Faults::NONE);
        sleep(1000 * MS).await;
        assert_eq!(sim.open_handles().len(), 1, "only the listener is left");
        assert_eq!(uring::stats().strays, 0);
        assert_eq!(uring::stats().tasks, 1);
    });
}

#[test]
fn the_same_seed_does_the_same_again() {
    for seed in seeds().take(20) {
        let digest = || {
            sim::run(seed, Faults::deadly(seed), async |sim: Sim| {
                let address = start_echo(&sim);
                for _ in 0..5 {
                    let client = sim.connect(&address);
                    client.write(&text(&sim, 2000));
                    client.shutdown();
                    let _outcome = client.read_to_end().await;
                }
                (sim.digest(), uring::now())
            })
        };
        assert_eq!(digest(), digest());
    }
}

#[test]
fn dropping_a_socket_with_a_receive_armed_ends_the_connection() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let (socket, client) = sim.pair();
        uring::spawn(async move {
            let deadline = Deadline::new();
            deadline.set_after(50 * MS);
            assert!(
                within(&deadline, socket.recv()).await.is_none(),
                "nothing was sent"
            );
            // The socket goes here, its receive still in the ring.
        });
        assert_eq!(client.read_to_end().await.unwrap(), b"");
        assert!(uring::now() > 0);
    });
}

#[test]
fn a_reader_that_lags_stops_nobody_and_loses_nothing() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let (socket, flooding) = sim.pair();
        let (other, quiet) = sim.pair();
        let flood = text(&sim, 60_000);
        flooding.write(&flood);
        // Arms the poll and leaves it without a reader.
        let first = socket.recv().await.unwrap().unwrap().to_vec();
        sleep(1000 * MS).await;
        quiet.write(b"hello");
        let mut heard = Vec::new();
        while heard.len() < 5 {
            heard.extend_from_slice(&other.recv().await.unwrap().unwrap());
        }
        assert_eq!(heard, b"hello");
        let mut all = first;
        while all.len() < flood.len() {
            all.extend_from_slice(&socket.recv().await.unwrap().unwrap());
        }
        assert_eq!(all, flood);
    });
}

#[test]
fn a_cancelled_send_keeps_its_buffer_until_the_ring_lets_go() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let (socket, client) = sim.pair();
        let deadline = Deadline::new();
        deadline.set_after(20 * MS);
        // Larger than any window: it cannot finish before the client reads.
        let outcome = within(&deadline, socket.send_all(vec![b'y'; 200_000])).await;
        assert!(outcome.is_none());
        drop(socket);
        let got = client.read_to_end().await.unwrap();
        assert!(got.len() < 200_000 && got.iter().all(|&byte| byte == b'y'));
        sleep(200 * MS).await;
        assert_eq!(uring::stats().flights, 0);
    });
}

#[test]
fn vectored_shared_and_static_buffers_go_out_and_come_back() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let (socket, client) = sim.pair();
        uring::spawn(async move {
            let shared: Rc<[u8]> = Rc::from(&b"shared "[..]);
            let (result, back) = socket.send_all(shared.clone()).await;
            result.unwrap();
            assert!(Rc::ptr_eq(&shared, &back));
            socket.send_all(&b"static "[..]).await.0.unwrap();
            let mut parts = vec![b"head ".to_vec(), b"body".to_vec()];
            while parts.iter().any(|part| !part.is_empty()) {
                let (result, back) = socket.send_vectored(parts).await;
                parts = back;
                let mut count = result.unwrap();
                for part in &mut parts {
                    let taken = count.min(part.len());
                    part.drain(..taken);
                    count -= taken;
                }
            }
            socket.send_detached(b" bye".to_vec());
            sleep(2000 * MS).await;
        });
        let got = client
            .read_until(|got| got.ends_with(b"body") || got.len() > 22)
            .await
            .unwrap();
        assert!(got.starts_with(b"shared static head body"));
    });
}

#[test]
fn inline_sends_wait_for_room_and_lose_nothing() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let (socket, client) = sim.pair();
        let text = text(&sim, 50_000);
        uring::spawn({
            let text = text.clone();
            async move {
                let mut rest = &text[..];
                while !rest.is_empty() {
                    match socket.try_send(rest) {
                        Ok(count) => rest = &rest[count..],
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            socket.writable().await.unwrap();
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        assert_eq!(client.read_to_end().await.unwrap(), text);
    });
}

#[test]
fn files_are_opened_read_and_sent() {
    let faults = |seed| Faults {
        io_error: 0,
        ..Faults::harmless(seed)
    };
    sim::run_seeds(seeds(), faults, async |sim: Sim| {
        let contents = text(&sim, 100_000);
        sim.add_file("/site/css/a.css", contents.clone(), 1_700_000_000);
        sim.add_file("/etc/shadow", "secret", 0);
        sim.add_link("/site/out", "../etc/shadow");
        sim.add_link("/site/in", "css/a.css");
        let site = Directory::open(Path::new("/site")).unwrap();
        let how = OpenHow::beneath(Symlinks::WithinRoot, Walk::CachedOnly);
        let path = |path: &str| CString::new(path).unwrap();
        for bad in [
            "../etc/shadow",
            "out",
            "css/../../etc/shadow",
            "/etc/shadow",
        ] {
            let error = site.open_file(path(bad), how).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(sys::errno::EXDEV), "{bad}");
        }
        let strict = OpenHow::beneath(Symlinks::Refuse, Walk::MayBlock);
        let error = site.open_file(path("in"), strict).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(sys::errno::ELOOP));
        let file = match site.try_open_file(&path("in"), &how) {
            Ok(file) => file,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                site.open_file(path("in"), how).await.unwrap()
            }
        };
        assert_eq!(file.stat().unwrap().size, contents.len() as u64);

        let mut all = Vec::new();
        loop {
            let offset = all.len() as u64;
            let (result, back) = file.read_at(all, 9000, offset).await;
            all = back;
            if result.unwrap() == 0 {
                break;
            }
        }
        assert_eq!(all, contents);

        let (socket, client) = sim.pair();
        let got = Rc::new(RefCell::new(Vec::new()));
        uring::spawn({
            let got = got.clone();
            async move { *got.borrow_mut() = client.read_to_end().await.unwrap() }
        });
        let mut at = 0;
        while at < contents.len() as u64 {
            let left = contents.len() - at as usize;
            match socket.try_sendfile(&file, at, left) {
                Ok(count) => at += count as u64,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    socket.writable().await.unwrap();
                }
            }
        }
        drop(socket);
        sleep(1000 * MS).await;
        while got.borrow().is_empty() {
            sleep(100 * MS).await;
        }
        assert_eq!(*got.borrow(), contents);
    });
}

#[test]
fn a_doorbell_turns_the_loop_and_the_poller_sees_it() {
    struct Watch {
        seen: Rc<Cell<u32>>,
        outside: Rc<Cell<u32>>,
    }
    impl uring::Poller for Watch {
        fn poll(&mut self) {
            self.seen.set(self.outside.get());
        }
        fn before_park(&mut self) -> uring::Park {
            uring::Park::Sleep
        }
        fn after_park(&mut self) {}
    }
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let bell = sim.doorbell();
        let (seen, outside) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        uring::set_poller(Box::new(Watch {
            seen: seen.clone(),
            outside: outside.clone(),
        }));
        for round in 1..20 {
            outside.set(round);
            bell.ring();
            sleep(100 * MS).await;
            assert_eq!(seen.get(), round);
        }
    });
}

#[test]
fn deadlines_keep_their_time() {
    sim::run_seeds(seeds(), Faults::harmless, async |sim: Sim| {
        let deadline = Rc::new(Deadline::new());
        let start = uring::now();
        deadline.set(start + 10 * MS);
        for _ in 0..50 {
            sleep(sim.random(8 * MS)).await;
            deadline.set(uring::now() + 10 * MS);
        }
        let last = uring::now();
        deadline.expired().await;
        assert!(uring::now() >= last + 10 * MS && uring::now() < last + 40 * MS);
        sleep(3_600_000 * MS).await;
        assert!(uring::now() >= last + 3_600_000 * MS);
    });
}

#[test]
#[should_panic(expected = "nothing can ever happen again")]
fn a_deadlock_is_named() {
    sim::run(1, Faults::NONE, async |sim: Sim| {
        let (socket, _client) = sim.pair();
        socket.recv().await;
    });
}

#[test]
fn a_panicking_task_ends_alone_where_asked() {
    let options = uring::Options {
        isolate_panics: true,
        ..uring::Options::default()
    };
    sim::run_with(1, Faults::NONE, options, async |sim: Sim| {
        let (doomed, victim) = sim.pair();
        uring::spawn(async move {
            let _bytes = doomed.recv().await;
            panic!("a bug");
        });
        let address = start_echo(&sim);
        let client = sim.connect(&address);
        victim.write(b"x");
        assert_eq!(
            victim.read_to_end().await.unwrap(),
            b"",
            "its socket is closed"
        );
        client.write(b"still here");
        assert_eq!(client.read_exact(10).await.unwrap(), b"still here");
        assert_eq!(uring::stats().panics, 1);
    });
}

#[test]
fn a_task_that_never_rests_starves_nobody() {
    sim::run_seeds(0..10, Faults::harmless, async |sim: Sim| {
        uring::spawn(async {
            loop {
                uring::yield_now().await;
            }
        });
        let address = start_echo(&sim);
        let client = sim.connect(&address);
        client.write(b"hello");
        assert_eq!(client.read_exact(5).await.unwrap(), b"hello");
        sleep(5 * MS).await;
    });
}
