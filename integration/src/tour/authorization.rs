//! `authz`: who may do what.

use std::net::Ipv4Addr;

use super::call::Call;
use super::walk::{Walk, check};
use crate::{Proxy, Result};

/// What the edge's policy calls the office.
pub(super) const OFFICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Authorization: who may do what");
    walk.step(
        "A token without the scope may not read",
        &Call::get("/orders/7").token("--sub bob"),
        |seen| vec![seen.status(403), seen.reason("authz.denied")],
    )?;
    let order = r#"{"article":"teapot"}"#;
    walk.step(
        "A clerk may write, for the role has the permission",
        &Call::post("/orders", order).token("--sub carol --role clerk"),
        |seen| vec![seen.status(201), seen.service_saw("x-roles", "clerk"), seen.reason("allowed")],
    )?;
    walk.step("A reader may not", &Call::post("/orders", order).token("--sub dave --role reader"), |seen| {
        vec![seen.status(403), seen.reason("authz.denied")]
    })?;
    let admin = Call::get("/admin/report").token("--sub erin --role admin");
    walk.step("Even an administrator may not from outside the office", &admin, |seen| {
        vec![seen.status(403), seen.reason("admin-from-office-only")]
    })?;
    walk.step("From the office (127.0.0.2) an administrator may", &admin.from(OFFICE), |seen| {
        vec![seen.status(200)]
    })?;
    let with_stock = Call::get("/orders/7?with=stock").token("--sub alice --scope orders:read");
    walk.step(
        "`orders` may read the stock: its SPIFFE identity, proven by mutual TLS, is allowed",
        &with_stock,
        |seen| {
            let stock = &seen.answer.json()["stock"];
            let peer = seen.logged(Proxy::Inventory)["peer"].clone();
            vec![
                seen.status(200),
                check("the stock came from inventory", stock["answer"]["stock"]["count"] == 42),
                check("inventory's sidecar saw orders", peer == "spiffe://sluice.demo/ns/shop/sa/orders"),
            ]
        },
    )?;
    walk.step(
        "The edge may not, though the edge's own policy lets the request through",
        &Call::get("/inventory/teapot").token("--sub alice --scope orders:read"),
        |seen| {
            let details = seen.logged(Proxy::Inventory)["details"].clone();
            let denied = details.as_str().is_some_and(|details| details.contains("authz.denied"));
            vec![seen.status(403), check("denied by inventory's sidecar", denied)]
        },
    )
}
