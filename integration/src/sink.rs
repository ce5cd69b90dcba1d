//! A server over HTTP/1.1 that counts what reaches it of each body, and keeps none of it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::{Error, Result, ports};

/// What has reached the server of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Poured {
    /// The path and query.
    pub path: String,
    /// How many bytes of its body, without the framing.
    pub bytes: u64,
    /// Whether it came to its end.
    pub whole: bool,
    /// Whether the connection has ended without that.
    pub broken: bool,
}

/// When the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// With 200 once the body has come.
    Afterwards,
    /// With the head of a 200 before it reads the body, and with the rest afterwards.
    AtOnce,
    /// With 101 at once; what comes then is counted until the connection ends.
    AsTunnel,
}

type Record = Arc<Mutex<Vec<Poured>>>;

/// The server; it ends when it is dropped.
pub struct Sink {
    port: u16,
    record: Record,
    ended: Arc<AtomicBool>,
}

// === impl Sink ===

impl Sink {
    /// Listens on a free port.
    pub fn start(answers: Answers) -> Result<Self> {
        let port = ports::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|e| Error::Other(format!("a sink can't listen on port {port}: {e}")))?;
        let (record, ended) = (Record::default(), Arc::new(AtomicBool::new(false)));
        let (theirs, stops) = (record.clone(), ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stops.load(Ordering::Acquire) {
                    break;
                }
                let record = theirs.clone();
                std::thread::spawn(move || serve(stream, answers, &record));
            }
        });
        Ok(Self { port, record, ended })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has come so far, in the order in which the requests began.
    pub fn poured(&self) -> Vec<Poured> {
        lock(&self.record).clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // So that it sees it.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn lock(record: &Record) -> std::sync::MutexGuard<'_, Vec<Poured>> {
    record.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Serves one connection, request after request.
fn serve(stream: TcpStream, answers: Answers, record: &Record) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Ok(Some(head)) = Head::read(&mut reader) {
        let position = {
            let mut record = lock(record);
            record.push(Poured { path: head.path.clone(), ..Poured::default() });
            record.len() - 1
        };
        let change = |change: &dyn Fn(&mut Poured)| change(&mut lock(record)[position]);
        let count = |bytes: u64| change(&|poured| poured.bytes += bytes);
        let begun = match answers {
            Answers::Afterwards => Ok(()),
            Answers::AtOnce => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
            }
            Answers::AsTunnel => writer.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            ),
        };
        let read = begun.and_then(|()| match (answers, head.chunked) {
            (Answers::AsTunnel, _) => pour(&mut reader, u64::MAX, &count).map(drop),
            (_, true) => read_chunks(&mut reader, &count),
            (_, false) => exactly(&mut reader, head.length, &count),
        });
        if read.is_err() || answers == Answers::AsTunnel {
            change(&|poured| poured.broken = true);
            return;
        }
        change(&|poured| poured.whole = true);
        let answered = match answers {
            Answers::AtOnce => writer.write_all(b"0\r\n\r\n"),
            _ => writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        };
        if answered.is_err() {
            return;
        }
    }
}

/// What of a head matters.
struct Head {
    path: String,
    length: u64,
    chunked: bool,
}

impl Head {
    /// Reads a head; `None` at the end of the connection.
    fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut head = Self { path, length: 0, chunked: false };
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(head)) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => head.chunked = value.trim() == "chunked",
                _ => {}
            }
        }
    }
}

fn read_chunks(reader: &mut impl BufRead, count: &dyn Fn(u64)) -> std::io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16)
            .map_err(|_| ErrorKind::InvalidData)?;
        if size == 0 {
            break;
        }
        exactly(reader, size, count)?;
        line.clear();
        reader.read_line(&mut line)?;
    }
    // Trailers, up to the empty line.
    loop {
        line.clear();
        match reader.read_line(&mut line)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ if line.trim().is_empty() => return Ok(()),
            _ => {}
        }
    }
}

fn exactly(reader: &mut impl Read, size: u64, count: &dyn Fn(u64)) -> std::io::Result<()> {
    if pour(reader, size, count)? == size { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Reads at most `size` bytes, counts each part of them, and says how many there were.
fn pour(reader: &mut impl Read, size: u64, count: &dyn Fn(u64)) -> std::io::Result<u64> {
    let mut buffer = [0; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match reader.read(&mut buffer[..room])? {
            0 => break,
            read => {
                count(read as u64);
                left -= read as u64;
            }
        }
    }
    Ok(size - left)
}
