//! The load generator: HTTP/1.1 over connections that stay open.
//!
//! It must be quicker than Envoy, so that Envoy never waits for it: an Envoy that falls asleep between requests pays for waking
//! up, and the figures would be about that. So requests are bytes that were written beforehand; one thread goes round its
//! connections, reads the answer of one and sends the next request on it at once, while the others' requests are with Envoy.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use sluice_integration::{Error, Result};

/// How many connections, so many requests are on their way at any time.
const CONNECTIONS: usize = 16;

/// An answer that takes longer is a failure.
const LIMIT: Duration = Duration::from_secs(10);

/// One connection, and what of its answers has been read.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer's status and head.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers as they came.
    pub head: String,
}

impl Answer {
    /// The value of the first header of that name (in lower case, as Envoy writes them).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }
}

impl Connection {
    /// Connects to that port of loopback.
    pub fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|e| failed(port, &e))?;
        stream.set_nodelay(true).map_err(|e| failed(port, &e))?;
        stream.set_read_timeout(Some(LIMIT)).map_err(|e| failed(port, &e))?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request)?;
        let (status, end_of_head) = self.receive()?;
        let head = String::from_utf8_lossy(&self.buffer[..end_of_head]).into_owned();
        Ok(Answer { status, head })
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).map_err(|e| Error::Other(format!("a request could not be sent: {e}")))
    }

    /// Reads one answer with its body: its status, and where its head ends in the buffer.
    fn receive(&mut self) -> Result<(u16, usize)> {
        self.buffer.clear();
        let mut end_of_head = None;
        loop {
            let mut chunk = [0; 4096];
            let length = self
                .stream
                .read(&mut chunk)
                .map_err(|e| Error::Other(format!("an answer could not be read: {e}")))?;
            if length == 0 {
                return Err("Envoy closed a connection while an answer was awaited".into());
            }
            self.buffer.extend_from_slice(&chunk[..length]);
            if end_of_head.is_none() {
                end_of_head = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            }
            if let Some(end) = end_of_head
                && self.buffer.len() >= end + 4 + content_length(&self.buffer[..end])
            {
                return Ok((status(&self.buffer).ok_or("an answer without a status")?, end));
            }
        }
    }
}

/// The connections to one Envoy.
pub struct Load {
    connections: Vec<Connection>,
    /// The position of the next request.
    next: usize,
}

impl Load {
    /// Connects to an Envoy.
    pub fn connect(port: u16) -> Result<Self> {
        let connections = (0..CONNECTIONS).map(|_| Connection::open(port)).collect::<Result<_>>()?;
        Ok(Self { connections, next: 0 })
    }

    /// Sends `count` requests, going on in `requests` where the last call stopped and beginning anew at its end. Every answer
    /// must be a 200: an Envoy that refuses is quick, and measures nothing.
    pub fn run(&mut self, requests: &[Vec<u8>], count: usize) -> Result<()> {
        let first = self.next;
        let request = |number: usize| &requests[(first + number) % requests.len()];
        let ahead = self.connections.len().min(count);
        for (number, connection) in self.connections.iter_mut().take(ahead).enumerate() {
            connection.send(request(number))?;
        }
        for number in 0..count {
            let connection = &mut self.connections[number % CONNECTIONS];
            let (status, end_of_head) = connection.receive()?;
            if status != 200 {
                let answer = String::from_utf8_lossy(&connection.buffer);
                let sent = String::from_utf8_lossy(request(number));
                return Err(Error::Other(format!(
                    "an answer of the measured load was not 200:\n{}\n(its head is {end_of_head} bytes) to the request\n{}",
                    answer.trim_end(),
                    sent.trim_end()
                )));
            }
            if number + ahead < count {
                connection.send(request(number + ahead))?;
            }
        }
        self.next = (first + count) % requests.len();
        Ok(())
    }
}

fn failed(port: u16, error: &std::io::Error) -> Error {
    Error::Other(format!("no connection to port {port}: {error}"))
}

/// The status of `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// The value of `content-length`, or 0. Envoy writes header names in lower case.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let Some(start) = head.windows(NAME.len()).position(|bytes| bytes == NAME) else { return 0 };
    head[start + NAME.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that gives `answers`, one for each request without a body, on every connection anew.
    fn server(answers: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut answers = answers.iter().cycle();
                    let (mut bytes, mut chunk) = (Vec::new(), [0; 1024]);
                    while let Ok(length @ 1..) = stream.read(&mut chunk) {
                        bytes.extend_from_slice(&chunk[..length]);
                        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                            bytes.drain(..end + 4);
                            stream.write_all(answers.next().unwrap().as_bytes()).unwrap();
                        }
                    }
                });
            }
        });
        port
    }

    #[test]
    fn answers_with_and_without_a_body_follow_each_other_on_a_connection() {
        let port = server(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nx-a: 1\r\n\r\nhello world",
            "HTTP/1.1 403 Forbidden\r\nx-b: 2\r\n\r\n",
        ]);
        let mut connection = Connection::open(port).unwrap();
        for _ in 0..3 {
            let answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            assert_eq!((answer.status, answer.header("x-a")), (200, Some("1")));
            let answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            assert_eq!((answer.status, answer.header("x-b"), answer.header("x-a")), (403, Some("2"), None));
        }
    }

    #[test]
    fn as_many_requests_are_sent_as_were_asked_for() {
        let port = server(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
        let requests = vec![b"GET /a HTTP/1.1\r\n\r\n".to_vec(), b"GET /b HTTP/1.1\r\n\r\n".to_vec()];
        let mut load = Load::connect(port).unwrap();
        for count in [1, 3, 16, 17, 100] {
            load.run(&requests, count).unwrap();
        }
        assert_eq!(load.next, (1 + 3 + 16 + 17 + 100) % 2);
    }

    #[test]
    fn an_answer_other_than_200_ends_the_load() {
        let port = server(&["HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"]);
        let error = Load::connect(port).unwrap().run(&[b"GET / HTTP/1.1\r\n\r\n".to_vec()], 20).unwrap_err();
        assert!(error.to_string().contains("429"), "{error}");
    }
}
