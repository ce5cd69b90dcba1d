//! `api`: versions that end, and the web pages that may call.

use super::call::Call;
use super::walk::{Walk, check};
use crate::Result;

/// Whose page may call, as the edge's policy has it.
const PAGE: &str = "https://shop.sluice.demo";

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Versions and web pages: what is called, and from where");
    walk.step(
        "A deprecated version is served; the answer says until when",
        &Call::get("/v2/catalog"),
        |seen| {
            vec![
                seen.status(200),
                seen.header("deprecation", "@1748736000"),
                seen.header("sunset", "Thu, 01 Jan 2099 00:00:00 GMT"),
                seen.header("link", "</v3>; rel=\"successor-version\""),
            ]
        },
    )?;
    walk.step("A version after its sunset is gone", &Call::get("/v1/catalog"), |seen| {
        vec![
            seen.status(410),
            seen.header("sunset", "Wed, 01 Jan 2025 00:00:00 GMT"),
            seen.header("link", "</v2>; rel=\"successor-version\""),
            seen.reason("api.gone.version:v1"),
        ]
    })?;
    let preflight = |origin: &str| {
        Call::options("/orders/7")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
    };
    walk.step(
        "A browser asks for a page of the shop whether it may call: without a credential",
        &preflight(PAGE),
        |seen| {
            vec![
                seen.status(204),
                seen.header("access-control-allow-origin", PAGE),
                seen.header("access-control-allow-headers", "authorization"),
                seen.header("access-control-max-age", "600"),
                seen.reason("api.preflight.rule:shop"),
            ]
        },
    )?;
    walk.step("Another page may not", &preflight("https://elsewhere.example"), |seen| {
        vec![
            seen.status(403),
            check("no page is allowed", seen.answer.header("access-control-allow-origin").is_none()),
            seen.reason("api.origin_denied.rule:shop"),
        ]
    })?;
    walk.step(
        "The shop's page can read that it has to log in",
        &Call::get("/orders/7").header("origin", PAGE),
        |seen| {
            vec![
                seen.status(401),
                seen.header("access-control-allow-origin", PAGE),
                seen.header("vary", "Origin"),
            ]
        },
    )
}
