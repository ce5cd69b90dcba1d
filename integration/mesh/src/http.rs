//! HTTP/1.1 to any address of the bridge, for any host.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sluice_integration::{Answer, Error, Request, Result};

/// A client whose connections are opened by whoever polls it.
pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One with a connection for each request: one that is kept would be served by a listener that was replaced.
pub(crate) fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
}

/// Sends a request and reads the answer to its end.
pub(crate) async fn send(client: HttpClient, to: String, request: Request) -> Result<Answer> {
    let started = Instant::now();
    let failed =
        |e: &dyn std::fmt::Display| Error::Other(format!("{} {} at {to}: {e}", request.method, request.path));
    let mut built =
        hyper::Request::builder().method(request.method.as_str()).uri(format!("http://{to}{}", request.path));
    for (name, value) in &request.headers {
        built = built.header(name.as_str(), value.as_slice());
    }
    let built = built.body(Full::new(Bytes::from(request.body.clone()))).map_err(|e| failed(&e))?;
    let exchange = async {
        let response = client
            .request(built)
            .await
            .map_err(|e| failed(&std::error::Error::source(&e).map_or(e.to_string(), ToString::to_string)))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| failed(&e))?.to_bytes().to_vec();
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Ok(Answer { status: head.status.as_u16(), headers, body, took: started.elapsed() })
    };
    tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| failed(&"no answer in time"))?
}
