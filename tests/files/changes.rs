//! Files that change while they are sent: the announced length goes out or the connection ends, and a kept-alive connection stays in
//! step.

use super::harness::{self, Server, Setup, TempDir};
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

#[test]
fn a_changed_file_is_served_anew() {
    let dir = TempDir::new();
    let path = dir.write("changing.txt", "before");
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    let before = client.get("/changing.txt").expect(200);
    dir.write("changing.new", "after, and longer");
    std::fs::rename(dir.path().join("changing.new"), &path).unwrap();
    // The open-file cache may keep an entry for a documented, short time.
    let after = harness::eventually("the new content", || {
        let response = client.get("/changing.txt").expect(200);
        (response.text() == "after, and longer").then_some(response)
    });
    assert_ne!(before.header("etag"), after.header("etag"));
    std::fs::remove_file(&path).unwrap();
    harness::eventually("the file is gone", || {
        (client.get("/changing.txt").status == 404).then_some(())
    });
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_breaks_the_response_off() {
    let dir = TempDir::new();
    let path = dir.write("shrinking.bin", super::pattern(40_000_000));
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    client.send("GET /shrinking.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    client.wait_bytes(1000);
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(100)
        .unwrap();
    // Either all of it was under way already, or the connection ends: never filled up with something else.
    match client.try_response("GET") {
        Ok(response) => assert!(response.body == super::pattern(40_000_000)),
        Err(error) => assert!(
            matches!(
                error.kind(),
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
            ),
            "{error}"
        ),
    }
    server.client().expect_open();
}
