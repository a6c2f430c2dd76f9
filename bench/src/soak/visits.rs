//! What the clients of a soak do: whole requests, and every way of not being a good client.
//!
//! A visit is one connection (`Guest::stay` keeps one for several). Where the answer is known it is checked, and another one is an error; where
//! the client is the one that misbehaves, whatever comes is right, as long as something does in time.

use super::connection::Connection;
use super::random::Random;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

/// What does not come in this time counts as never.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Files in the static directory.
pub const FILES: u64 = 1000;
/// Where the two apps and the files are.
const APPS: [&str; 2] = ["/wsgi", "/asgi"];
const WHOLE_BYTES: [usize; 6] = [0, 1, 5_000, 20_000, 200_000, 1_500_000];

/// Name, share, what is done.
pub type Kind = (&'static str, u64, fn(&mut Guest) -> io::Result<()>);

pub const VISITS: &[Kind] = &[
    ("requests", 40, requests),
    ("files", 30, files),
    ("pipeline", 8, pipeline),
    ("upload", 10, upload),
    ("chunked", 8, chunked_upload),
    ("broken-request", 12, break_request_off),
    ("broken-answer", 14, break_answer_off),
    ("half-closed", 3, half_close),
    ("slow-reader", 2, read_slowly),
    ("slow-writer", 2, write_slowly),
    ("malformed", 6, malformed),
    ("raises", 6, failing_app),
    ("bounded", 4, bounded),
    ("overdue", 1, overdue),
    ("changing", 3, changing_file),
    ("websocket", 10, websocket),
    ("broken-websocket", 8, break_websocket_off),
];

/// One client thread.
pub struct Guest {
    pub port: u16,
    pub random: Random,
    /// Where files are made, and served from.
    pub directory: std::path::PathBuf,
    pub number: usize,
}

impl Guest {
    /// Makes one of these visits, chosen by their shares; its name.
    pub fn visit(&mut self, visits: &[&Kind]) -> (&'static str, io::Result<()>) {
        let mut at = self
            .random
            .below(visits.iter().map(|(_, share, _)| share).sum());
        let chosen = visits.iter().find(|(_, share, _)| {
            let here = at < *share;
            at = at.saturating_sub(*share);
            here
        });
        let &&(name, _, visit) = chosen.expect("the shares add up to more than `at`");
        (name, visit(self))
    }

    fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Connection::new(stream))
    }

    fn app(&mut self) -> &'static str {
        self.random.of(&APPS)
    }

    fn sends(&mut self, head: &str, body: &[u8]) -> io::Result<Connection> {
        let mut connection = self.connect()?;
        connection.send(head.as_bytes())?;
        connection.send(body)?;
        Ok(connection)
    }

    /// Ends the connection as clients do: decently, or by a reset.
    fn leave(&mut self, connection: Connection) -> io::Result<()> {
        if self.random.chance(50) {
            reset(connection.stream())?;
        }
        drop(connection);
        Ok(())
    }

    fn pause(&mut self, most_ms: u64) {
        thread::sleep(Duration::from_micros(self.random.below(most_ms * 1000)));
    }
}

/// A whole request of each app.
pub fn ask_both(guest: &mut Guest) -> io::Result<()> {
    for app in APPS {
        let path = format!("{app}/hello");
        guest.sends(&get(&path), b"")?.answer()?.expect(200)?;
    }
    Ok(())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n")
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Length: {length}\r\n\r\n")
}

fn post_chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn requests(guest: &mut Guest) -> io::Result<()> {
    let mut connection = guest.connect()?;
    for _ in 0..guest.random.between(1, 30) {
        connection.send(get(&format!("{}/hello", guest.app())).as_bytes())?;
        connection.answer()?.expect(200)?;
    }
    Ok(())
}

fn files(guest: &mut Guest) -> io::Result<()> {
    let mut connection = guest.connect()?;
    for _ in 0..guest.random.between(1, 30) {
        let number = guest.random.below(FILES);
        let (path, status) = match guest.random.below(10) {
            0 => (format!("/files/absent-{}", guest.random.next()), 404),
            1 => (format!("/files/{number}?v={}", guest.random.next()), 200),
            _ => (format!("/files/{number}"), 200),
        };
        connection.send(get(&path).as_bytes())?;
        connection.answer()?.expect(status)?;
    }
    guest.leave(connection)
}

fn pipeline(guest: &mut Guest) -> io::Result<()> {
    let count = guest.random.between(2, 30);
    let heads: String = (0..count)
        .map(|_| match guest.random.below(4) {
            0 => get(&format!("/files/{}", guest.random.below(FILES))),
            1 => get(&format!("{}/big?n=3", guest.app())),
            _ => get(&format!("{}/hello", guest.app())),
        })
        .collect();
    let mut connection = guest.sends(&heads, b"")?;
    let taken = match guest.random.chance(60) {
        true => count,
        false => guest.random.below(count),
    };
    for _ in 0..taken {
        connection.answer()?.expect(200)?;
    }
    guest.leave(connection)
}

