//! The demo's services: small real HTTP servers that answer with what reached them.

mod health;
mod issuer;
mod network;
mod prepare;

pub use health::healthy;
pub use network::leave_with_network;
pub use prepare::Preparation;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::upstream::{Received, Reply, serve_forever};
use crate::{Client, Request, Result};

/// The headers that `orders` passes on when it calls `inventory`: the trace (W3C Trace Context), the request's id, and who the
/// edge found the caller to be.
const PASSED_ON: [&str; 7] =
    ["traceparent", "tracestate", "x-request-id", "x-user", "x-user-provider", "x-roles", "x-forwarded-for"];

/// The name under which `orders` calls `inventory` through its sidecar.
const INVENTORY_HOST: &str = "inventory.shop";

/// A service of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `GET /orders/{id}`, with `?with=stock` also what `inventory` says; `POST /orders`.
    Orders,
    /// `GET /inventory/{article}`.
    Inventory,
    /// Signs the tokens of contractors, with keys that change: `GET /keys`, `POST /token`, `POST /rotate`.
    Issuer,
}

impl Service {
    /// The service of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "orders" => Some(Service::Orders),
            "inventory" => Some(Service::Inventory),
            "issuer" => Some(Service::Issuer),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Service::Orders => "orders",
            Service::Inventory => "inventory",
            Service::Issuer => "issuer",
        }
    }
}

/// Serves on `address` until the process ends. `outbound` is where the service's calls go: its sidecar takes them there.
pub fn serve(service: Service, version: &str, address: SocketAddr, outbound: Client) -> Result<()> {
    let version = version.to_owned();
    let issuer = Arc::new(issuer::Issuer::new()?);
    serve_forever(service.name(), address, move |request| {
        let (version, outbound, issuer) = (version.clone(), outbound.clone(), issuer.clone());
        async move {
            match service {
                Service::Orders => orders(&request, &version, &outbound).await,
                Service::Inventory => inventory(&request, &version),
                Service::Issuer => issuer.answer(&request),
            }
        }
    })
}

async fn orders(request: &Received, version: &str, sidecar: &Client) -> Reply {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut body = json!({ "service": "orders", "version": version, "received": received(request) });
    let Some(id) = path.strip_prefix("/orders/").filter(|id| !id.is_empty()) else {
        return Reply::json(if request.method == "POST" { 201 } else { 200 }, &body);
    };
    body["order"] = json!({ "id": id, "article": "teapot", "count": 2 });
    if query.split('&').any(|pair| pair == "with=stock") {
        let mut call = Request::get("/inventory/teapot").header("host", INVENTORY_HOST);
        for (name, value) in request.headers.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())) {
            call = call.header(name, value);
        }
        // What `inventory` or a proxy on the way answered is shown, good or bad; only when nothing answers do we fail.
        match sidecar.send_async(&call).await {
            Ok(answer) => body["stock"] = json!({ "status": answer.status, "answer": answer.json() }),
            Err(error) => {
                let problem = json!({ "title": "inventory can't be called", "status": 502, "detail": error.to_string() });
                return Reply::json(502, &problem);
            }
        }
    }
    Reply::json(200, &body)
}

fn inventory(request: &Received, version: &str) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    let mut body = json!({ "service": "inventory", "version": version, "received": received(request) });
    if let Some(article) = path.strip_prefix("/inventory/").filter(|article| !article.is_empty()) {
        body["stock"] = json!({ "article": article, "count": 42 });
    }
    Reply::json(200, &body)
}

fn received(request: &Received) -> Value {
    let mut received = request.to_json();
    if let Some(object) = received.as_object_mut() {
        object.remove("at");
    }
    received
}
