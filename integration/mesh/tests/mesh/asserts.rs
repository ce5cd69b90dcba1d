//! What many scenarios ask and expect.

use std::time::Duration;

use sluice_integration::{Answer, Request, Result, wait_until};
use sluice_mesh_test::Mesh;

/// How long a change may take until requests show it: on a machine that does much else besides.
pub(crate) const SOON: Duration = Duration::from_secs(180);

/// Who proves to be `client` by its certificate may read, nobody may write.
pub(crate) const CLIENT_READS: &str = r#"
version: 1
authz:
  default: deny
  rules:
    - { name: client-reads, allow: true, match: { methods: [GET] }, when: { peers: ["spiffe://cluster.local/ns/shop/sa/client"] } }
telemetry: {}
"#;

/// The client reads the stock.
pub(crate) fn read(mesh: &Mesh) -> Result<Answer> {
    mesh.call("client", "inventory", &Request::get("/inventory/teapot"))
}

/// The client tries to change the stock.
pub(crate) fn write(mesh: &Mesh) -> Result<Answer> {
    mesh.call("client", "inventory", &Request::post("/inventory/teapot", "{}"))
}

/// [`CLIENT_READS`] is what `inventory` decides by, seen at both ends.
pub(crate) fn client_may_only_read(mesh: &Mesh) -> Result<()> {
    let inventory = mesh.service("inventory");
    inventory.forget();
    let (reading, writing) = (read(mesh)?, write(mesh)?);
    assert_eq!(reading.status, 200, "{}", reading.text());
    assert_eq!(writing.status, 403, "{}", writing.text());
    assert_eq!(writing.json()["reason"], "authz.denied.default", "{}", writing.text());
    let arrived: Vec<String> = inventory.received().into_iter().map(|request| request.method).collect();
    assert_eq!(arrived, ["GET"], "what the service saw");
    Ok(())
}

/// Nothing decides: whoever is in the mesh may do all.
pub(crate) fn nothing_decides(mesh: &Mesh) -> Result<()> {
    assert_eq!(read(mesh)?.status, 200);
    assert_eq!(write(mesh)?.status, 200);
    Ok(())
}

/// Waits until a request is answered with that status, and no connection is left on which another could still be answered as before.
pub(crate) fn wait_for_status(
    mesh: &Mesh,
    what: &str,
    status: u16,
    mut ask: impl FnMut() -> Result<Answer>,
) -> Result<()> {
    wait_until(what, SOON, || ask().is_ok_and(|answer| answer.status == status))?;
    mesh.wait_until_settled()
}

/// How often a section has decided so, in what Prometheus is given by a proxy that has our labels. Counts get there within a second.
pub(crate) fn decisions(metrics: &str, section: &str, outcome: &str, reason: &str) -> Result<u64> {
    let labels = [("section", section), ("outcome", outcome), ("reason", reason)];
    let carries =
        |line: &&str| labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")));
    let lines = metrics.lines().filter(|line| line.starts_with("sluice_decisions{")).filter(carries);
    Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
}
