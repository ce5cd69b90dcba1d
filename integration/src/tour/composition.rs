//! `compose`: one answer from several services.

use super::call::Call;
use super::walk::{Walk, check};
use crate::{Proxy, Result};

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Composition: one answer from several services");
    // A container can't read the log of another.
    let reads_logs = walk.lines().access_log.is_some();
    walk.step(
        "The order is there; the stock is not, for inventory's sidecar does not let the edge in: a part of the answer is null",
        &Call::get("/overview/7").token("--sub alice --scope orders:read"),
        |seen| {
            let answer = seen.answer.json();
            let user = super::walk::headers_in(&answer["order"]["received"], "x-user");
            let mut checks = vec![
                seen.status(200),
                check("the order", answer["order"]["order"]["id"] == "7"),
                check("orders saw who asks", user == ["alice"]),
                check("no stock", answer.get("stock").is_some_and(serde_json::Value::is_null)),
                seen.reason("compose.composed.rule:overview"),
            ];
            if reads_logs {
                let refused = seen.logged(Proxy::Inventory)["status"] == 403;
                checks.push(check("inventory's sidecar was asked and refused", refused));
            }
            checks
        },
    )?;
    walk.step("Who may not read gets no part of it", &Call::get("/overview/7").token("--sub bob"), |seen| {
        vec![seen.status(403), seen.reason("authz.denied")]
    })
}
