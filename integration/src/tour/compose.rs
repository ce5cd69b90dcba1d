//! The demo of docker-compose.yml, as a container in the edge's network namespace sees it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Demo, Lines};
use crate::envoy::replace_filter;
use crate::{AccessLogEntry, Client, Error, Proxy, Request, Result, document, wait_until_some};

/// The ports of the edge, in its own network namespace.
const EDGE: u16 = 10000;
const ADMIN: u16 = 9901;

/// The port of the issuer of the contractors' tokens, in a container of its own.
const ISSUER: u16 = 10121;

/// What `prepare` has written for the edge, and the documents that it was made from: the mounts of docker-compose.yml.
const PREPARED_FILTER: &str = "/prepared/edge/policy.ecds.yaml";
const POLICY: &str = "/policies/edge.policy.yaml";

/// Envoy hands its spans over every 200 ms (`tracing.opentelemetry.flush_interval_ms` in the bootstraps), Jaeger's batches take as
/// long again.
const SPANS: Duration = Duration::from_secs(30);

/// The demo of docker-compose.yml. What a proxy did is read from its spans, which carry what its access log has too: a
/// container can't read the logs of others.
pub struct Compose {
    admin: Client,
    jaeger: Client,
    prometheus: Client,
    filter: String,
    policy: String,
}

/// A span of a proxy.
#[derive(Debug, Clone)]
pub struct Span {
    /// The service that made it: `edge`, `orders-sidecar`, `inventory-sidecar`.
    pub service: String,
    /// Its id.
    pub id: String,
    /// The id of the span that it continues.
    pub parent: Option<String>,
    /// Its tags.
    pub tags: Value,
}

impl Compose {
    /// The demo that runs around this container.
    ///
    /// # Errors
    /// When this is not such a container.
    pub fn around() -> Result<Self> {
        let read = |file: &str| {
            std::fs::read_to_string(file).map_err(|e| Error::Missing {
                what: format!("{file} ({e})"),
                remedy: "this is for the service `tour` of docker-compose.yml: docker compose run --rm tour"
                    .to_owned(),
            })
        };
        Ok(Self {
            admin: Client::new(ADMIN),
            jaeger: Client::at("jaeger", 16686),
            prometheus: Client::at("prometheus", 9090),
            filter: read(PREPARED_FILTER)?,
            policy: read(POLICY)?,
        })
    }

    /// The trace that a request belongs to and its spans, once there are `enough` of them: each proxy hands over its own.
    pub fn spans(&self, request_id: &str, enough: impl Fn(&[Span]) -> bool) -> Result<(String, Vec<Span>)> {
        let tags = percent_encoded(&json!({ "guid:x-request-id": request_id }).to_string());
        let query = Request::get(&format!("/api/traces?service=edge&limit=5&tags={tags}"));
        wait_until_some(&format!("the spans of request {request_id} in Jaeger"), SPANS, || {
            let found = self.jaeger.send(&query).ok()?.json();
            let there = trace_in(&found).filter(|(_, spans)| enough(spans));
            if there.is_none() {
                std::thread::sleep(Duration::from_millis(50));
            }
            there
        })
    }

    /// The series of a PromQL query, now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/query?query={}", percent_encoded(expression));
        let answer = self.prometheus.send(&Request::get(&path))?.json();
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.clone()),
            None => Err(Error::Other(format!("Prometheus can't answer {expression:?}: {answer}"))),
        }
    }
}

impl Demo for Compose {
    fn edge_port(&self) -> u16 {
        EDGE
    }

    fn logged(&self, proxy: Proxy, request_id: &str, _: bool) -> Option<AccessLogEntry> {
        let of = |spans: &[Span], proxy| {
            spans.iter().find(|span| span.tags["proxy"] == inbound_of(proxy)).cloned()
        };
        let (_, spans) = self.spans(request_id, |spans| of(spans, Proxy::Edge).is_some()).ok()?;
        if !has_reached(&of(&spans, Proxy::Edge)?, proxy) {
            return None;
        }
        let (trace, spans) = self.spans(request_id, |spans| of(spans, proxy).is_some()).ok()?;
        let span = of(&spans, proxy)?;
        let tag = |name: &str| span.tags[name].clone();
        let status = tag("http.status_code");
        let status =
            status.as_str().and_then(|status| status.parse::<u16>().ok()).map_or(status, Value::from);
        Some(json!({
            "proxy": tag("proxy"), "request_id": request_id, "status": status, "details": tag("response.details"),
            "decision": tag("sluice.decision"), "user": tag("enduser.id"), "peer": tag("peer.identity"),
            "traceparent": format!("00-{trace}-{}-01", span.id),
        }))
    }

    fn edge_metrics(&self) -> Result<String> {
        Ok(self.admin.send(&Request::get("/stats/prometheus"))?.text())
    }

    fn edge_policy(&self) -> Result<String> {
        Ok(self.policy.clone())
    }

