//! `authn`: who is calling.

use super::call::Call;
use super::walk::{Walk, check};
use crate::{Proxy, Result};

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Authentication: who is calling");
    walk.step("A request without a credential is refused", &Call::get("/orders/7"), |seen| {
        vec![
            seen.status(401),
            seen.header("www-authenticate", "Bearer"),
            seen.header("content-type", "application/problem+json"),
            seen.reason("authn."),
        ]
    })?;
    for (algorithm, how) in [
        ("ES256", "verified by Envoy's own BoringSSL"),
        ("RS256", "verified by Envoy's own BoringSSL"),
        ("EdDSA", "verified inside the module"),
        ("HS256", "a shared secret, for the issuer's own tools"),
    ] {
        let call =
            Call::get("/orders/7").token(&format!("--sub alice --scope orders:read --algorithm {algorithm}"));
        walk.step(&format!("A token signed with {algorithm} is good ({how})"), &call, |seen| {
            vec![seen.status(200), seen.service_saw("x-user", "alice")]
        })?;
    }
    let refused = [
        ("An expired token", "--sub alice --scope orders:read --expires-in -120", "expired"),
        ("A token for another audience", "--sub alice --scope orders:read --audience billing", "audience"),
        (
            "A token that takes the public RSA key for an HMAC secret",
            "--sub alice --confuse-algorithms",
            "authn.",
        ),
    ];
    for (what, arguments, reason) in refused {
        walk.step(&format!("{what} is refused"), &Call::get("/orders/7").token(arguments), |seen| {
            vec![
                seen.status(401),
                seen.header("www-authenticate", "error=\"invalid_token\""),
                seen.reason(reason),
            ]
        })?;
    }
    walk.step(
        "A partner's API key is good: the policy holds only its SHA-256",
        &Call::get("/partner/orders").header("x-api-key", "demo-key-acme"),
        |seen| vec![seen.status(200), seen.service_saw("x-consumer", "acme")],
    )?;
    walk.step(
        "An unknown API key is refused",
        &Call::get("/partner/orders").header("x-api-key", "demo-key-nobody"),
        |seen| vec![seen.status(401), seen.reason("authn.")],
    )?;
    walk.step(
        "Who says who they are without proof is not believed: the header is removed",
        &Call::get("/orders/7")
            .token("--sub alice --scope orders:read")
            .header("x-user", "root")
            .header("x-roles", "admin"),
        |seen| {
            let user = seen.logged(Proxy::Orders)["user"].clone();
            vec![
                seen.status(200),
                seen.service_saw("x-user", "alice"),
                check("the service saw no x-roles", seen.reached_service("x-roles").is_empty()),
                check("so did the sidecar's log", user == "alice"),
            ]
        },
    )
}
