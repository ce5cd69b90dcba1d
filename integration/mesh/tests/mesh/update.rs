//! A new policy while requests come.

use std::sync::atomic::{AtomicBool, Ordering};

use sluice_integration::{Request, Result};
use sluice_mesh_test::{Mesh, Plugin};

use crate::asserts::wait_for_status;

/// Of both versions: `/always` goes through and `/never` does not; `/said` says which version it is.
fn version(name: &str) -> Result<Plugin> {
    let policy = format!(
        r#"
version: 1
authz:
  default: deny
  rules:
    - {{ name: "{name}", deny: true, match: {{ paths: [/said] }} }}
    - {{ name: always, allow: true, match: {{ paths: [/always] }} }}
"#
    );
    Ok(Plugin::new("sluice", &policy)?.on("inventory").server().phase("AUTHN"))
}

/// Ten updates: every request is decided, by the old or by the new version, and by none before the one that decided before it.
pub(crate) fn under_load_no_request_is_decided_wrongly(mesh: &Mesh) -> Result<()> {
    const UPDATES: usize = 10;
    let _applied = mesh.install(&version("v0")?)?;
    let ended = AtomicBool::new(false);
    let ask = |path: &str| mesh.call("client", "inventory", &Request::get(path));
    let counts = std::thread::scope(|scope| -> Result<Vec<usize>> {
        let load: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| -> Result<usize> {
                    let (mut count, mut latest) = (0, 0);
                    while !ended.load(Ordering::Relaxed) {
                        let (always, never, said) = (ask("/always")?, ask("/never")?, ask("/said")?);
                        assert_eq!(always.status, 200, "{}", always.text());
                        assert_eq!(
                            (never.status, &never.json()["reason"]),
                            (403, &"authz.denied.default".into())
                        );
                        let reason = said.json()["reason"].as_str().unwrap_or_default().to_owned();
                        let number = reason.strip_prefix("authz.denied.rule:v").and_then(|n| n.parse().ok());
                        let number: usize =
                            number.unwrap_or_else(|| panic!("{}: {}", said.status, said.text()));
                        assert!(number >= latest, "after v{latest} came v{number}");
                        latest = number;
                        count += 3;
                    }
                    Ok(count)
                })
            })
            .collect();
        for update in 1..=UPDATES {
            let name = format!("v{update}");
            let outcome = mesh.api().apply(&version(&name)?.document()).and_then(|_| {
                wait_for_status(&name, 403, || {
                    let answer = ask("/said")?;
                    if answer.text().contains(&format!("rule:{name}\"")) {
                        Ok(answer)
                    } else {
                        Err("not yet".into())
                    }
                })
            });
            if outcome.is_err() {
                ended.store(true, Ordering::Relaxed);
            }
            outcome?;
        }
        ended.store(true, Ordering::Relaxed);
        load.into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })?;
    println!("  {UPDATES} updates under {} requests", counts.iter().sum::<usize>());
    assert!(counts.iter().all(|count| *count > UPDATES), "there was load: {counts:?}");
    Ok(())
}