    fn reload_edge(&self, policy: &str) -> Result<bool> {
        if policy == self.policy {
            return replace_filter(&self.admin, PREPARED_FILTER.as_ref(), &self.filter);
        }
        let policy = document::from_yaml(policy)?.to_string();
        let mut response = document::from_yaml(&self.filter)?;
        let configuration = response.pointer_mut("/resources/0/typed_config/config/configuration/value");
        *configuration.ok_or_else(|| format!("{PREPARED_FILTER} has no policy"))? = Value::from(policy);
        replace_filter(&self.admin, PREPARED_FILTER.as_ref(), &format!("{response:#}"))
    }

    fn issuer(&self) -> Client {
        Client::at("issuer", ISSUER)
    }

    fn lines(&self) -> Lines {
        Lines {
            this_program: "docker compose exec -T orders-v1 sluice-tour".to_owned(),
            from_another_address: "(from a container in the edge's network namespace) ".to_owned(),
            // Of no network that leads out: its port is not published.
            issuer: format!("http://issuer:{ISSUER}"),
            metrics: "curl -sG http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=sluice_decisions{proxy=\"edge\"}'"
                .to_owned(),
            access_log: None,
            reload: "$EDITOR envoy-configs/compose/edge.policy.yaml && docker compose run --rm prepare".to_owned(),
        }
    }
}

/// What a proxy calls itself where requests come in: in its access log and in the tag `proxy`.
fn inbound_of(proxy: Proxy) -> &'static str {
    match proxy {
        Proxy::Edge => "edge",
        Proxy::Orders => "orders-inbound",
        Proxy::Inventory => "inventory-inbound",
    }
}

/// Whether a request has come as far as `proxy`, by what the edge's span says: so that nobody waits for a span that will never be. (The
/// parts of a composed answer are requests of their own, with traces of their own.)
fn has_reached(edge: &Span, proxy: Proxy) -> bool {
    let tag = |name: &str| edge.tags[name].as_str().unwrap_or_default();
    let forwarded = tag("response.details") == "via_upstream";
    match proxy {
        Proxy::Edge => true,
        Proxy::Orders => forwarded && tag("upstream_cluster") == "orders",
        // `orders` asks for the stock when the query says so.
        Proxy::Inventory => {
            forwarded && (tag("upstream_cluster") == "inventory" || tag("http.url").contains("with=stock"))
        }
    }
}

/// The id and the spans of the only trace in an answer of Jaeger's.
fn trace_in(answer: &Value) -> Option<(String, Vec<Span>)> {
    let [trace] = answer["data"].as_array()?.as_slice() else { return None };
    let spans = trace["spans"].as_array()?.iter().filter_map(|span| span_in(trace, span)).collect();
    Some((trace["traceID"].as_str()?.to_owned(), spans))
}

fn span_in(trace: &Value, span: &Value) -> Option<Span> {
    let process = &trace["processes"][span["processID"].as_str()?];
    let tags = span["tags"].as_array()?.iter();
    let tags = tags.filter_map(|tag| Some((tag["key"].as_str()?.to_owned(), tag["value"].clone())));
    Some(Span {
        service: process["serviceName"].as_str()?.to_owned(),
        id: span["spanID"].as_str()?.to_owned(),
        parent: span["references"][0]["spanID"].as_str().map(str::to_owned),
        tags: tags.collect::<serde_json::Map<_, _>>().into(),
    })
}

/// For a query in a URL: all but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(percent_encoded("{\"a:b\": 1}~"), "%7B%22a%3Ab%22%3A%201%7D~");
    }

    #[test]
    fn a_span_of_the_edge_says_how_far_a_request_has_come() {
        let edge = |details: &str, cluster: &str, url: &str| Span {
            service: "edge".to_owned(),
            id: "a".to_owned(),
            parent: None,
            tags: json!({ "response.details": details, "upstream_cluster": cluster, "http.url": url }),
        };
        let reached = |span: &Span| Proxy::ALL.map(|proxy| has_reached(span, proxy));
        assert_eq!(
            reached(&edge("authn.token_missing", "", "http://a/orders/7?with=stock")),
            [true, false, false]
        );
        assert_eq!(reached(&edge("via_upstream", "orders", "http://a/orders/7")), [true, true, false]);
        assert_eq!(
            reached(&edge("via_upstream", "orders", "http://a/orders/7?with=stock")),
            [true, true, true]
        );
        assert_eq!(
            reached(&edge("via_upstream", "inventory", "http://a/inventory/teapot")),
            [true, false, true]
        );
        let composed = edge("compose.composed.rule:overview", "", "http://a/overview/7");
        assert_eq!(reached(&composed), [true, false, false]);
    }

    #[test]
    fn spans_are_read_with_their_parents_and_tags() {
        let answer = json!({ "data": [{
            "traceID": "t", "processes": { "p1": { "serviceName": "edge" } },
            "spans": [
                { "spanID": "a", "processID": "p1", "references": [], "tags": [{ "key": "proxy", "value": "edge" }] },
                { "spanID": "b", "processID": "p1", "references": [{ "spanID": "a" }], "tags": [] },
            ],
        }]});
        let (trace, spans) = trace_in(&answer).unwrap();
        assert_eq!((trace.as_str(), spans.len()), ("t", 2));
        assert_eq!((spans[0].parent.clone(), spans[0].tags["proxy"].clone()), (None, json!("edge")));
        assert_eq!((spans[1].parent.as_deref(), spans[1].service.as_str()), (Some("a"), "edge"));
    }
}
