//! `rateLimit`: how often.

use std::net::Ipv4Addr;

use super::call::Call;
use super::walk::{Walk, check};
use crate::{Answer, Result};

/// The bursts of the edge's policy.
const PER_KEY: usize = 3;
const PER_ADDRESS: usize = 5;

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Rate limits: how often");
    let call = Call::get("/partner/orders").header("x-api-key", "demo-key-globex");
    let line = format!("for i in 1 2 3 4; do {}; done", walk.curl(&call));
    walk.several(
        "A partner's key may call three times a minute; the fourth is told when to come back",
        &line,
        |walk| {
            let answers: Vec<Answer> =
                (0..=PER_KEY).map(|_| Ok(walk.send(&call)?.answer)).collect::<Result<_>>()?;
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            let last = walk.send(&call)?;
            Ok((
                vec![
                    format!("→ {statuses:?}"),
                    format!("  retry-after: {}", last.answer.header("retry-after").unwrap_or("-")),
                    format!("  ratelimit: {}", last.answer.header("ratelimit").unwrap_or("-")),
                    format!("  ratelimit-policy: {}", last.answer.header("ratelimit-policy").unwrap_or("-")),
                ],
                vec![
                    check("three are served", statuses[..PER_KEY].iter().all(|status| *status == 200)),
                    last.status(429),
                    last.header("retry-after", ""),
                    last.header("ratelimit", ""),
                    last.reason("rate_limit.exceeded.rule:per-partner"),
                ],
            ))
        },
    )?;
    let (one, other) = (Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::new(127, 0, 0, 4));
    let call = Call::get("/catalog");
    let line = format!("for i in 1 2 3 4 5 6; do {}; done", walk.curl(&call.clone().from(one)));
    walk.several("Without a credential, each client address has five a minute of its own", &line, |walk| {
        let mut statuses = Vec::new();
        for _ in 0..=PER_ADDRESS {
            statuses.push(walk.send(&call.clone().from(one))?.answer.status);
        }
        let neighbour = walk.send(&call.clone().from(other))?.answer.status;
        let forged = walk.send(&call.clone().from(one).header("x-forwarded-for", "192.0.2.7"))?;
        Ok((
            vec![format!("→ {one}: {statuses:?}"), format!("→ {other}: {neighbour}")],
            vec![
                check("five are served", statuses[..PER_ADDRESS].iter().all(|status| *status == 200)),
                check("the sixth is limited", statuses[PER_ADDRESS] == 429),
                check("another address is served", neighbour == 200),
                check("x-forwarded-for doesn't help", forged.answer.status == 429),
                forged.reason("rate_limit.exceeded.rule:per-address"),
            ],
        ))
    })
}
