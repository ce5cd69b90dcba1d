//! A quota that holds over all edges, by envoyproxy/ratelimit and Redis: asked by Envoy's own `ratelimit` filter behind Sluice, and
//! by the policy itself (`scope: fleet`).

use super::call::Call;
use super::walk::{Seen, Walk, check};
use crate::Result;

/// A minute's quota of a partner in envoy-configs/compose/ratelimit.yaml.
const QUOTA: usize = 10;

/// What the rule `reports` of envoy-configs/compose/edge.policy.yaml gives in a minute.
const REPORTS: usize = 10;

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter(
        "A quota over all edges: Envoy's rate-limit filter, with the consumer that Sluice has found",
    );
    let call = Call::get("/partner/bulk").header("x-api-key", "demo-key-acme");
    let line = format!("for i in $(seq {}); do {}; done", QUOTA + 1, walk.curl(&call));
    walk.several("A partner has ten bulk requests a minute, wherever they arrive", &line, |walk| {
        let (served, last) = use_up(walk, &call, QUOTA)?;
        let forged = walk.send(&call.clone().header("x-consumer", "globex"))?;
        Ok((
            vec![
                format!("→ {served} are served, then {}", last.answer.status),
                format!("  {}", last.answer.text().trim()),
                format!("  x-ratelimit-limit: {}", last.answer.header("x-ratelimit-limit").unwrap_or("-")),
            ],
            vec![
                check("some are served", served > 0),
                last.status(429),
                last.header("retry-after", ""),
                last.header("content-type", "application/problem+json"),
                last.header("x-ratelimit-limit", "10"),
                last.reason("request_rate_limited"),
                check("who says to be another partner is not believed", forged.answer.status == 429),
            ],
        ))
    })?;
    walk.step(
        "Without a good key nobody gets as far as the quota",
        &Call::get("/partner/bulk").header("x-consumer", "acme"),
        |seen| vec![seen.status(401), seen.reason("authn.")],
    )?;
    by_the_policy(walk)
}

/// Asks until it is refused: how often it was served, and the refusal. The service counts by the minutes of the clock, so a new one may begin once
/// meanwhile.
fn use_up<'m>(walk: &Walk<'m>, call: &Call, quota: usize) -> Result<(usize, Seen<'m>)> {
    let mut served = 0;
    let mut last = walk.send(call)?;
    while last.answer.status == 200 && served < 2 * quota {
        served += 1;
        last = walk.send(call)?;
    }
    Ok((served, last))
}

fn by_the_policy(walk: &mut Walk) -> Result<()> {
    let call = Call::get("/partner/reports").header("x-api-key", "demo-key-acme");
    let line = format!("for i in $(seq {}); do {}; done", REPORTS + 1, walk.curl(&call));
    walk.several(
        "The same without that filter: the policy asks the service (`scope: fleet`)",
        &line,
        |walk| {
            let (served, last) = use_up(walk, &call, REPORTS)?;
            Ok((
                vec![
                    format!("→ {served} are served, then {}", last.answer.status),
                    format!("  ratelimit-policy: {}", last.answer.header("ratelimit-policy").unwrap_or("-")),
                ],
                vec![
                    check("some are served", served > 0),
                    last.status(429),
                    last.header("retry-after", ""),
                    last.header("ratelimit-policy", "q=10"),
                    last.reason("rate_limit.exceeded.rule:reports"),
                ],
            ))
        },
    )
}
