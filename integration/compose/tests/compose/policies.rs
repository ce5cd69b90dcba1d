//! A user's own policy, as docs/compose.md says it is put in.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sluice_compose_test::run;
use sluice_integration::tokens::TokenArguments;
use sluice_integration::{Client, Error, Request, Result, repository_root, wait_until};

use crate::{Demo, EDGE, must};

pub(crate) fn check(demo: &Demo) -> Result<()> {
    let folder = repository_root().join("target/compose-test/policies");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| Error::file("can't create", &folder, e))?;
    for proxy in ["edge", "orders", "inventory"] {
        let name = format!("{proxy}.policy.yaml");
        let from = repository_root().join("envoy-configs/compose").join(&name);
        fs::copy(&from, folder.join(&name)).map_err(|e| Error::file("can't copy", &from, e))?;
    }
    let edge = folder.join("edge.policy.yaml");
    let committed = fs::read_to_string(&edge).map_err(|e| Error::file("can't read", &edge, e))?;
    let bob = TokenArguments::read("--sub bob")?.mint()?;
    let client = Client::new(EDGE);
    let status = || client.send(&Request::get("/orders/7").bearer(&bob)).map_or(0, |answer| answer.status);
    must(format!("bob is refused: {}", status()), status() == 403)?;

    let changed = committed.replace("when: { scopes: [\"orders:read\"] }", "when: { authenticated: true }");
    must("the policy can be changed", changed != committed)?;
    fs::write(&edge, &changed).map_err(|e| Error::file("can't write", &edge, e))?;
    print!("{}", prepare(demo, &folder)?.succeeded("prepare")?);
    let let_in = wait_until("bob to be let in", Duration::from_secs(60), || status() == 200);
    must("with another policy bob is let in, without a restart", let_in.is_ok())?;

    let wrong = changed.replace("version: 1\n", "version: 1\nauthzz: {}\n");
    fs::write(&edge, &wrong).map_err(|e| Error::file("can't write", &edge, e))?;
    let refused = prepare(demo, &folder)?;
    println!("   {}", refused.both().trim().replace('\n', "\n   "));
    must(
        "a wrong one is refused by line and column, with the right name",
        !refused.success
            && refused.both().contains("edge.policy.yaml:4:1")
            && refused.both().contains("authz"),
    )?;
    must(format!("and the one before serves on: {}", status()), status() == 200)?;

    let committed = repository_root().join("envoy-configs/compose");
    prepare(demo, &committed)?.succeeded("prepare")?;
    let back = wait_until("bob to be refused again", Duration::from_secs(60), || status() == 403);
    must("the first is back", back.is_ok())
}

fn prepare(demo: &Demo, policies: &Path) -> Result<sluice_compose_test::Output> {
    let mut command = demo.project.command(&["run", "--rm", "-T", "prepare"]);
    run(command.env("SLUICE_POLICIES", policies))
}
