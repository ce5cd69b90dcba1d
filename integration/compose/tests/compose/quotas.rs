//! The quota over all edges.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sluice_integration::{Answer, Client, Error, Request, Result, wait_until};

use crate::{Demo, EDGE, must, recovery, start};

/// What ratelimit.yaml gives `globex` in an hour of the clock.
const QUOTA: usize = 5;

/// What the rule `reports` of the edge's policy gives each consumer in a minute of the clock, over all edges.
const REPORTS: usize = 10;

/// What the edge's policy gives each consumer in a minute, whatever the service says.
const SHARE: usize = 30;

/// A partner's quota is used up at one edge: a second one and a new one refuse as well.
pub(crate) fn check(demo: &Demo) -> Result<()> {
    let hour = this_hour();
    let outcome = shared(demo);
    if outcome.is_err() && this_hour() != hour {
        println!("   a new hour has begun meanwhile: once more");
        return shared(demo);
    }
    outcome
}

fn shared(demo: &Demo) -> Result<()> {
    let edge = Client::new(EDGE);
    let second = SecondEdge::start(demo)?;
    // The page has used it up; here it is asked for at both in turn.
    demo.project.done(&["exec", "-T", "redis", "redis-cli", "flushall"])?;
    let mut statuses = Vec::new();
    for number in 0..QUOTA {
        let client = if number % 2 == 0 { &edge } else { &second.client };
        statuses.push(bulk(client, "demo-key-globex")?.status);
    }
    must(format!("two edges share a quota: {statuses:?}"), statuses.iter().all(|status| *status == 200))?;
    let (here, there) = (bulk(&edge, "demo-key-globex")?, bulk(&second.client, "demo-key-globex")?);
    must(
        format!("and refuse when it is used up: {} and {}", here.status, there.status),
        is_over_quota(&here) && is_over_quota(&there),
    )?;
    let other = bulk(&edge, "demo-key-acme")?;
    must(format!("another partner has a quota of its own: {}", other.status), other.status == 200)?;
    fleet(&edge, &second.client)?;
    drop(second);

    recovery::kill(demo, "edge")?;
    start::healthy(demo, "edge")?;
    let after = bulk(&Client::new(EDGE), "demo-key-globex")?;
    must(format!("an edge that was killed still refuses: {}", after.status), is_over_quota(&after))
}

/// A rule of the policy with `scope: fleet`: what one edge gives the other does not give again.
fn fleet(edge: &Client, second: &Client) -> Result<()> {
    // Beginning with a new minute, which is long enough for all of it; if it is not, with the next one.
    for _ in 0..3 {
        let before = this_minute();
        wait_until("a new minute", Duration::from_secs(90), || {
            std::thread::sleep(Duration::from_millis(50));
            this_minute() != before
        })?;
        let minute = this_minute();
        let mut statuses = Vec::new();
        for _ in 0..REPORTS {
            for client in [edge, second] {
                let request = Request::get("/partner/reports").header("x-api-key", "demo-key-globex");
                statuses.push(client.send(&request)?.status);
            }
        }
        if this_minute() == minute {
            let (served, refused) = statuses.split_at(REPORTS);
            return must(
                format!("two edges share a limit of the policy: {statuses:?}"),
                served.iter().all(|status| *status == 200) && refused.iter().all(|status| *status == 429),
            );
        }
    }
    Err("no minute was long enough".into())
}

/// What was counted is in Redis' volume.
pub(crate) fn without_redis(demo: &Demo) -> Result<()> {
    let edge = Client::new(EDGE);
    let mut last = Answer::default();
    for _ in 0..=QUOTA {
        last = bulk(&edge, "demo-key-globex")?;
    }
    must(format!("the quota is used up: {}", last.status), is_over_quota(&last))?;
    recovery::kill(demo, "redis")?;
    start::healthy(demo, "redis")?;
    // The service notices connection by connection that Redis is another.
    wait_until("the quota to be asked for again", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(100));
        last = bulk(&edge, "demo-key-globex").unwrap_or_default();
        last.header("x-ratelimit-limit").is_some()
    })?;
    must(format!("and still is when Redis was killed: {}", last.status), is_over_quota(&last))
}

/// While the service is down requests go on, up to the share of this edge.
pub(crate) fn without_the_service(demo: &Demo) -> Result<()> {
    demo.project.done(&["stop", "-t", "2", "ratelimit"])?;
    let edge = Client::new(EDGE);
    let mut statuses = Vec::new();
    let mut last = Answer::default();
    // Until it is used up: while one asks slowly, some of it comes back.
    for _ in 0..10 * SHARE {
        last = bulk(&edge, "demo-key-acme")?;
        statuses.push(last.status);
        if last.status != 200 {
            break;
        }
    }
    let served = statuses.iter().filter(|status| **status == 200).count();
    let anonymous = edge.send(&Request::get("/partner/bulk"))?;
    demo.project.done(&["start", "ratelimit"])?;
    start::healthy(demo, "ratelimit")?;
    must(format!("without the service {served} are served"), served > 10)?;
    must(
        format!("and then the edge's own share is used up: {}", last.text()),
        last.status == 429 && last.text().contains("rate_limit.exceeded.rule:bulk-here"),
    )?;
    must(format!("none without a key: {}", anonymous.status), anonymous.status == 401)
}

fn bulk(client: &Client, key: &str) -> Result<Answer> {
    client.send(&Request::get("/partner/bulk").header("x-api-key", key))
}

/// Refused by Envoy's filter, in the form that edge.envoy.yaml gives it.
fn is_over_quota(answer: &Answer) -> bool {
    answer.status == 429
        && answer.json()["reason"] == "request_rate_limited"
        && answer.header("content-type") == Some("application/problem+json")
        && answer.header("retry-after").is_some()
}

fn this_hour() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() / 3600)
}

fn this_minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() / 60)
}

/// A second container of the service `edge`, beside the first; removed when dropped.
struct SecondEdge<'d> {
    demo: &'d Demo<'d>,
    client: Client,
}

/// Its name.
const SECOND: &str = "sluice-compose-test-second-edge";

impl<'d> SecondEdge<'d> {
    fn start(demo: &'d Demo<'d>) -> Result<Self> {
        let _ = demo.engine.docker(&["rm", "-f", SECOND]);
        demo.project.done(&["run", "-d", "--no-deps", "--name", SECOND, "edge"])?;
        let text = demo.engine.docker(&["inspect", SECOND])?;
        let inspected: Value = serde_json::from_str(&text).map_err(|e| Error::Other(e.to_string()))?;
        let networks = inspected[0]["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
        let front = networks.iter().find(|(name, _)| name.ends_with("_front"));
        let address = front.and_then(|(_, network)| network["IPAddress"].as_str()).unwrap_or_default();
        let second = Self { demo, client: Client::at(address, EDGE) };
        wait_until("a second edge", Duration::from_secs(180), || {
            std::thread::sleep(Duration::from_millis(100));
            second.client.send(&Request::get("/healthz")).is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(second)
    }
}

impl Drop for SecondEdge<'_> {
    fn drop(&mut self) {
        let _ = self.demo.engine.docker(&["rm", "-f", SECOND]);
    }
}
