//! A strict reader of HTTP/1.1 responses: what a correct client may rely on, and panics at anything else.

use std::io::{self, Read};

/// One response, its framing undone.
#[derive(Debug, Clone)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub reason: String,
    /// Names as sent, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How the body was framed.
    pub framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// 1xx, 204, 304, or an answer to HEAD.
    Bodiless,
    Length,
    Chunked,
    /// Until the end of the connection.
    Close,
}

impl Response {
    /// The value of a header that appears at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.header_values(name);
        assert!(values.len() <= 1, "{name} is repeated: {values:?}");
        values.first().copied()
    }

    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Whether the server said that it closes the connection.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(
            self.status,
            status,
            "{} {:?}\n{}",
            self.reason,
            self.headers,
            self.text()
        );
        self
    }
}

/// Bytes of a connection, read as needed; what lies beyond a response stays.
pub struct Reader<R> {
    pub source: R,
    pub buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Reader<R> {
        Reader {
            source,
            buffer: Vec::new(),
        }
    }

    /// Reads more; false at the end of the stream.
    pub fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        let count = self.source.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill()? {
                return Err(cut("a body", &self.buffer));
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// A line without its CRLF; a bare LF or CR is a fault of the server.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line
                    .strip_suffix(b"\r\n")
                    .unwrap_or_else(|| panic!("a bare LF: {:?}", String::from_utf8_lossy(&line)));
                assert!(
                    !line.contains(&b'\r'),
                    "a bare CR: {:?}",
                    String::from_utf8_lossy(line)
                );
                // Field values are latin-1; each byte is one character.
                return Ok(line.iter().copied().map(char::from).collect());
            }
            if !self.fill()? {
                return Err(cut("a head", &self.buffer));
            }
        }
    }

    /// Reads the answer to a request of this method. 1xx answers are responses of their own.
    pub fn response(&mut self, method: &str) -> io::Result<Response> {
        let status_line = self.line()?;
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        assert!(
            version == "HTTP/1.1" || version == "HTTP/1.0",
            "no status line: {status_line:?}"
        );
        let code = words.next().unwrap_or_default();
        assert!(
            code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()),
            "no status: {status_line:?}"
        );
        let reason = words
            .next()
            .unwrap_or_else(|| panic!("no space behind the status: {status_line:?}"))
            .to_owned();
        let headers = self.fields()?;
        let mut response = Response {
            version,
            status: code.parse().expect("three digits"),
            reason,
            headers,
            body: Vec::new(),
            framing: Framing::Bodiless,
        };
        self.body(method, &mut response)?;
        Ok(response)
    }

    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no field: {line:?}"));
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert!(
                !name.is_empty() && name.bytes().all(token),
                "no field name: {line:?}"
            );
            let value = value.trim_matches([' ', '\t']);
            assert!(
                !value.bytes().any(|byte| byte < 0x20 && byte != b'\t'),
                "a control character: {line:?}"
            );
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// RFC 9112 section 6.3, as a client must decide it.
    fn body(&mut self, method: &str, response: &mut Response) -> io::Result<()> {
        let coding = response.header("transfer-encoding").map(str::to_owned);
        let length = response.header("content-length").map(|value| {
            assert!(
                value.bytes().all(|byte| byte.is_ascii_digit()),
                "no length: {value:?}"
            );
            value.parse::<usize>().expect("a length")
        });
        assert!(
            coding.is_none() || length.is_none(),
            "both framings: {response:?}"
        );
        if matches!(response.status, 100..=199 | 204) {
            assert!(
                coding.is_none() && length.is_none(),
                "a framed body where none may be: {response:?}"
            );
        }
        if method == "HEAD" || matches!(response.status, 100..=199 | 204 | 304) {
            return Ok(());
        }
        if let Some(coding) = coding {
            assert_eq!(coding, "chunked");
            assert_eq!(response.version, "HTTP/1.1");
            response.framing = Framing::Chunked;
            response.body = self.chunked()?;
        } else if let Some(length) = length {
            response.framing = Framing::Length;
            response.body = self.take(length)?;
        } else {
            response.framing = Framing::Close;
            while self.fill()? {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Ok(())
    }

    fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16)
                .unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
            if size == 0 {
                let trailers = self.fields()?;
                assert!(
                    trailers.is_empty(),
                    "trailers nobody asked for: {trailers:?}"
                );
                return Ok(body);
            }
            body.extend(self.take(size)?);
            assert_eq!(self.take(2)?, b"\r\n", "a chunk longer than its size");
        }
    }
}

fn cut(what: &str, rest: &[u8]) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!(
            "the connection ended inside {what}, after {:?}",
            String::from_utf8_lossy(rest)
        ),
    )
}
