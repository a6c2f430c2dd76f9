//! What travels through the shared-memory exchange: bodies of every size, streams with back-pressure, many requests at
//! once over a few workers, clients that leave while their request waits or runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Client, PerKind, Server, Setup, eventually, python, shared_by_kind};
use std::collections::HashSet;
use std::sync::OnceLock;

fn servers() -> Vec<&'static Server> {
    static SERVERS: PerKind = [const { OnceLock::new() }; 2];
    shared_by_kind(&SERVERS, three_workers)
}

fn three_workers(kind: &str) -> Setup {
    Setup::app("basic:application")
        .kind(kind)
        .workers(3)
        .option("--rings", "2")
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}

#[test]
fn request_bodies_of_every_size_arrive_whole() {
    for server in servers() {
        let mut client = server.client();
        for size in [
            1, 100, 4096, 16_384, 60_000, 65_000, 65_535, 65_536, 65_537, 70_000, 131_072,
            1_000_000, 20_000_000,
        ] {
            let body = pattern(size);
            let response = client.request("POST", "/echo", "", &body).expect(200);
            assert!(response.body == body, "{size}");
            assert_eq!(
                response.header("x-content-length"),
                Some(size.to_string().as_str())
            );
        }
    }
}

#[test]
fn chunked_bodies_of_every_size_arrive_whole() {
    for server in servers() {
        let mut client = server.client();
        for size in [1, 1000, 65_536, 70_000, 3_000_000] {
            let body = pattern(size);
            let mut bytes =
                b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for piece in body.chunks(10_007) {
                bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            assert!(
                client.send(bytes).response().expect(200).body == body,
                "{size}"
            );
        }
    }
}

#[test]
fn an_unread_body_hurts_nobody() {
    for server in servers() {
        let mut client = server.client();
        for size in [10, 65_536, 2_000_000] {
            client
                .request("POST", "/unread", "", &pattern(size))
                .expect(200);
        }
        client.expect_open();
    }
}

#[test]
fn response_bodies_of_every_size_arrive_whole() {
    for server in servers() {
        let mut client = server.client();
        for size in [
            0, 1, 4096, 60_000, 65_535, 65_536, 65_537, 131_072, 1_000_000, 30_000_000,
        ] {
            assert!(
                client.get(&format!("/big/{size}")).expect(200).body == pattern(size),
                "{size}"
            );
        }
        for (count, size) in [(1, 1), (100, 1), (1000, 100), (50, 65_536), (7, 300_000)] {
            assert_eq!(
                client
                    .get(&format!("/stream/{count}/{size}"))
                    .expect(200)
                    .body
                    .len(),
                count * size
            );
        }
    }
}

#[test]
fn large_headers_pass() {
    for server in servers() {
        let value = "v".repeat(12_000);
        let environ = server
            .client()
            .request("GET", "/environ", &format!("X-Large: {value}\r\n"), b"")
            .expect(200)
            .json();
        assert_eq!(environ["HTTP_X_LARGE"].as_str().map(str::len), Some(12_000));
    }
}

#[test]
fn files_from_the_app_arrive_whole() {
    for server in servers() {
        let mut client = server.client();
        for size in [0, 1, 5000, 65_536, 1_000_000, 30_000_000] {
            let name = format!("file-{size}");
            server.dir().write(&name, pattern(size));
            assert!(
                client.get(&format!("/file/{name}")).expect(200).body == pattern(size),
                "{size}"
            );
        }
        client.expect_open();
    }
}

#[test]
fn a_file_is_sent_while_the_worker_serves_others() {
    let server = Setup::app("basic:application").workers(1).start();
    server.dir().write("large", pattern(50_000_000));
    let mut slow = server.client();
    slow.send(get("/file/large"));
    slow.wait_bytes(1000);
    // The only worker is free again although the client has not taken its file.
    server.get("/hello").expect(200);
    assert!(slow.response().expect(200).body == pattern(50_000_000));
}

#[test]
fn one_worker_serves_many_connections() {
    let server = Setup::app("basic:application").workers(1).start();
    let mut clients: Vec<Client> = (0..200).map(|_| server.client()).collect();
    for round in 0..3 {
        for client in &mut clients {
            client.send(get("/hello"));
        }
        for client in &mut clients {
            assert_eq!(
                client.response().expect(200).text(),
                "Hello, world!\n",
                "round {round}"
            );
        }
    }
}

#[test]
fn a_busy_worker_keeps_nobody_waiting_while_another_is_free() {
    for kind in python::kinds() {
        // Of its own: with the workers of a shared one, held by another test that waits for one more, it would wait for ever.
        let server = three_workers(kind).start();
        // Two of three workers are busy; a kept-alive connection whose earlier requests they served does not notice.
        let mut client = server.client();
        for _ in 0..10 {
            client.get("/hello").expect(200);
        }
        let mut busy: Vec<Client> = (0..2).map(|_| server.client()).collect();
        for (number, each) in busy.iter_mut().enumerate() {
            each.send(get(&format!("/block/busy-{number}")));
            server.dir().wait(&format!("busy-{number}.started"));
        }
        for _ in 0..10 {
            client.get("/hello").expect(200);
        }
        for (number, each) in busy.iter_mut().enumerate() {
            server.dir().write(&format!("busy-{number}.go"), "");
            each.response().expect(200);
        }
    }
}

#[test]
fn all_workers_work() {
    for server in servers() {
        let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(get(&format!("/block/all-{number}")));
        }
        // All three run at the same time, or this would never come.
        for number in 0..3 {
            server.dir().wait(&format!("all-{number}.started"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            server.dir().write(&format!("all-{number}.go"), "");
            client.response().expect(200);
        }
    }
}

#[test]
fn a_client_that_leaves_the_queue_never_reaches_the_app() {
    let server = Setup::app("basic:application").workers(1).start();
    let mut running = server.client();
    running.send(get("/block/first"));
    server.dir().wait("first.started");
    let mut leaver = server.client();
    leaver.send(get("/block/left"));
    let mut stayer = server.client();
    stayer.send(get("/hello"));
    let in_flight = |count: u64| {
        eventually("the number of requests in flight", || {
            (server.status()["apps"][0]["in_flight"] == count).then_some(())
        });
    };
    in_flight(3);
    drop(leaver);
    in_flight(2);
    server.dir().write("first.go", "");
    running.response().expect(200);
    stayer.response().expect(200);
    assert!(
        !server.dir().has("left.started"),
        "the app ran for a client that had left"
    );
}

#[test]
fn a_client_that_leaves_a_running_stream_closes_the_iterable() {
    for server in servers() {
        let mut client = server.client();
        client.send(get("/endless/gone"));
        client.wait_bytes(200_000);
        drop(client);
        server.dir().wait("gone.closed");
        server.get("/hello").expect(200);
    }
}

#[test]
fn a_stream_waits_for_its_client() {
    for server in servers() {
        let mut client = server.client();
        client.send(get("/endless/paused"));
        client.wait_bytes(1000);
        let edge = server.edge().unwrap();
        // The app fills the buffers and is held there: the edge does not keep what the client does not take.
        let before = harness::process::resident_kib(edge);
        for _ in 0..20 {
            server.get("/big/1000000").expect(200);
        }
        let after = harness::process::resident_kib(edge);
        assert!(after < before + 64 * 1024, "{before} KiB -> {after} KiB");
        drop(client);
        server.dir().wait("paused.closed");
    }
}

#[test]
fn blocks_leave_while_the_app_computes_the_next() {
    for server in servers() {
        let mut client = server.client();
        client.send(get("/step/steps/3"));
        for number in 0..3 {
            server.dir().write(&format!("steps.{number}"), "");
            client.wait_text(&format!("block {number}\n"));
        }
        assert_eq!(
            client.response().expect(200).text(),
            "block 0\nblock 1\nblock 2\n"
        );
    }
}

#[test]
fn interpreters_share_a_process_and_processes_do_not() {
    for server in servers() {
        let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
        let (mut pids, mut pairs) = (HashSet::new(), HashSet::new());
        for round in 0..200 {
            for client in &mut clients {
                client.send(get("/who"));
            }
            for client in &mut clients {
                let who = client.response().expect(200).json();
                pids.insert(who["pid"].as_u64().unwrap());
                pairs.insert((
                    who["pid"].as_u64().unwrap(),
                    who["interpreter"].as_u64().unwrap(),
                ));
            }
            if pairs.len() > 1 && round > 20 {
                break;
            }
        }
        assert!(pairs.len() <= 3, "{pairs:?}");
        if pairs.iter().any(|(_, interpreter)| *interpreter != 0) {
            assert_eq!(pids.len(), 1, "{pairs:?}");
            assert!(
                pairs.iter().all(|(_, interpreter)| *interpreter != 0),
                "the main interpreter serves nothing: {pairs:?}"
            );
        } else {
            assert_eq!(pids.len(), pairs.len());
            assert_eq!(server.process_workers().len(), 3);
        }
    }
}

#[test]
fn a_thousand_mixed_requests_stay_apart() {
    for server in servers() {
        let address = server.address();
        let clients: Vec<_> = (0..8u32)
            .map(|seed| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(address);
                    for round in 0..120u32 {
                        let size = ((seed * 7919 + round * 104_729) % 90_000) as usize;
                        if round % 3 == 0 {
                            assert!(
                                client.get(&format!("/big/{size}")).expect(200).body
                                    == pattern(size)
                            );
                        } else {
                            let body = vec![(seed + round) as u8; size.max(1)];
                            assert!(
                                client.request("POST", "/echo", "", &body).expect(200).body == body
                            );
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    }
}
