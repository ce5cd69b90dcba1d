//! The services: plain HTTP, knowing nothing of the mesh.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use sluice_integration::{Answer, Error, Received, Reply, Request, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::http::{HttpClient, send};
use crate::network::Namespace;

/// The port of every service.
pub const PORT: u16 = 8080;

/// How long a port may be held by a service that was dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a service passes on when it calls another: the trace, the request's id, and who the edge found the caller to be.
const PASSED_ON: [&str; 6] =
    ["traceparent", "tracestate", "x-request-id", "x-user", "x-user-provider", "x-roles"];

type Answerer = dyn Fn(&Received) -> Option<Reply> + Send + Sync;

/// A running service. It answers 200 with what reached it; asked for a path with `?call=<address><path>` it makes that call
/// first and shows the answer.
pub struct Service {
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    name: String,
    received: Mutex<Vec<Received>>,
    instead: Mutex<Option<Arc<Answerer>>>,
    client: HttpClient,
    held: watch::Sender<bool>,
}

impl Service {
    /// Serves in a namespace.
    pub fn start(name: &str, namespace: &Namespace, port: u16) -> Result<Self> {
        let listener = namespace.wait_for(listen(port))?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            received: Mutex::default(),
            instead: Mutex::default(),
            client: namespace.client(),
            held: watch::Sender::new(false),
        });
        let serving = namespace.spawn(serve(listener, shared.clone()));
        Ok(Self { shared, serving })
    }

    /// Every request since [`Service::forget`], in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        lock(&self.shared.received).clear();
    }

    /// From now on answers what `answerer` gives, where it gives something.
    pub fn answer(&self, answerer: impl Fn(&Received) -> Option<Reply> + Send + Sync + 'static) {
        *lock(&self.shared.instead) = Some(Arc::new(answerer));
    }

    /// From now on takes requests and keeps their answers back, until [`Service::release`].
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Gives the answers that were kept back, and all others at once again.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Answers as in the beginning, and forgets.
    pub fn reset(&self) {
        self.release();
        *lock(&self.shared.instead) = None;
        self.forget();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Listens on a port of this namespace: a service that has just been dropped may still hold it for a moment.
async fn listen(port: u16) -> Result<TcpListener> {
    let started = Instant::now();
    loop {
        match TcpListener::bind(("0.0.0.0", port)).await {
            Err(e) if e.kind() == ErrorKind::AddrInUse && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => return outcome.map_err(|e| Error::Other(format!("port {port}: {e}"))),
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else { continue };
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, shared.clone()));
            // A client that goes away is nothing to report.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> std::result::Result<hyper::Response<Full<Bytes>>, Infallible> {
    let request = Received::of(request, shared.name.clone()).await;
    lock(&shared.received).push(request.clone());
    // It fails only when the service is no more.
    let _ = shared.held.subscribe().wait_for(|held| !held).await;
    let instead = lock(&shared.instead).clone();
    let reply = match instead.and_then(|answerer| answerer(&request)) {
        Some(reply) => reply,
        None => echo(&request, &shared).await,
    };
    tokio::time::sleep(reply.after).await;
    let mut response = hyper::Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap_or_default();
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (hyper::header::HeaderName::try_from(name), value.try_into()) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

async fn echo(request: &Received, shared: &Shared) -> Reply {
    let mut body = request.to_json();
    if let Some((_, call)) = request.path.split_once("?call=") {
        body["called"] = match call_on(call, request, shared).await {
            Ok(answer) => json!({ "status": answer.status, "answer": answer.json(), "text": answer.text() }),
            Err(error) => Value::String(error.to_string()),
        };
    }
    Reply::json(200, &body)
}

/// Calls `<host>@<address><path>` on behalf of a request.
async fn call_on(call: &str, request: &Received, shared: &Shared) -> Result<Answer> {
    let (host, rest) = call.split_once('@').ok_or("a call is <host>@<address><path>")?;
    let (address, path) = rest.split_at(rest.find('/').ok_or("a call has a path")?);
    let mut onward = Request::get(path).header("host", host);
    for (name, value) in request.headers.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())) {
        onward = onward.header(name, value);
    }
    send(shared.client.clone(), address.to_owned(), onward).await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
