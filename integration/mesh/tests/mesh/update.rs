//! A new policy or a new module while requests come.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sluice_integration::{Request, Result, wait_until};
use sluice_mesh_test::{Mesh, Plugin, REGISTRY};

use crate::asserts::SOON;
use crate::delivery::VERSION;

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
pub(crate) fn of_the_policy_under_load(mesh: &Mesh) -> Result<()> {
    let _applied = mesh.install(&version("v0")?)?;
    let count = under_load(mesh, |round| {
        for update in 1..=10 {
            round()?;
            let name = format!("v{update}");
            mesh.api().apply(&version(&name)?.document())?;
            wait_until(&name, SOON, || said(mesh).is_ok_and(|number| number == update))?;
        }
        Ok(())
    })?;
    println!("  10 updates under {count} requests");
    Ok(())
}

/// Another module, there and back, fetched while the one before serves: as above.
pub(crate) fn of_the_module_under_load(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let with = |name: &str, image: &str| -> Result<Plugin> {
        Ok(version(name)?.url(&format!("oci://{REGISTRY}/sluice/{image}:{VERSION}")))
    };
    let _applied = mesh.install(&with("v0", "sluice")?)?;
    let count = under_load(mesh, |round| {
        for (number, image) in [(1, "sluice-auth"), (2, "sluice"), (3, "sluice-auth")] {
            round()?;
            mesh.api().apply(&with(&format!("v{number}"), image)?.document())?;
            wait_until(image, SOON, || said(mesh).is_ok_and(|said| said == number))?;
        }
        Ok(())
    })?;
    println!("  3 modules under {count} requests");
    Ok(())
}

/// The number of the version that decides.
fn said(mesh: &Mesh) -> Result<usize> {
    let said = mesh.call("client", "inventory", &Request::get("/said"))?;
    let reason = said.json()["reason"].as_str().unwrap_or_default().to_owned();
    let number = reason.strip_prefix("authz.denied.rule:v").and_then(|number| number.parse().ok());
    Ok(number.unwrap_or_else(|| panic!("{}: {}", said.status, said.text())))
}

/// Does `change` while two callers look at every answer; gives how many they got. What `change` is given waits until each caller
/// has asked another round: so requests come between any two updates, however slow the machine is.
fn under_load(mesh: &Mesh, change: impl FnOnce(&dyn Fn() -> Result<()>) -> Result<()>) -> Result<usize> {
    let ended = AtomicBool::new(false);
    let rounds = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let caller = |rounds: &AtomicUsize| -> Result<()> {
        let ask = |path: &str| mesh.call("client", "inventory", &Request::get(path));
        let mut latest = 0;
        while !ended.load(Ordering::Relaxed) {
            let (always, never, number) = (ask("/always")?, ask("/never")?, said(mesh)?);
            assert_eq!(always.status, 200, "{}", always.text());
            assert_eq!((never.status, &never.json()["reason"]), (403, &"authz.denied.default".into()));
            assert!(number >= latest, "after v{latest} came v{number}");
            latest = number;
            rounds.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let another_round = || {
        let count = || [0, 1].map(|caller: usize| rounds[caller].load(Ordering::Relaxed));
        let before = count();
        wait_until("another round of requests", SOON, || {
            let now = count();
            // The one that was under way when we came, and a whole one.
            (0..2).all(|caller| now[caller] >= before[caller] + 2)
        })
    };
    std::thread::scope(|scope| {
        let callers = [0, 1].map(|number: usize| {
            let (caller, rounds) = (&caller, &rounds[number]);
            scope.spawn(move || caller(rounds))
        });
        let changed = catch_unwind(AssertUnwindSafe(|| {
            change(&another_round)?;
            another_round()
        }));
        ended.store(true, Ordering::Relaxed);
        // What a caller has seen says more than that the change then waited in vain.
        for caller in callers {
            caller.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        changed.unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    Ok(rounds.iter().map(|rounds| 3 * rounds.load(Ordering::Relaxed)).sum())
}
