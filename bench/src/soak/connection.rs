//! The client's end of a connection: sends bytes, reads answers and WebSocket frames whole.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Heads and frames beyond this are nothing that a server of ours sends.
const LINE_BYTES_MAX: u64 = 64 * 1024;

pub struct Connection(BufReader<TcpStream>);

pub struct Answer {
    pub status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub fn expect(&self, status: u16) -> io::Result<()> {
        self.expect_one_of(&[status])
    }

    pub fn expect_one_of(&self, expected: &[u16]) -> io::Result<()> {
        match expected.contains(&self.status) {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "{} for {expected:?}",
                self.status
            ))),
        }
    }

    pub fn says(&self, text: &str) -> io::Result<()> {
        match self.body == text.as_bytes() {
            true => Ok(()),
            false => Err(io::Error::other("another body than expected")),
        }
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Connection {
        Connection(BufReader::new(stream))
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Everything until the connection ends.
    pub fn rest(&mut self) -> io::Result<usize> {
        io::copy(&mut self.0, &mut io::sink()).map(|count| count as usize)
    }

    /// An answer without looking for its body; 100 is passed over.
    pub fn head(&mut self) -> io::Result<Answer> {
        self.read_head().map(|(answer, _)| answer)
    }

    pub fn answer(&mut self) -> io::Result<Answer> {
        let (mut answer, framing) = self.read_head()?;
        match framing {
            Framing::Length(length) => {
                let mut body = (&mut self.0).take(length);
                body.read_to_end(&mut answer.body)?;
                if (answer.body.len() as u64) < length {
                    return Err(cut());
                }
            }
            Framing::Chunked => loop {
                let line = self.line()?;
                let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
                let before = answer.body.len();
                (&mut self.0)
                    .take(length + 2)
                    .read_to_end(&mut answer.body)?;
                if ((answer.body.len() - before) as u64) < length + 2 {
                    return Err(cut());
                }
                answer.body.truncate(answer.body.len() - 2);
                if length == 0 {
                    break;
                }
            },
            Framing::UntilClose => {
                self.0.read_to_end(&mut answer.body)?;
            }
        }
        Ok(answer)
    }

    fn read_head(&mut self) -> io::Result<(Answer, Framing)> {
        loop {
            let line = self.line()?;
            let status = line.get(9..12).and_then(|digits| digits.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other("no status line"))?;
            let mut framing = Framing::UntilClose;
            loop {
                let line = self.line()?.to_ascii_lowercase();
                if line == "\r\n" {
                    break;
                }
                if let Some(length) = line.strip_prefix("content-length:") {
                    framing = Framing::Length(length.trim().parse().map_err(io::Error::other)?);
                } else if line.starts_with("transfer-encoding:") {
                    framing = Framing::Chunked;
                }
            }
            if status != 100 {
                let body = Vec::new();
                return Ok((Answer { status, body }, framing));
            }
        }
    }

    /// One frame of a WebSocket, from the server and so without a mask.
    pub fn frame(&mut self) -> io::Result<()> {
        let mut start = [0; 2];
        self.0.read_exact(&mut start)?;
        let length = match start[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        match io::copy(&mut (&mut self.0).take(length), &mut io::sink())? {
            read if read == length => Ok(()),
            _ => Err(cut()),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.0).take(LINE_BYTES_MAX).read_line(&mut line)?;
        match line.ends_with('\n') {
            true => Ok(line),
            false => Err(cut()),
        }
    }
}

enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
