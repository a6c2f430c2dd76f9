//! A raw connection: bytes out as the test wrote them, strictly parsed responses in.

use super::PATIENCE;
use super::response::{Reader, Response};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A TCP or unix stream.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

pub struct Client {
    reader: Reader<Stream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client {
            reader: Reader::new(Stream::Tcp(stream)),
        })
    }

    pub fn connect_unix(path: &Path) -> Client {
        let stream =
            UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        Client {
            reader: Reader::new(Stream::Unix(stream)),
        }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.try_send(bytes)
            .expect("the server takes what it is sent");
        self
    }

    /// The server may close while we still talk, e.g. when it refused the request.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.reader.source {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// No more bytes from us; we still listen.
    pub fn finish_sending(&mut self) -> &mut Client {
        match &self.reader.source {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("an open connection can be shut down");
        self
    }

    /// The next response, to a request of any method but HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response(method)
            .unwrap_or_else(|error| panic!("no response: {error}"))
    }

    pub fn try_response(&mut self, method: &str) -> io::Result<Response> {
        self.reader.response(method)
    }

    /// `GET target` on this connection.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .response()
    }

    /// `GET target`, for servers that may be gone.
    pub fn try_exchange(&mut self, target: &str) -> io::Result<Response> {
        self.try_send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))?;
        self.try_response("GET")
    }

    /// A request with further header lines (each with its CRLF) and a body framed by Content-Length.
    #[track_caller]
    pub fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Response {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.send(
            [
                format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}{length}\r\n")
                    .as_bytes(),
                body,
            ]
            .concat(),
        )
        .response_to(method)
    }

    /// Waits until at least this many bytes have come that no response was read from.
    pub fn wait_bytes(&mut self, count: usize) -> &[u8] {
        while self.reader.buffer.len() < count {
            assert!(
                self.reader.fill().expect("bytes come"),
                "the connection ended after {:?}",
                String::from_utf8_lossy(&self.reader.buffer)
            );
        }
        &self.reader.buffer
    }

    /// Bytes that wait in the socket, unread; a few megabytes at most.
    pub fn arrived(&self) -> usize {
        match &self.reader.source {
            Stream::Tcp(stream) => stream.peek(&mut vec![0; 8 << 20]).expect("bytes come"),
            Stream::Unix(_) => 0,
        }
    }

    /// Takes this many bytes that no response is made of.
    #[track_caller]
    pub fn take_bytes(&mut self, count: usize) -> Vec<u8> {
        self.wait_bytes(count);
        self.reader.buffer.drain(..count).collect()
    }

    /// Takes everything up to the next empty line.
    #[track_caller]
    pub fn take_head(&mut self) -> String {
        self.wait_text("\r\n\r\n");
        let end = self
            .reader
            .buffer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("just seen");
        String::from_utf8_lossy(&self.take_bytes(end + 4)).into_owned()
    }

    /// Waits until this text has come.
    pub fn wait_text(&mut self, text: &str) {
        while !self
            .reader
            .buffer
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            assert!(
                self.reader.fill().expect("bytes come"),
                "the connection ended after {:?}",
                String::from_utf8_lossy(&self.reader.buffer)
            );
        }
    }

    /// Everything up to the end of the connection. A reset ends it too.
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.reader.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the connection does not end: {error}"),
            }
        }
        std::mem::take(&mut self.reader.buffer)
    }

    /// Asserts that the server closes, and sends nothing before it does.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let rest = self.rest();
        assert!(
            rest.is_empty(),
            "more than was asked for: {:?}",
            String::from_utf8_lossy(&rest)
        );
    }

    /// Asserts that the connection still serves.
    #[track_caller]
    pub fn expect_open(&mut self) {
        let response = self
            .send("GET /alive HTTP/1.1\r\nHost: test\r\n\r\n")
            .response();
        assert!(response.status < 500, "{response:?}");
    }

    pub fn local_port(&self) -> u16 {
        match &self.reader.source {
            Stream::Tcp(stream) => stream.local_addr().expect("a bound socket").port(),
            Stream::Unix(_) => 0,
        }
    }

    /// Sends the bytes over and over without ever reading, until the server takes no more, closes, or `most` bytes are sent.
    pub fn flood(mut self, bytes: &[u8], most: usize) {
        let Stream::Tcp(stream) = &mut self.reader.source else {
            panic!("not a TCP connection")
        };
        stream
            .set_write_timeout(Some(std::time::Duration::from_secs(3)))
            .expect("a timeout can be set");
        let mut sent = 0;
        while sent < most && stream.write_all(bytes).is_ok() {
            sent += bytes.len();
        }
    }
}
