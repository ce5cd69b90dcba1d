//! `fault`: what if.

use std::time::Duration;

use super::call::Call;
use super::walk::{Walk, check};
use crate::Result;

/// The delay of the edge's policy.
const DELAY: Duration = Duration::from_millis(300);

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Fault injection: what if");
    let tester = "--sub frank --scope orders:read --role tester";
    walk.step(
        "A tester asks for an error",
        &Call::get("/orders/7").token(tester).header("x-chaos", "abort"),
        |seen| vec![seen.status(503), seen.reason("fault.")],
    )?;
    walk.step(
        "A tester asks for a delay",
        &Call::get("/orders/7").token(tester).header("x-chaos", "delay"),
        |seen| {
            vec![
                seen.status(200),
                check(format!("took {} ms", seen.answer.took.as_millis()), seen.answer.took >= DELAY),
                seen.reason("fault."),
            ]
        },
    )?;
    walk.step(
        "Nobody else can",
        &Call::get("/orders/7")
            .token("--sub alice --scope orders:read")
            .header("x-chaos", "abort")
            .header("x-envoy-fault-abort-request", "503"),
        |seen| vec![seen.status(200)],
    )
}
