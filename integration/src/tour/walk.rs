//! The walk: a step is printed, done, shown and checked.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::Value;

use super::call::Call;
use crate::{Answer, Mesh, Proxy, Result, wait_until_some};

/// Headers of an answer that tell something about a policy.
const TELLING: [&str; 7] = [
    "www-authenticate",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "content-type",
    "set-cookie",
    "location",
];

/// How much of a body is shown.
const EXCERPT: usize = 160;

/// Something that must be so: what, and whether it is.
pub(super) struct Check {
    what: String,
    holds: bool,
}

/// A check.
pub(super) fn check(what: impl Into<String>, holds: bool) -> Check {
    Check { what: what.into(), holds }
}

/// What came of a call: the answer, and what the proxies logged about it.
pub(super) struct Seen<'m> {
    pub(super) answer: Answer,
    mesh: &'m Mesh,
}

impl Seen<'_> {
    /// The line that a proxy logged about this request; `null` if it did not see it (or not in time).
    pub(super) fn logged(&self, proxy: Proxy) -> Value {
        let Some(id) = self.answer.header("x-request-id") else { return Value::Null };
        // A proxy that the request did not reach has no line, however long one waits: the edge always has one.
        let limit = if proxy == Proxy::Edge { Duration::from_secs(3) } else { Duration::from_millis(150) };
        wait_until_some("the log line", limit, || {
            let log = self.mesh.envoy(proxy).access_log();
            log.into_iter()
                .rev()
                .find(|entry| entry["request_id"] == id && entry["proxy"] != "orders-outbound")
        })
        .unwrap_or(Value::Null)
    }

    /// What the service says that reached it: the values of a header.
    pub(super) fn reached_service(&self, header: &str) -> Vec<String> {
        headers_in(&self.answer.json()["received"], header)
    }

    /// The status.
    pub(super) fn status(&self, expected: u16) -> Check {
        check(format!("status {expected}"), self.answer.status == expected)
    }

    /// The reason in the edge's response-code details, or of its decision, has this text.
    pub(super) fn reason(&self, text: &str) -> Check {
        let entry = self.logged(Proxy::Edge);
        let has = |field: &str| entry[field].as_str().is_some_and(|value| value.contains(text));
        check(format!("reason {text}"), has("details") || has("decision"))
    }

    /// The answer has that header, and its value has this text.
    pub(super) fn header(&self, name: &str, text: &str) -> Check {
        let holds = self.answer.headers_named(name).iter().any(|value| value.contains(text));
        check(if text.is_empty() { format!("has {name}") } else { format!("{name} has {text}") }, holds)
    }

    /// The service saw exactly this one value of that header.
    pub(super) fn service_saw(&self, header: &str, value: &str) -> Check {
        check(format!("the service saw {header}: {value}"), self.reached_service(header) == [value])
    }
}

/// The values of a header in what a service says that it received.
pub(super) fn headers_in(received: &Value, header: &str) -> Vec<String> {
    let pairs = received["headers"].as_array().cloned().unwrap_or_default();
    let named = pairs.iter().filter(|pair| pair[0] == header);
    named.filter_map(|pair| pair[1].as_str().map(str::to_owned)).collect()
}

/// The walk over the running demo.
pub(super) struct Walk<'m> {
    mesh: &'m Mesh,
    number: usize,
    failed: Vec<usize>,
    coloured: bool,
}

impl<'m> Walk<'m> {
    pub(super) fn new(mesh: &'m Mesh) -> Self {
        Self { mesh, number: 0, failed: Vec::new(), coloured: std::io::stdout().is_terminal() }
    }

    pub(super) fn mesh(&self) -> &'m Mesh {
        self.mesh
    }

    pub(super) fn port(&self) -> u16 {
        self.mesh.ports().edge
    }

    /// The heading of a group of steps.
    pub(super) fn chapter(&self, title: &str) {
        println!("\n{}", self.styled("1", &format!("── {title} ──")));
    }

    /// One call and what must be so afterwards.
    pub(super) fn step(
        &mut self,
        title: &str,
        call: &Call,
        checks: impl FnOnce(&Seen<'m>) -> Vec<Check>,
    ) -> Result<()> {
        self.begin(title, &call.curl(self.port()));
        let seen = self.send(call)?;
        self.show_answer(&seen.answer);
        self.show_decisions(&seen);
        let checks = checks(&seen);
        self.end(&checks);
        Ok(())
    }

    /// A step of several calls: `line` is what a person would type, `lines` tell what happened.
    pub(super) fn several(
        &mut self,
        title: &str,
        line: &str,
        act: impl FnOnce(&Self) -> Result<(Vec<String>, Vec<Check>)>,
    ) -> Result<()> {
        self.begin(title, line);
        let (lines, checks) = act(self)?;
        for line in lines {
            println!("    {line}");
        }
        self.end(&checks);
        Ok(())
    }

    /// Sends a call without printing anything.
    pub(super) fn send(&self, call: &Call) -> Result<Seen<'m>> {
        Ok(Seen { answer: call.send(self.port())?, mesh: self.mesh })
    }

    /// The last words; true if every step held.
    pub(super) fn summary(&self) -> bool {
        let held = self.number - self.failed.len();
        println!("\n{held} of {} steps held", self.number);
        if !self.failed.is_empty() {
            println!("{}: {:?}", self.styled("31", "✗ did not hold"), self.failed);
        }
        self.failed.is_empty()
    }

    fn begin(&mut self, title: &str, line: &str) {
        self.number += 1;
        println!("\n{}", self.styled("1", &format!("{:>2}. {title}", self.number)));
        println!("    {line}");
    }

    fn show_answer(&self, answer: &Answer) {
        let mut shown = format!("    → {}", answer.status);
        for name in TELLING {
            for value in answer.headers_named(name) {
                shown.push_str(&format!(" · {name}: {value}"));
            }
        }
        println!("{shown}");
        if !answer.body.is_empty() {
            let body: String = answer.text().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let excerpt: String = body.chars().take(EXCERPT).collect();
            println!("      {excerpt}{}", if body.chars().count() > EXCERPT { "…" } else { "" });
        }
    }

    fn show_decisions(&self, seen: &Seen) {
        for proxy in Proxy::ALL {
            let entry = seen.logged(proxy);
            if entry.is_null() {
                continue;
            }
            let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
            println!(
                "    decision at {}: {} (details: {})",
                text("proxy"),
                text("decision"),
                text("details")
            );
        }
    }

    fn end(&mut self, checks: &[Check]) {
        let mut shown = String::from("   ");
        for check in checks {
            let mark = if check.holds { self.styled("32", "✓") } else { self.styled("31", "✗") };
            shown.push_str(&format!(" {mark} {}  ", check.what));
        }
        println!("{}", shown.trim_end());
        if checks.iter().any(|check| !check.holds) {
            self.failed.push(self.number);
        }
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
