//! A request whose body is sent part by part, and whose length nobody declares.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{Answer, Error, Protocol, Request, Result, runtime};

/// How long an answer may take, and how long one part may wait to be taken.
const LIMIT: Duration = Duration::from_secs(60);

/// A request that is being sent. Dropped, its client leaves.
pub struct Streamed {
    parts: mpsc::Sender<Option<Bytes>>,
    answer: JoinHandle<Result<Answer>>,
}

/// What comes out of the channel: `None` is the end of the body. One that nobody can send to any more has no end: its client has left.
struct Parts(mpsc::Receiver<Option<Bytes>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        match self.0.poll_recv(context) {
            Poll::Ready(Some(part)) => Poll::Ready(part.map(|part| Ok(Frame::data(part)))),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

// === impl Streamed ===

impl Streamed {
    /// Sends the head of `request` on a connection of its own: over HTTP/1.1 its body will be chunked.
    pub fn open(protocol: Protocol, port: u16, request: &Request) -> Result<Self> {
        let (parts, body) = mpsc::channel(1);
        let mut built = hyper::Request::builder().method(request.method.as_str());
        built = match protocol {
            Protocol::Http1 => built.uri(&request.path).header("host", "sluice.demo"),
            Protocol::Http2 => built.uri(format!("http://sluice.demo{}", request.path)),
        };
        for (name, value) in &request.headers {
            built = built.header(name, value.as_slice());
        }
        let built = built.body(Parts(body)).map_err(|e| Error::Other(format!("{request:?}: {e}")))?;
        let answer = runtime::spawn(async move {
            let sent = send(protocol, port, built);
            tokio::time::timeout(LIMIT, sent).await.map_err(|_| failed(&"no answer in time"))?
        });
        Ok(Self { parts, answer })
    }

    /// Sends a part of the body, once the one before has been taken. False where nothing more is taken.
    pub fn send(&self, part: impl Into<Bytes>) -> bool {
        self.hand_over(Some(part.into()))
    }

    /// Whether the answer has come.
    pub fn is_answered(&self) -> bool {
        self.answer.is_finished()
    }

    /// Ends the body and reads the answer.
    pub fn finish(self) -> Result<Answer> {
        self.hand_over(None);
        self.answer()
    }

    /// Reads the answer, whatever is left of the body.
    pub fn answer(mut self) -> Result<Answer> {
        runtime::block_on(&mut self.answer).map_err(|e| failed(&e))?
    }

    fn hand_over(&self, part: Option<Bytes>) -> bool {
        let sent = runtime::block_on(async { tokio::time::timeout(LIMIT, self.parts.send(part)).await });
        matches!(sent, Ok(Ok(())))
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Other(format!("a request that is sent in parts: {error}"))
}

async fn send(protocol: Protocol, port: u16, request: hyper::Request<Parts>) -> Result<Answer> {
    let started = Instant::now();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| failed(&e))?;
    let io = TokioIo::new(stream);
    // The connection ends with this task, and so does the request.
    let mut connection = tokio::task::JoinSet::new();
    let response = match protocol {
        Protocol::Http1 => {
            let (mut sender, serving) =
                hyper::client::conn::http1::handshake(io).await.map_err(|e| failed(&e))?;
            connection.spawn(serving);
            sender.send_request(request).await
        }
        Protocol::Http2 => {
            let (mut sender, serving) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(|e| failed(&e))?;
            connection.spawn(serving);
            sender.send_request(request).await
        }
    };
    let (head, body) = response.map_err(|e| failed(&format!("{e:?}")))?.into_parts();
    let body = body.collect().await.map_err(|e| failed(&format!("{e:?}")))?.to_bytes().to_vec();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
    Ok(Answer { status: head.status.as_u16(), headers, body, took: started.elapsed() })
}
