//! What must be so before a row is measured.

use serde_json::json;

use crate::bootstrap::{
    PROBE_GATEWAY, PROBE_METADATA, PROBE_PATH, PROBE_TEAM, PROBE_USER, ROUTED_PATH, SERVICE_PATH, STAT_PREFIX,
};
use crate::policies::{BODY, ORIGIN, TEAM};
use crate::probe::Probe;
use crate::service::REFUSED_PATH;
use crate::traffic::{self, Get, PART};

pub(super) fn plain() -> Vec<u8> {
    Get::path("/orders").bytes()
}

pub(super) fn too_many(request: Vec<u8>) -> Probe {
    Probe::status_in_the_end("more requests than the limit are refused", request, 429)
}

pub(super) fn probes_of_six() -> Vec<Probe> {
    let probe = Get::path(PROBE_PATH).client("c-probe").bytes();
    let cross_origin = Get::path(ROUTED_PATH).header("origin", "https://shop.example.com").bytes();
    let mut probes = probes_of_fault();
    probes.extend([
        Probe::status("rbac denies a path", Get::path("/internal/state").bytes(), 403),
        Probe::header("header_to_metadata notes the client", probe.clone(), PROBE_METADATA, "c-probe"),
        Probe::header("header_mutation sets a request header", probe, PROBE_GATEWAY, "edge"),
        Probe::header("header_mutation sets a response header", plain(), "x-served-by", "edge"),
        // The one of the six that looks at nothing where a route answers by itself.
        Probe::header(
            "cors allows the origin",
            cross_origin,
            "access-control-allow-origin",
            "https://shop.example.com",
        ),
        Probe::statistic(
            "local_ratelimit counts",
            plain(),
            &format!("{STAT_PREFIX}.http_local_rate_limit.enabled"),
        ),
    ]);
    probes
}

pub(super) fn probes_of_fault() -> Vec<Probe> {
    vec![
        Probe::status("a fault on request", Get::path("/orders").header("x-chaos", "abort").bytes(), 503),
        Probe::status("no fault without", plain(), 200),
    ]
}

pub(super) fn probes_of_tokens() -> Vec<Probe> {
    let good = traffic::token_of("probe").sign();
    let of_another = traffic::token_of("mallory").sign();
    let (signed, _) = good.rsplit_once('.').unwrap_or_default();
    let (_, signature) = of_another.rsplit_once('.').unwrap_or_default();
    let expired = traffic::token_of("probe").expires_in(-3600).sign();
    let elsewhere = traffic::token_of("probe").claim("aud", "elsewhere").sign();
    let with = |token: &str| Get::path("/orders").token(token).bytes();
    vec![
        Probe::status("a good token", with(&good), 200),
        Probe::status("the same again", with(&good), 200),
        Probe::status("no token", plain(), 401),
        Probe::status("another token's signature", with(&format!("{signed}.{signature}")), 401),
        Probe::status("an expired token", with(&expired), 401),
        // RFC 6750 says 401, Envoy's jwt_authn 403.
        Probe::refusal("a token for another service", with(&elsewhere), &[401, 403]),
    ]
}

pub(super) fn probes_of_rules() -> Vec<Probe> {
    let with = |path: &str, team: &str| Get::path(path).header("x-team", team).bytes();
    vec![
        Probe::status("the tenth rule", with("/catalog/books", TEAM), 200),
        Probe::status("a path that no rule allows", with("/admin", TEAM), 403),
        Probe::status("another team", with("/orders", "guests"), 403),
    ]
}

pub(super) fn probes_of_forward() -> Vec<Probe> {
    let token = traffic::token_of("probe").sign();
    let forged = Get::path(PROBE_PATH).header("x-user", "mallory").token(&token).bytes();
    vec![
        Probe::header(
            "a claim reaches the service, a forged one doesn't",
            forged.clone(),
            PROBE_USER,
            "probe",
        ),
        Probe::header("the other claim does, too", forged, PROBE_TEAM, TEAM),
    ]
}

pub(super) fn probes_of_edge() -> Vec<Probe> {
    let token = traffic::token_of("probe").sign();
    let guest = traffic::token_of("guest").claim("team", json!("guests")).sign();
    let mut probes = joined(probes_of_tokens(), probes_of_forward());
    probes.extend([
        Probe::status("a path that no rule allows", Get::path("/admin").token(&token).bytes(), 403),
        Probe::status("another team", Get::path("/orders").token(&guest).bytes(), 403),
        too_many(Get::path("/orders").token(&traffic::token_of("hasty").sign()).bytes()),
    ]);
    probes
}

pub(super) fn probes_of_cors() -> Vec<Probe> {
    let from = |origin: &str| Get::path(SERVICE_PATH).header("origin", origin).bytes();
    vec![
        Probe::header("the origin is allowed", from(ORIGIN), "access-control-allow-origin", ORIGIN),
        Probe::status("the service answers", from(ORIGIN), 200),
    ]
}

pub(super) fn probes_of_bodies() -> Vec<Probe> {
    let with = |parts: usize| Get::path(SERVICE_PATH).streamed(parts).bytes();
    let most = BODY / PART;
    vec![
        Probe::status("a body of the largest size", with(most), 200),
        Probe::status("a larger one", with(most + 1), 413),
    ]
}

pub(super) fn probes_of_fleet() -> Vec<Probe> {
    vec![
        Probe::status("what the service lets through", Get::path(SERVICE_PATH).bytes(), 200),
        Probe::status("what it refuses", Get::path(REFUSED_PATH).bytes(), 429),
    ]
}

pub(super) fn joined(mut probes: Vec<Probe>, further: Vec<Probe>) -> Vec<Probe> {
    probes.extend(further);
    probes
}
