//! A new policy or a new module while requests come.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

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
    let count = under_load(mesh, || {
        for update in 1..=10 {
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
    let count = under_load(mesh, || {
        for (number, image) in [(1, "sluice-auth"), (2, "sluice"), (3, "sluice-auth")] {
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

/// Does `change` while two callers look at every answer; gives how many they got.
fn under_load(mesh: &Mesh, change: impl FnOnce() -> Result<()>) -> Result<usize> {
    let ended = AtomicBool::new(false);
    let caller = || -> Result<usize> {
        let ask = |path: &str| mesh.call("client", "inventory", &Request::get(path));
        let (mut count, mut latest) = (0, 0);
        while !ended.load(Ordering::Relaxed) {
            let (always, never, number) = (ask("/always")?, ask("/never")?, said(mesh)?);
            assert_eq!(always.status, 200, "{}", always.text());
            assert_eq!((never.status, &never.json()["reason"]), (403, &"authz.denied.default".into()));
            assert!(number >= latest, "after v{latest} came v{number}");
            latest = number;
            count += 3;
        }
        Ok(count)
    };
    let counts = std::thread::scope(|scope| {
        let callers = [scope.spawn(caller), scope.spawn(caller)];
        let changed = catch_unwind(AssertUnwindSafe(change));
        ended.store(true, Ordering::Relaxed);
        let counts = callers.map(|caller| caller.join().unwrap_or_else(|panic| resume_unwind(panic)));
        changed.unwrap_or_else(|panic| resume_unwind(panic))?;
        counts.into_iter().collect::<Result<Vec<usize>>>()
    })?;
    assert!(counts.iter().all(|count| *count > 30), "there was load: {counts:?}");
    Ok(counts.iter().sum())
}
