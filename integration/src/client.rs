//! A well-behaved HTTP client, blocking or not.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::{Error, Result, runtime};

/// A request that is being written: a method, a path, headers, a body.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// Path and query, as they go on the wire.
    pub path: String,
    /// The headers in order; a name may come several times. `host` sets the authority.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers in order; HTTP/1.1 sends none.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// A request with any method.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// A GET request.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST request with a body.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", path) }
    }

    /// One more header; its value may hold any byte that HTTP allows in one.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// One more trailer.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// `authorization: Bearer <token>`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }
}

/// A response that was read to its end.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in order, names in lower case, values with bytes that aren't UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// From the first byte written to the last byte read.
    pub took: Duration,
}

impl Answer {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Every header of that name (lower case).
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text, bytes that aren't UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` if it isn't JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// The version of HTTP that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, keeping connections open.
    Http1,
    /// HTTP/2 with prior knowledge, without TLS.
    Http2,
}

/// A request's body, with trailers behind it if there are any.
type Body = BoxBody<Bytes, Infallible>;

/// A client of one port, on loopback unless told. Cloning shares the connections.
#[derive(Clone)]
pub struct Client {
    host: String,
    port: u16,
    protocol: Protocol,
    pooled: Pooled<HttpConnector, Body>,
    limit: Duration,
}

impl Client {
    /// A client that speaks HTTP/1.1 to that port and waits half a minute at most for an answer.
    pub fn new(port: u16) -> Self {
        Self::speaking(Protocol::Http1, port)
    }

    /// A client of a port of another host, such as a container, that speaks HTTP/1.1.
    pub fn at(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), ..Self::new(port) }
    }

    /// A client that speaks the given version.
    pub fn speaking(protocol: Protocol, port: u16) -> Self {
        Self::build(protocol, port, None)
    }

    /// A client that speaks HTTP/1.1 from another address of the loopback network (127.0.0.0/8): another client, to a proxy.
    pub fn from_address(address: Ipv4Addr, port: u16) -> Self {
        Self::build(Protocol::Http1, port, Some(address))
    }

    fn build(protocol: Protocol, port: u16, address: Option<Ipv4Addr>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_local_address(address.map(IpAddr::V4));
        let pooled =
            Pooled::builder(TokioExecutor::new()).http2_only(protocol == Protocol::Http2).build(connector);
        Self { host: Ipv4Addr::LOCALHOST.to_string(), port, protocol, pooled, limit: Duration::from_secs(30) }
    }

    /// The same client with another limit of time for each answer.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Sends a request and reads the answer to its end.
    pub fn send(&self, request: &Request) -> Result<Answer> {
        runtime::block_on(self.send_async(request))
    }

    /// Sends all requests at once and gives the answers in the same order.
    pub fn send_all(&self, requests: &[Request]) -> Vec<Result<Answer>> {
        let tasks: Vec<_> = requests
            .iter()
            .map(|request| {
                let (client, request) = (self.clone(), request.clone());
                runtime::spawn(async move { client.send_async(&request).await })
            })
            .collect();
        tasks
            .into_iter()
            .map(|task| runtime::block_on(task).unwrap_or_else(|e| Err(Error::Other(e.to_string()))))
            .collect()
    }

    /// As [`Client::send`], for callers with a runtime of their own.
    pub async fn send_async(&self, request: &Request) -> Result<Answer> {
        let started = Instant::now();
        let failed = |e: &dyn std::fmt::Display| {
            Error::Other(format!("{} {} at {}:{}: {e}", request.method, request.path, self.host, self.port))
        };
        let exchange = async {
            let response = self.pooled.request(self.to_hyper(request)?).await.map_err(|e| {
                failed(&std::error::Error::source(&e).map_or(e.to_string(), ToString::to_string))
            })?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|e| failed(&e))?.to_bytes().to_vec();
            let headers = head
                .headers
                .iter()
                .map(|(name, value)| {
                    (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect();
            Ok(Answer { status: head.status.as_u16(), headers, body, took: started.elapsed() })
        };
        tokio::time::timeout(self.limit, exchange).await.map_err(|_| failed(&"no answer in time"))?
    }

    fn to_hyper(&self, request: &Request) -> Result<hyper::Request<Body>> {
        let unsendable = |e: &dyn std::fmt::Display| {
            Error::Other(format!(
                "a well-behaved client can't send {request:?} ({e}): use sluice_integration::raw"
            ))
        };
        // The authority of an absolute form becomes Host in HTTP/1.1 and `:authority` in HTTP/2.
        let authority = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let uri = match (authority, self.protocol) {
            (Some((_, host)), Protocol::Http2) => {
                // hyper connects to the authority of the URI, so HTTP/2 can't name another host here.
                return Err(unsendable(&format!("HTTP/2 with the host {}", String::from_utf8_lossy(host))));
            }
            _ => format!("http://{}:{}{}", self.host, self.port, request.path),
        };
        let mut built = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(uri)
            .body(Full::new(Bytes::from(request.body.clone())).boxed())
            .map_err(|e| unsendable(&e))?;
        let fill = |map: &mut HeaderMap, fields: &[(String, Vec<u8>)]| {
            for (name, value) in fields {
                let name = HeaderName::try_from(name.as_str()).map_err(|e| unsendable(&e))?;
                let value = HeaderValue::from_bytes(value).map_err(|e| unsendable(&e))?;
                map.append(name, value);
            }
            Ok::<(), Error>(())
        };
        fill(built.headers_mut(), &request.headers)?;
        if !request.trailers.is_empty() {
            let mut trailers = HeaderMap::new();
            fill(&mut trailers, &request.trailers)?;
            let body = Full::new(Bytes::from(request.body.clone()));
            *built.body_mut() = body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
        }
        Ok(built)
    }
}
