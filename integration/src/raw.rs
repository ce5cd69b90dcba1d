//! HTTP/1.1 as bytes on a TCP connection: for requests that no well-behaved client sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::{Answer, Error, Result};

/// The bytes of a request: the request line, the headers as they are given (any byte), an empty line, the body.
/// `content-length` is added when there is a body.
pub fn request(method: &str, path: &[u8], headers: &[(&[u8], &[u8])], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(method.as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(path);
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
        bytes.extend_from_slice(b"host: sluice.demo\r\n");
    }
    for (name, value) in headers {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Sends bytes on a new connection and reads one answer.
pub fn send(port: u16, bytes: &[u8]) -> Result<Answer> {
    let mut connection = Connection::open(port)?;
    connection.write(bytes)?;
    connection.read_answer()
}

/// An open connection, for several requests or for parts of one.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    limit: Duration,
}

impl Connection {
    /// Connects to a port on loopback; answers are awaited for half a minute.
    pub fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .map_err(|e| Error::Other(format!("can't connect to port {port}: {e}")))?;
        stream.set_nodelay(true).map_err(|e| Error::Other(format!("port {port}: {e}")))?;
        Ok(Self { stream, unread: Vec::new(), limit: Duration::from_secs(30) })
    }

    /// The same connection with another limit of time for each answer.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Writes bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|e| Error::Other(format!("can't write: {e}")))
    }

    /// Reads one answer to its end: by its length, its chunks, or the end of the connection.
    pub fn read_answer(&mut self) -> Result<Answer> {
        let started = Instant::now();
        let deadline = started + self.limit;
        let head_length = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.read_more(deadline)? {
                return Err(Error::Other(format!(
                    "the connection ended before an answer, after {:?}",
                    String::from_utf8_lossy(&self.unread)
                )));
            }
        };
        let head: Vec<u8> = self.unread.drain(..head_length).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| Error::Other(format!("not an HTTP answer: {head:?}")))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, ..Answer::default() };
        answer.body = if matches!(status, 204 | 304) {
            Vec::new()
        } else if answer.header("transfer-encoding") == Some("chunked") {
            self.read_chunks(deadline)?
        } else if let Some(length) = answer.header("content-length").and_then(|length| length.parse().ok()) {
            self.read_exactly(length, deadline)?
        } else {
            while self.read_more(deadline)? {}
            std::mem::take(&mut self.unread)
        };
        answer.took = started.elapsed();
        Ok(answer)
    }

    /// Whether the other side has closed the connection, after at most `limit`.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.read_more(deadline) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    fn read_chunks(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = find(&self.unread, b"\r\n") {
                    break end;
                }
                self.need_more(deadline)?;
            };
            let line: Vec<u8> = self.unread.drain(..end + 2).collect();
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim().split(';').next().unwrap_or_default(), 16)
                .map_err(|e| Error::Other(format!("not a chunk: {size:?}: {e}")))?;
            let mut chunk = self.read_exactly(size + 2, deadline)?;
            chunk.truncate(size);
            if size == 0 {
                return Ok(body);
            }
            body.append(&mut chunk);
        }
    }

    fn read_exactly(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>> {
        while self.unread.len() < length {
            self.need_more(deadline)?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn need_more(&mut self, deadline: Instant) -> Result<()> {
        if self.read_more(deadline)? { Ok(()) } else { Err("the connection ended within an answer".into()) }
    }

    /// Reads what is there; false at the end of the connection; an error when the deadline passes.
    fn read_more(&mut self, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).map_err(|e| Error::Other(format!("can't read: {e}")))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Error::NotInTime { what: "an answer".to_owned(), log: String::new() })
            }
            Err(e) => Err(Error::Other(format!("can't read: {e}"))),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