fn upload(guest: &mut Guest) -> io::Result<()> {
    let length = guest.random.of(&WHOLE_BYTES);
    let body = vec![b'b'; length];
    let app = guest.app();
    match guest.random.of(&["echo", "half", "hello", "duplex"]) {
        "echo" => {
            let mut connection = guest.sends(&post(&format!("{app}/echo"), length), &body)?;
            let answer = connection.answer()?;
            answer.expect(200)?;
            answer.says(&length.to_string())
        }
        "duplex" => {
            // What is sent comes back while it is sent: who does not read meanwhile is stopped.
            let connection = guest.sends(&post("/asgi/duplex", length), b"")?;
            let mut sender = connection.stream().try_clone()?;
            let sends = thread::spawn(move || sender.write_all(&body));
            let mut connection = connection;
            let answer = connection.answer()?;
            sends.join().map_err(|_| io::Error::other("panicked"))??;
            answer.expect(200)
        }
        other => {
            // Not all of it is read: the connection may end before it is sent.
            let head = post(&format!("{app}/{other}"), length);
            let mut connection = guest.sends(&head, b"")?;
            if connection.send(&body).is_ok() {
                connection.answer()?.expect(200)?;
            }
            Ok(())
        }
    }
}

fn chunked_upload(guest: &mut Guest) -> io::Result<()> {
    let app = guest.app();
    let mut connection = guest.sends(&post_chunked(&format!("{app}/echo")), b"")?;
    let mut sent = 0;
    for _ in 0..guest.random.below(30) {
        let length = guest.random.of(&[1, 100, 9_000, 60_000]);
        let mut chunk = format!("{length:x}\r\n").into_bytes();
        chunk.resize(chunk.len() + length, b'c');
        chunk.extend_from_slice(b"\r\n");
        connection.send(&chunk)?;
        sent += length;
    }
    connection.send(b"0\r\n\r\n")?;
    let answer = connection.answer()?;
    answer.expect(200)?;
    answer.says(&sent.to_string())
}

fn break_request_off(guest: &mut Guest) -> io::Result<()> {
    let app = guest.app();
    let length = guest.random.of(&[0, 10, 3_000, 100_000]);
    let body = vec![b'q'; length];
    let head = match guest.random.below(4) {
        0 => get("/wsgi/hello")[..10].to_owned(),
        1 => post(&format!("{app}/echo"), 300_000),
        2 => post("/asgi/duplex", 300_000),
        _ => post_chunked(&format!("{app}/echo")) + "40000\r\n",
    };
    let connection = guest.sends(&head, &body)?;
    guest.pause(20);
    guest.leave(connection)
}

fn break_answer_off(guest: &mut Guest) -> io::Result<()> {
    let app = guest.app();
    let page = guest.random.of(&[
        "big?n=200",
        "big?n=3",
        "hello",
        "hello?n=20",
        "bounded?n=20",
        "file",
        "break",
        "write",
        "raise",
        "gone",
    ]);
    let path = match guest.random.below(8) {
        0 => "/files/large".to_owned(),
        1 => "/asgi/gone".to_owned(),
        _ => format!("{app}/{page}"),
    };
    let connection = guest.sends(&get(&path), b"")?;
    guest.pause(20);
    if guest.random.chance(50) {
        let limit = Duration::from_millis(20);
        connection.stream().set_read_timeout(Some(limit))?;
        // However much has come.
        let mut some = vec![0; 100_000];
        drop(connection.stream().read(&mut some));
    }
    guest.leave(connection)
}

fn half_close(guest: &mut Guest) -> io::Result<()> {
    let app = guest.app();
    let page = guest.random.of(&["hello", "hello?n=10", "big?n=20"]);
    let mut connection = guest.sends(&get(&format!("{app}/{page}")), b"")?;
    connection.stream().shutdown(Shutdown::Write)?;
    connection.rest().map(drop)
}

