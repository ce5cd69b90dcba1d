//! The walk: a step is printed, done, shown and checked.

use std::io::IsTerminal;

use serde_json::Value;

use super::call::Call;
use super::{Demo, Lines};
use crate::{Answer, Proxy, Result};

/// Headers of an answer that tell something about a policy.
const TELLING: [&str; 12] = [
    "allow",
    "www-authenticate",
    "deprecation",
    "sunset",
    "link",
    "access-control-allow-origin",
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
    demo: &'m dyn Demo,
}

impl Seen<'_> {
    /// The line that a proxy logged about this request, which has reached it; `null` if it did not, after a while.
    pub(super) fn logged(&self, proxy: Proxy) -> Value {
        self.line(proxy, true)
    }

    /// The same of a proxy that it may not have reached; the edge it always has.
    fn perhaps_logged(&self, proxy: Proxy) -> Value {
        self.line(proxy, proxy == Proxy::Edge)
    }

    fn line(&self, proxy: Proxy, reached: bool) -> Value {
        let Some(id) = self.answer.header("x-request-id") else { return Value::Null };
        self.demo.logged(proxy, id, reached).unwrap_or(Value::Null)
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
    demo: &'m dyn Demo,
    lines: Lines,
    number: usize,
    failed: Vec<usize>,
    left_out: Vec<&'static str>,
    coloured: bool,
}

impl<'m> Walk<'m> {
    pub(super) fn new(demo: &'m dyn Demo) -> Self {
        Self {
            demo,
            lines: demo.lines(),
            number: 0,
            failed: Vec::new(),
            left_out: Vec::new(),
            coloured: std::io::stdout().is_terminal(),
        }
    }

    pub(super) fn demo(&self) -> &'m dyn Demo {
        self.demo
    }

    /// What a person would type.
    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The line that makes this call from a shell.
    pub(super) fn curl(&self, call: &Call) -> String {
        call.curl(self.demo.edge_port(), &self.lines)
    }

    /// A step that can't be done here, and why.
    pub(super) fn leave_out(&mut self, title: &'static str, why: &str) {
        println!("\n{}\n    left out: {why}", self.styled("1", &format!(" –. {title}")));
        self.left_out.push(title);
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
        self.begin(title, &self.curl(call));
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
        Ok(self.seen(call.send(self.demo.edge_port())?))
    }

    /// What came of a call that was sent otherwise.
    pub(super) fn seen(&self, answer: Answer) -> Seen<'m> {
        Seen { answer, demo: self.demo }
    }

    /// The last words; true if every step held.
    pub(super) fn summary(&self) -> bool {
        let held = self.number - self.failed.len();
        println!("\n{held} of {} steps held", self.number);
        for title in &self.left_out {
            println!("left out: {title}");
        }
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
            let entry = seen.perhaps_logged(proxy);
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
