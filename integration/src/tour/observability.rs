//! What Jaeger and Prometheus know of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::call::Call;
use super::compose::{Compose, Span};
use super::walk::{Walk, check};
use crate::{Result, wait_until};

/// The proxies by the names of their services.
const SERVICES: [&str; 3] = ["edge", "inventory-sidecar", "orders-sidecar"];

/// The proxies by the tag `proxy` of their spans, from the last to the first.
const CHAIN: [&str; 4] = ["inventory-inbound", "orders-outbound", "orders-inbound", "edge"];

pub(super) fn steps(walk: &mut Walk, demo: &Compose) -> Result<()> {
    walk.chapter("What was seen: Jaeger and Prometheus");
    let call = Call::get("/orders/7?with=stock").token("--sub alice --scope orders:read");
    let line = format!("{}; open http://127.0.0.1:16686/search?service=edge", walk.curl(&call));
    walk.several(
        "One request is one trace of four spans, each the child of the one before",
        &line,
        |walk| {
            let seen = walk.send(&call)?;
            let id = seen.answer.header("x-request-id").unwrap_or_default().to_owned();
            let (trace, spans) = demo.spans(&id, |spans| spans.len() >= CHAIN.len())?;
            let chain = chain_to_the_root(&spans, "inventory-inbound");
            let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
            let decided = spans.iter().filter(|span| {
                span.tags["sluice.decision"].as_str().is_some_and(|decision| decision.starts_with("allowed"))
            });
            Ok((
                vec![format!("→ trace {trace}: {}", chain.join(" ← "))],
                vec![
                    seen.status(200),
                    check("of three proxies", services == SERVICES.into()),
                    check(
                        "edge, orders in, orders out, inventory in",
                        chain == CHAIN && spans.len() == CHAIN.len(),
                    ),
                    check("three of them decided, and say what", decided.count() == 3),
                ],
            ))
        },
    )?;
    let query = "sum by (proxy, section, outcome) (sluice_decisions)";
    let line = format!("curl -sG http://127.0.0.1:9090/api/v1/query --data-urlencode 'query={query}'");
    walk.several("Prometheus has the decisions of all three proxies", &line, |_| {
        let mut series = Vec::new();
        let proxies = |series: &[serde_json::Value]| -> BTreeSet<String> {
            series.iter().filter_map(|one| Some(one["metric"]["proxy"].as_str()?.to_owned())).collect()
        };
        let all = BTreeSet::from(SERVICES.map(str::to_owned));
        // It scrapes every five seconds.
        let there = wait_until("the decisions of all proxies", Duration::from_secs(60), || {
            series = demo.query(query).unwrap_or_default();
            proxies(&series) == all
        });
        let shown = |one: &serde_json::Value| {
            let label = |name: &str| one["metric"][name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}: {}", label("proxy"), label("section"), label("outcome"), one["value"][1])
        };
        Ok((series.iter().map(shown).collect(), vec![check("of all three", there.is_ok())]))
    })
}

/// The names of the spans from the one of `proxy` up to the root.
fn chain_to_the_root(spans: &[Span], proxy: &str) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = spans.iter().find(|span| span.tags["proxy"] == proxy);
    while let Some(span) = next
        && chain.len() < spans.len()
    {
        chain.push(span.tags["proxy"].as_str().unwrap_or("?").to_owned());
        next = spans.iter().find(|other| span.parent.as_ref() == Some(&other.id));
    }
    chain
}
