//! A limit that two proxies share: `scope: fleet`, counted by envoyproxy/ratelimit in a Redis.

use std::time::Duration;

use super::walk::{Walk, check};
use crate::{Answer, Error, Gateway, RateLimitService, Request, Result, wait_until};

/// What a partner may ask for in a year, over both proxies: no window ends while we look on.
const LIMIT: usize = 6;

/// What each of them gives while the service is away.
const SHARE: usize = LIMIT / 2;

const POLICY: &str = "
version: 1
telemetry: {}
rateLimit:
  service: { cluster: ratelimit, timeout: 2s, expectedProxies: 2 }
  rules:
    - { name: shared, key: [header.x-partner], limit: 6/year, scope: fleet }
";

const TITLE: &str = "A limit that two proxies share, and what holds while the service is away";

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Limits that many proxies share: envoyproxy/ratelimit and Redis");
    let service = match RateLimitService::start("domain: sluice\n") {
        Ok(service) => service,
        Err(missing @ Error::Missing { .. }) => {
            walk.leave_out(TITLE, &missing.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let proxy = || Gateway::builder().policy(POLICY).http2_cluster("ratelimit", service.port()).start();
    let two = [proxy()?, proxy()?];
    shared(walk, &two)?;
    away(walk, &two, service)
}

fn call(proxy: &Gateway, partner: &str) -> Result<Answer> {
    proxy.client().send(&Request::get("/orders/7").header("x-partner", partner))
}

fn line(two: &[Gateway; 2], times: usize, partner: &str) -> String {
    let [one, other] = two.each_ref().map(Gateway::port);
    format!(
        "for i in $(seq {times}); do for p in {one} {other}; do curl -i -H 'x-partner: {partner}' http://127.0.0.1:{p}/orders/7; done; done",
        p = "$p"
    )
}

fn shared(walk: &mut Walk, two: &[Gateway; 2]) -> Result<()> {
    let line = line(two, LIMIT, "acme");
    walk.several("Two proxies give six requests together, and not one more", &line, |_| {
        let mut answers = Vec::new();
        for _ in 0..LIMIT {
            for proxy in two {
                answers.push(call(proxy, "acme")?);
            }
        }
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let served = statuses.iter().filter(|status| **status == 200).count();
        let last = answers.last().cloned().unwrap_or_default();
        let other = call(&two[0], "globex")?;
        Ok((
            vec![
                format!("→ {statuses:?}"),
                format!("  ratelimit-policy: {}", last.header("ratelimit-policy").unwrap_or("-")),
                format!("  {}", last.text().trim()),
            ],
            vec![
                check("six are served", served == LIMIT),
                check("the first six", statuses[..LIMIT].iter().all(|status| *status == 200)),
                check("the rest is told when to come back", last.header("retry-after").is_some()),
                check("reason", last.text().contains("rate_limit.exceeded.rule:shared")),
                check("another partner is served", other.status == 200),
            ],
        ))
    })
}

fn away(walk: &mut Walk, two: &[Gateway; 2], mut service: RateLimitService) -> Result<()> {
    let line = format!("kill {}; {}", service.service().id(), line(two, LIMIT, "initech"));
    walk.several(
        "The service is killed: each gives its share, half; it comes back: it decides again",
        &line,
        |_| {
            service.kill();
            let mut served = [0, 0];
            let mut last = Answer::default();
            for _ in 0..LIMIT {
                for (proxy, served) in two.iter().zip(&mut served) {
                    last = call(proxy, "initech")?;
                    *served += usize::from(last.status == 200);
                }
            }
            service.restart()?;
            let decides = || {
                let answer = call(&two[0], "umbrella").unwrap_or_default();
                answer.header("ratelimit-policy").is_some_and(|policy| policy.contains("q=6"))
            };
            let back = wait_until("the service to decide again", Duration::from_secs(60), decides).is_ok();
            Ok((
                vec![format!("→ {served:?} are served"), format!("  {}", last.text().trim())],
                vec![
                    check("each gives its share", served == [SHARE, SHARE]),
                    check("reason", last.text().contains("rate_limit.share_exceeded.rule:shared")),
                    check("the service decides again", back),
                ],
            ))
        },
    )
}
