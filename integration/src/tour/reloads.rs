//! A policy is replaced while the proxy serves.

use super::call::Call;
use super::walk::{Walk, check};
use crate::{Error, Proxy, Result, repository_root};

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Reload: another policy, without a restart");
    let call = Call::get("/orders/7").token("--sub bob");
    let file = repository_root().join(Proxy::Edge.policy());
    let policy = std::fs::read_to_string(&file).map_err(|e| Error::file("can't read", &file, e))?;
    let here = std::env::current_dir().unwrap_or_default();
    let shown = |file: &std::path::Path| file.strip_prefix(&here).unwrap_or(file).display().to_string();
    let ecds = walk.mesh().directory().join("edge/policy.ecds.yaml");
    let line = format!(
        "dist/sluice render envoy NEW.yaml --module dist/sluice.wasm --ecds > {0}.next && mv {0}.next {0}; {1}",
        shown(&ecds),
        call.curl(walk.port())
    );
    walk.several("Bob, who has no scope, is let in by another policy, and out again by the first", &line, |walk| {
        let before = walk.send(&call)?.answer.status;
        // The rule `read` asks for a scope; in the other policy it asks for nothing but a good token.
        let other = policy.replace("when: { scopes: [\"orders:read\"] }", "when: { authenticated: true }");
        let taken = walk.mesh().reload(Proxy::Edge, &other)?;
        let during = walk.send(&call)?.answer.status;
        let broken = walk.mesh().reload(Proxy::Edge, &policy.replace("version: 1", "version: 1\nno_such_section: {}"))?;
        let after_broken = walk.send(&call)?.answer.status;
        let restored = walk.mesh().reload(Proxy::Edge, &policy)?;
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
