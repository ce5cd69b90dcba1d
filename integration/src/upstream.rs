//! A server that records what reaches it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Error, Result, ports, runtime};

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The name of the upstream at which it arrived.
    pub at: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers in order, names in lower case.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Received {
    /// What a request is that arrived `at` a server of this name, read to its end.
    pub async fn of(request: hyper::Request<Incoming>, at: String) -> Self {
        let (head, body) = request.into_parts();
        let mut headers: Vec<(String, Vec<u8>)> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
            .collect();
        // HTTP/2 carries the host in `:authority`.
        if let Some(authority) = head.uri.authority() {
            headers.push(("host".to_owned(), authority.as_str().as_bytes().to_owned()));
        }
        let body = body.collect().await.ok();
        let trailers = body.as_ref().and_then(|body| body.trailers()).into_iter().flatten();
        let trailers =
            trailers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned())).collect();
        Self {
            at,
            method: head.method.to_string(),
            path: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers,
            body: body.map(|body| body.to_bytes().to_vec()).unwrap_or_default(),
            trailers,
        }
    }

    /// The first header of that name (lower case), bytes that aren't UTF-8 replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers_named(name).into_iter().next()
    }

    /// Every header of that name (lower case), bytes that aren't UTF-8 replaced.
    pub fn headers_named(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(n, _)| n == name);
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// What the upstream echoes: `{"at", "method", "path", "headers": [[name, value], …], "body"}`.
    pub fn to_json(&self) -> Value {
        let headers: Vec<[String; 2]> = self
            .headers
            .iter()
            .map(|(name, value)| [name.clone(), String::from_utf8_lossy(value).into_owned()])
            .collect();
        json!({
            "at": self.at, "method": self.method, "path": self.path, "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
        })
    }
}

/// An answer that a test tells an upstream to give.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers. Of an answer with a body to a gRPC request, those that begin with `grpc-` are sent as trailers, as gRPC has it.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it waits before it answers.
    pub after: Duration,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
            after: Duration::ZERO,
        }
    }
}

type Handler = dyn Fn(Received) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;
type Record = Arc<Mutex<Vec<Received>>>;

/// A server on loopback, HTTP/1.1 and HTTP/2 without TLS. It ends when it is dropped.
pub struct Upstream {
    name: String,
    port: u16,
    received: Record,
    records: bool,
    handler: Arc<Handler>,
    serving: Option<JoinHandle<()>>,
}

impl Upstream {
    /// One that echoes each request as JSON with status 200, on a free port.
    pub fn start(name: &str) -> Result<Self> {
        Self::answering(name, |received| Reply::json(200, &received.to_json()))
    }

    /// One that answers as `handler` says.
    pub fn answering(
        name: &str,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::begin(name, true, handler)
    }

    /// The same, which keeps nothing of what it has received: for a great many requests.
    pub fn unrecorded(
        name: &str,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::begin(name, false, handler)
    }

    fn begin(
        name: &str,
        records: bool,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut upstream = Self {
            name: name.to_owned(),
            port: ports::free(),
            received: Arc::default(),
            records,
            handler: Arc::new(move |request| {
                let reply = handler(&request);
                Box::pin(async { reply })
            }),
            serving: None,
        };
        upstream.restart()?;
        Ok(upstream)
    }

    /// Its name, as given and as echoed in `at`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.lock().clone()
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The latest request.
    ///
    /// # Panics
    /// If none has arrived.
    pub fn last(&self) -> Received {
        self.lock().last().cloned().unwrap_or_else(|| panic!("no request has reached {}", self.name))
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.lock().clear();
    }

    /// Ends it: it accepts nothing more and drops its connections.
    pub fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = runtime::block_on(serving);
        }
    }

    /// Serves again, on the same port.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let listener = runtime::block_on(ports::listen_again(self.port))
            .map_err(|e| Error::Other(format!("{} can't listen on port {}: {e}", self.name, self.port)))?;
        let (name, received, handler) = (self.name.clone(), self.received.clone(), self.handler.clone());
        let record = self.records.then_some(received);
        self.serving = Some(runtime::spawn(serve(listener, name, record, handler)));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Without waiting: the drop may happen on a thread of the runtime.
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

/// Serves on an address until the process ends, without recording anything: for the demo's services.
pub(crate) fn serve_forever<F>(
    name: &str,
    address: SocketAddr,
    handler: impl Fn(Received) -> F + Send + Sync + 'static,
) -> Result<()>
where
    F: Future<Output = Reply> + Send + 'static,
{
    runtime::block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|e| Error::Other(format!("{name} can't listen on {address}: {e}")))?;
        serve(listener, name.to_owned(), None, Arc::new(move |request| Box::pin(handler(request)))).await;
        Ok(())
    })
}

async fn serve(listener: TcpListener, name: String, received: Option<Record>, handler: Arc<Handler>) {
    // Dropped with this task, and with it every connection.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let (name, received, handler) = (name.clone(), received.clone(), handler.clone());
        connections.spawn(async move {
            let service =
                service_fn(move |request| answer(request, name.clone(), received.clone(), handler.clone()));
            // A client that goes away is nothing to report.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    name: String,
    received: Option<Record>,
    handler: Arc<Handler>,
) -> std::result::Result<hyper::Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible>
{
    let request = Received::of(request, name).await;
    if let Some(received) = received {
        received.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(request.clone());
    }
    let grpc = request.header("content-type").is_some_and(|value| value.starts_with("application/grpc"));
    let reply = handler(request).await;
    tokio::time::sleep(reply.after).await;
    let mut response = hyper::Response::builder().status(reply.status);
    let mut trailers = hyper::HeaderMap::new();
    for (name, value) in reply.headers {
        let named = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok());
        match named {
            Some((name, value)) if grpc && !reply.body.is_empty() && name.as_str().starts_with("grpc-") => {
                trailers.insert(name, value);
            }
            _ => response = response.header(name, value),
        }
    }
    let body = |bytes: Vec<u8>, trailers: Option<hyper::HeaderMap>| {
        Full::new(Bytes::from(bytes)).with_trailers(std::future::ready(trailers.map(Ok)))
    };
    let trailers = (!trailers.is_empty()).then_some(trailers);
    Ok(response.body(body(reply.body, trailers)).unwrap_or_else(|e| {
        let mut wrong = hyper::Response::new(body(format!("the handler's reply: {e}").into_bytes(), None));
        *wrong.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        wrong
    }))
}