fn read_slowly(guest: &mut Guest) -> io::Result<()> {
    let path = match guest.random.below(3) {
        0 => "/files/large".to_owned(),
        1 => "/wsgi/file".to_owned(),
        _ => format!("{}/big?n=100", guest.app()),
    };
    let connection = guest.sends(&get(&path), b"")?;
    let mut some = vec![0; 16_384];
    for _ in 0..guest.random.between(2, 30) {
        if connection.stream().read(&mut some)? == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    guest.leave(connection)
}

fn write_slowly(guest: &mut Guest) -> io::Result<()> {
    let request = post(&format!("{}/echo", guest.app()), 40) + &"e".repeat(40);
    let mut connection = guest.sends("", b"")?;
    for piece in request.as_bytes().chunks(10) {
        connection.send(piece)?;
        guest.pause(10);
    }
    connection.answer()?.expect(200)
}

fn malformed(guest: &mut Guest) -> io::Result<()> {
    let long = format!("GET /{} HTTP/1.1\r\nHost: soak\r\n\r\n", "a".repeat(9_000));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: soak\r\n{}\r\n",
        "x: y\r\n".repeat(200)
    );
    let bad_chunk = post_chunked("/asgi/echo") + "5\r\nhello\r\nZZ\r\n";
    let request: &[u8] = match guest.random.below(9) {
        0 => b"GET / HTTP/1.1\r\n\r\n",
        1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no TLS here\r\n\r\n",
        2 => long.as_bytes(),
        3 => many.as_bytes(),
        4 => bad_chunk.as_bytes(),
        5 => b"POST /wsgi/echo HTTP/1.1\r\nHost: soak\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        6 => b"GET /wsgi/hello HTTP/3.7\r\n\r\n",
        7 => b"GET /asgi/echo HTTP/1.1\r\nHost: soak\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\n\r\n",
        _ => b"GET /files/../../etc/passwd HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n",
    };
    let mut connection = guest.connect()?;
    // The refusal may come, and the connection end, before all is sent; a reset is an answer as well.
    let refused = connection
        .send(request)
        .and_then(|()| connection.stream().shutdown(Shutdown::Write))
        .and_then(|()| connection.rest());
    match refused {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

fn failing_app(guest: &mut Guest) -> io::Result<()> {
    let app = guest.app();
    let (page, status) = guest
        .random
        .of(&[("raise", 500), ("break", 200), ("nothing", 500)]);
    let app = if page == "nothing" { "/asgi" } else { app };
    let mut connection = guest.sends(&get(&format!("{app}/{page}")), b"")?;
    let answer = connection.answer();
    // "break" ends in the middle of its body, which is an error of the reading.
    match page {
        "break" => Ok(()),
        _ => answer?.expect(status),
    }
}

fn bounded(guest: &mut Guest) -> io::Result<()> {
    let path = format!("{}/bounded?n=5", guest.app());
    guest.sends(&get(&path), b"")?.answer()?.expect(200)
}

fn overdue(guest: &mut Guest) -> io::Result<()> {
    let path = format!("{}/hang", guest.app());
    let mut connection = guest.sends(&get(&path), b"")?;
    match guest.random.chance(70) {
        // 503: it never had its turn, behind others of the kind.
        true => connection.answer()?.expect_one_of(&[504, 503]),
        false => guest.leave(connection),
    }
}

/// A file that appears, changes and goes while it is asked for: which of the three is seen depends on when it was looked at.
fn changing_file(guest: &mut Guest) -> io::Result<()> {
    let path = format!("/files/changing-{}", guest.number);
    let file = guest.directory.join(&path["/files/".len()..]);
    let next = file.with_extension("next");
    let mut connection = guest.connect()?;
    for step in 0..3 {
        if step < 2 {
            // In one piece, as whoever publishes files should.
            std::fs::write(&next, vec![b'a'; guest.random.between(1, 20_000) as usize])?;
            std::fs::rename(&next, &file)?;
        } else {
            std::fs::remove_file(&file)?;
        }
        connection.send(get(&path).as_bytes())?;
        let answer = connection.answer()?;
        if answer.status != 404 {
            answer.expect(200)?;
        }
    }
    Ok(())
}

fn handshake(path: &str, deflate: bool) -> String {
    let extension = match deflate {
        true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        false => "",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extension}\r\n"
    )
}

/// A masked frame; the mask is zero, which is as good as another.
fn frame(opcode: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match data.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(data);
    bytes
}

fn websocket(guest: &mut Guest) -> io::Result<()> {
    let deflate = guest.random.chance(50);
    let mut connection = guest.sends(&handshake("/asgi/echo", deflate), b"")?;
    connection.head()?.expect(101)?;
    for _ in 0..guest.random.below(20) {
        let data = vec![b'w'; guest.random.of(&[0, 5, 200, 9_000, 70_000])];
        let opcode = guest.random.of(&[1, 2, 9]);
        let data = if opcode == 9 {
            &data[..data.len().min(100)]
        } else {
            &data
        };
        connection.send(&frame(opcode, data))?;
        connection.frame()?;
    }
    match guest.random.chance(50) {
        true => {
            connection.send(&frame(8, &1000u16.to_be_bytes()))?;
            connection.frame()
        }
        false => guest.leave(connection),
    }
}

fn break_websocket_off(guest: &mut Guest) -> io::Result<()> {
    let page = guest.random.of(&["deny", "raise", "flood", "deaf", "echo"]);
    let deflate = guest.random.chance(50);
    let mut connection = guest.sends(&handshake(&format!("/asgi/{page}"), deflate), b"")?;
    if guest.random.chance(80) && connection.head()?.status == 101 {
        for _ in 0..guest.random.below(10) {
            let data = vec![b'v'; guest.random.of(&[10, 30_000])];
            let whole = frame(2, &data);
            let part = match guest.random.chance(80) {
                true => whole.len(),
                false => guest.random.below(whole.len() as u64) as usize,
            };
            // The other side may have had enough.
            if connection.send(&whole[..part]).is_err() {
                break;
            }
        }
        guest.pause(20);
    }
    guest.leave(connection)
}

fn reset(stream: &TcpStream) -> io::Result<()> {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: the structure outlives the call, and its size is given.
    let failed = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const at_once).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    match failed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
