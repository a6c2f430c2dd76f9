//! Files served by the edge, over raw sockets: with every default (`answers`, `names`, `conditions`), while they change (`changes`), as a
//! location's options have it (`options`, `reload`), and in an application's name (`x_accel`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod answers;
mod changes;
mod conditions;
mod names;
mod options;
mod reload;
mod x_accel;

use harness::{Server, Setup, shared};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::OnceLock;

const LARGE: usize = 5_000_000;

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}

/// A tree of files beside the server's own directory, served under /static; /other is a second one, / has no app.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || {
        let setup = Setup::bare();
        let dir = setup.dir();
        dir.write("files/hello.txt", "Hello, file!\n");
        dir.write("files/empty.txt", "");
        dir.write("files/large.bin", pattern(LARGE));
        dir.write("files/middle.bin", pattern(100_000));
        dir.write("files/page.html", "<p>page</p>");
        dir.write("files/index.html", "<p>index</p>");
        dir.write("files/sub/index.html", "<p>sub</p>");
        dir.write("files/bare/file.txt", "x");
        dir.write("files/with space.txt", "space");
        dir.write("files/größe.txt", "größe");
        dir.write("files/100%.txt", "percent");
        dir.write("files/a+b.txt", "plus");
        dir.write("files/.hidden", "hidden");
        dir.write("files/.git/config", "hidden");
        dir.write("files/back\\slash.txt", "backslash");
        dir.write("files/noextension", "what am I");
        // Two spellings of one letter are two names, as the file system has them; one is no text at all.
        dir.write("files/cafe\u{301}.txt", "decomposed");
        dir.write("files/caf\u{e9}.txt", "composed");
        dir.write("files/\u{1f980}/ラスト.txt", "crab");
        dir.write(format!("files/{}.txt", "é".repeat(125)).as_str(), "long");
        let raw = std::ffi::OsStr::from_bytes(b"latin-\xe9.txt");
        std::fs::write(dir.path().join("files").join(raw), "latin").unwrap();
        for name in ["hello.txt", "middle.bin"] {
            dir.age(&format!("files/{name}"));
        }
        dir.write("other/hello.txt", "the other one\n");
        dir.write("secret.txt", "secret");
        let files = dir.path().join("files");
        symlink("hello.txt", files.join("link-inside.txt")).unwrap();
        symlink("../secret.txt", files.join("link-outside.txt")).unwrap();
        symlink(
            dir.path().join("secret.txt"),
            files.join("link-absolute.txt"),
        )
        .unwrap();
        symlink("..", files.join("link-parent")).unwrap();
        symlink("loop", files.join("loop")).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(files.join("fifo"))
                .status()
                .unwrap()
                .success()
        );
        std::os::unix::net::UnixListener::bind(files.join("socket")).unwrap();
        let (files, other) = (
            format!("/static={}", files.display()),
            format!("/other={}", dir.path().join("other").display()),
        );
        setup.also("--static", files).also("--static", other)
    })
}

fn get_with(target: &str, headers: &str) -> harness::Response {
    server().client().request("GET", target, headers, b"")
}
