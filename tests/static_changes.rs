//! Files that change while they are sent: the announced length goes out or the connection ends, and a kept-alive connection stays in
//! step.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Too large to be under way whole before the test has done its part.
const SIZE: usize = 30_000_000;

fn pattern(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|index| (index % 251 + seed) as u8).collect()
}

/// Begins a download, lets `change` act, and returns what arrived and what the same connection gets next for the same path.
fn download(change: impl FnOnce(&Path)) -> (Vec<u8>, u16) {
    let setup = Setup::bare();
    let path = setup.dir().write("files/large.bin", pattern(0));
    let files = format!("/f={}", path.parent().unwrap().display());
    let server: Server = setup.also("--static", files).start();
    let mut client = server.client();
    client.send("GET /f/large.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    client.wait_bytes(1000);
    change(&path);
    let body = client.response().expect(200).body;
    // After the bound on staleness the connection shows what is there now.
    let next = harness::eventually("the change is seen", || {
        let next = client.get("/f/large.bin");
        (next.status != 200 || next.body.len() != SIZE || next.body[0] != 0).then_some(next.status)
    });
    (body, next)
}

#[test]
fn a_file_that_grows_is_sent_as_announced() {
    let (body, next) = download(|path| {
        let mut file = fs::File::options().append(true).open(path).unwrap();
        file.write_all(b"more").unwrap();
    });
    assert!(body == pattern(0));
    assert_eq!(next, 200);
}

#[test]
fn a_file_that_is_replaced_is_sent_to_its_end() {
    let (body, next) = download(|path| {
        let new = path.with_extension("new");
        fs::write(&new, pattern(1)).unwrap();
        fs::rename(new, path).unwrap();
    });
    assert!(body == pattern(0));
    assert_eq!(next, 200);
}

#[test]
fn a_file_that_vanishes_is_sent_to_its_end() {
    let (body, next) = download(|path| fs::remove_file(path).unwrap());
    assert!(body == pattern(0));
    assert_eq!(next, 404);
}

#[test]
fn a_file_that_becomes_a_directory_is_sent_to_its_end() {
    let (body, next) = download(|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    assert!(body == pattern(0));
    assert_eq!(next, 301);
}
