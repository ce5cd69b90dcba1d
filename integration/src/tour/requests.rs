//! `guard`: what a request may be like at all.

use super::call::Call;
use super::walk::Walk;
use crate::Result;

/// The edge's limit of query parameters.
const PARAMETERS: usize = 20;

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Guard: what a request may be like");
    let many: Vec<String> = (0..=PARAMETERS).map(|number| number.to_string()).collect();
    walk.step(
        "Too many parameters: refused before anybody asks who is calling",
        &Call::get(&format!("/orders?{}", many.join("&"))),
        |seen| vec![seen.status(400), seen.reason("guard.too_many_parameters")],
    )?;
    walk.step("The catalog is for reading: the answer says how", &Call::post("/catalog", "a"), |seen| {
        vec![
            seen.status(405),
            seen.header("allow", "GET, HEAD"),
            seen.reason("guard.method_not_allowed.rule:catalog"),
        ]
    })
}
