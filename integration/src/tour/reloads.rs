//! A policy is replaced while the proxy serves.

use super::call::Call;
use super::walk::{Walk, check};
use crate::Result;

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Reload: another policy, without a restart");
    let call = Call::get("/orders/7").token("--sub bob");
    let policy = walk.demo().edge_policy()?;
    let line = format!("{}; {}", walk.lines().reload, walk.curl(&call));
    walk.several("Bob, who has no scope, is let in by another policy, and out again by the first", &line, |walk| {
        let before = walk.send(&call)?.answer.status;
        // The rule `read` asks for a scope; in the other policy it asks for nothing but a good token.
        let other = policy.replace("when: { scopes: [\"orders:read\"] }", "when: { authenticated: true }");
        let taken = walk.demo().reload_edge(&other)?;
        let during = walk.send(&call)?.answer.status;
        let broken = walk.demo().reload_edge(&policy.replace("version: 1", "version: 1\nno_such_section: {}"))?;
        let after_broken = walk.send(&call)?.answer.status;
        let restored = walk.demo().reload_edge(&policy)?;
        let after = walk.send(&call)?.answer.status;
        Ok((
            vec![format!("→ {before}, with the other policy {during}, with a broken one {after_broken}, with the first {after}")],
            vec![
                check("refused before", before == 403),
                check("the other policy is taken", taken && during == 200),
                check("a broken one is refused, the one before serves on", !broken && after_broken == 200),
                check("the first is back", restored && after == 403),
            ],
        ))
    })
}
