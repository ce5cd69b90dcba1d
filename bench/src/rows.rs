//! The rows of the table: what is measured, beside what, under which requests.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sluice_integration::static_filter;

use crate::bootstrap::{
    PROBE_GATEWAY, PROBE_METADATA, PROBE_PATH, PROBE_TEAM, PROBE_USER, ROUTED_PATH, STAT_PREFIX,
};
use crate::native::{self, Team, Tokens};
use crate::policies::{Document, TEAM};
use crate::probe::Probe;
use crate::traffic::{self, CLIENTS, DISTINCT_TOKENS, Get};

/// A measurement: one of our documents, and none or several chains of Envoy's own filters beside it.
pub struct Row {
    /// Its name in the results.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Which edition of the module.
    pub edition: Edition,
    /// Our policy document.
    pub document: fn() -> Document,
    /// What must be so before it is measured, for us and for the chains beside us.
    probes: fn() -> Vec<Probe>,
    /// What is measured beside it.
    pub peers: &'static [Peer],
    /// The requests of its load.
    pub traffic: fn() -> Vec<Vec<u8>>,
}

/// A chain of Envoy's own filters that does the same.
pub struct Peer {
    /// The row's name with this peer.
    pub row: &'static str,
    /// The filters.
    pub filters: fn() -> Vec<Value>,
    /// What must be so of this chain alone.
    probes: fn() -> Vec<Probe>,
}

/// A module in `dist/`.
#[derive(Clone, Copy, PartialEq)]
pub enum Edition {
    /// Everything.
    Full,
    /// Without the callback of the log.
    Headers,
    /// With those of requests alone.
    Requests,
    /// Without code of its own for signatures.
    HostSignatures,
}

impl Edition {
    /// The name of its file in `dist/`.
    pub fn file(self) -> &'static str {
        match self {
            Edition::Full => "sluice.wasm",
            Edition::Headers => "sluice-headers.wasm",
            Edition::Requests => "sluice-requests.wasm",
            Edition::HostSignatures => "sluice-host-signatures.wasm",
        }
    }

    /// Its file.
    pub fn path(self, dist: &Path) -> PathBuf {
        dist.join(self.file())
    }
}

impl Row {
    /// Our filter with the row's document.
    pub fn filter(&self, dist: &Path) -> Value {
        static_filter(&self.edition.path(dist), &(self.document)().json())
    }

    /// What must be so of us.
    pub fn probes_of_ours(&self) -> Vec<Probe> {
        let mut probes = (self.probes)();
        probes.push(Probe::statistic("the module runs", plain(), "wasm.envoy.wasm.runtime.v8.active"));
        probes
    }

    /// What must be so of a chain beside us.
    pub fn probes_of_peer(&self, peer: &Peer) -> Vec<Probe> {
        let mut probes = (self.probes)();
        probes.extend((peer.probes)());
        probes
    }
}

/// All rows in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        name: "empty",
        about: "an empty document (request-only edition, as all rows that need no other), beside rbac, local_ratelimit, fault, header_mutation, header_to_metadata, cors",
        edition: Edition::Requests,
        document: Document::empty,
        probes: Vec::new,
        peers: &[Peer { row: "empty", filters: native::six, probes: probes_of_six }],
        traffic: traffic::anonymous,
    },
    Row {
        name: "edge",
        about: "a token seen before, ten rules, a limit per user, two claims to headers; beside jwt_authn with its cache, rbac, local_ratelimit",
        edition: Edition::Requests,
        document: edge,
        probes: probes_of_edge,
        peers: &[
            Peer { row: "edge", filters: || native_edge(Team::Header), probes: Vec::new },
            Peer { row: "edge_beside_metadata", filters: || native_edge(Team::Metadata), probes: Vec::new },
        ],
        traffic: || traffic::users(CLIENTS),
    },
    Row {
        name: "edge_full",
        about: "as edge, in the full edition",
        edition: Edition::Full,
        document: edge,
        probes: probes_of_edge,
        peers: &[],
        traffic: || traffic::users(CLIENTS),
    },
    Row {
        name: "edge_telemetry",
        about: "as edge, with the decision published for the access log",
        edition: Edition::Requests,
        document: || edge().telemetry(),
        probes: probes_of_edge,
        peers: &[],
        traffic: || traffic::users(CLIENTS),
    },
    Row {
        name: "jwt_repeated",
        about: "a token seen before, and nothing else; beside jwt_authn with its cache",
        edition: Edition::Requests,
        document: || Document::empty().tokens(false),
        probes: probes_of_tokens,
        peers: &[
            Peer { row: "jwt_repeated", filters: || native_tokens(true), probes: Vec::new },
            Peer { row: "jwt_repeated_beside_no_cache", filters: || native_tokens(false), probes: Vec::new },
        ],
        traffic: || traffic::users(CLIENTS),
    },
    Row {
        name: "jwt_rs256_first",
        about: "every request another RS256 token; beside jwt_authn without its cache",
        edition: Edition::Requests,
        document: || Document::empty().tokens(false),
        probes: probes_of_tokens,
        peers: &[
            Peer { row: "jwt_rs256_first", filters: || native_tokens(false), probes: Vec::new },
            Peer { row: "jwt_rs256_first_beside_cache", filters: || native_tokens(true), probes: Vec::new },
        ],
        traffic: || traffic::users(DISTINCT_TOKENS),
    },
    Row {
        name: "local_limit",
        about: "a limit for each value of a header; beside local_ratelimit with a descriptor",
        edition: Edition::Requests,
        document: || Document::empty().limit("header.x-client", false),
        probes: || vec![too_many(Get::path("/orders").client("probe").bytes())],
        peers: &[Peer {
            row: "local_limit",
            filters: || vec![native::local_ratelimit_by("x-client", false)],
            probes: Vec::new,
        }],
        traffic: traffic::anonymous,
    },
    Row {
        name: "local_limit_fields",
        about: "local_limit, and every answer tells what is left; beside local_ratelimit that does",
        edition: Edition::Headers,
        document: || Document::empty().limit("header.x-client", true),
        probes: || vec![too_many(Get::path("/orders").client("probe").bytes())],
        peers: &[Peer {
            row: "local_limit_fields",
            filters: || vec![native::local_ratelimit_by("x-client", true)],
            probes: || vec![Probe::header("it tells the limit", plain(), "x-ratelimit-limit", "1000")],
        }],
        traffic: traffic::anonymous,
    },
    Row {
        name: "rules",
        about: "ten rules by path, method and a header; beside rbac with ten policies",
        edition: Edition::Requests,
        document: || Document::empty().rules_by_header(),
        probes: probes_of_rules,
        peers: &[Peer { row: "rules", filters: || vec![native::rbac(Team::Header)], probes: Vec::new }],
        traffic: traffic::teams,
    },
    Row {
        name: "fault",
        about: "one fault rule that never matches: the least document that reads the headers; beside fault",
        edition: Edition::Requests,
        document: || Document::empty().fault(),
        probes: probes_of_fault,
        peers: &[Peer { row: "fault", filters: || vec![native::fault()], probes: Vec::new }],
        traffic: traffic::anonymous,
    },
    Row {
        name: "fault_full",
        about: "the same in the full edition",
        edition: Edition::Full,
        document: || Document::empty().fault(),
        probes: probes_of_fault,
        peers: &[],
        traffic: traffic::anonymous,
    },
    Row {
        name: "jwt_forward",
        about: "jwt_repeated with two claims to headers",
        edition: Edition::Requests,
        document: || Document::empty().tokens(true),
        probes: || joined(probes_of_tokens(), probes_of_forward()),
        peers: &[Peer {
            row: "jwt_forward",
            filters: || vec![native::jwt_authn(Tokens { cache: true, forward: true, ..Tokens::default() })],
            probes: Vec::new,
        }],
        traffic: || traffic::users(CLIENTS),
    },
    Row {
        name: "jwt_rules",
        about: "jwt_repeated with ten rules on a claim",
        edition: Edition::Requests,
        document: || Document::empty().tokens(false).rules_by_claim(),
        probes: probes_of_tokens,
        peers: &[Peer {
            row: "jwt_rules",
            filters: || {
                let tokens = Tokens { cache: true, metadata: true, ..Tokens::default() };
                vec![native::jwt_authn(tokens), native::rbac(Team::Metadata)]
            },
            probes: Vec::new,
        }],
        traffic: || traffic::users(CLIENTS),
    },
];

/// The document of the row `edge`; also the one that is loaded when a start is measured.
pub fn edge() -> Document {
    Document::empty().tokens(true).rules_by_claim().limit("identity.principal", false)
}

fn native_edge(team: Team) -> Vec<Value> {
    let metadata = team == Team::Metadata;
    vec![
        native::jwt_authn(Tokens { cache: true, forward: true, metadata }),
        native::rbac(team),
        native::local_ratelimit_by("x-user", false),
    ]
}

fn native_tokens(cache: bool) -> Vec<Value> {
    vec![native::jwt_authn(Tokens { cache, ..Tokens::default() })]
}

fn plain() -> Vec<u8> {
    Get::path("/orders").bytes()
}

fn too_many(request: Vec<u8>) -> Probe {
    Probe::status_in_the_end("more requests than the limit are refused", request, 429)
}

fn probes_of_six() -> Vec<Probe> {
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

fn probes_of_fault() -> Vec<Probe> {
    vec![
        Probe::status("a fault on request", Get::path("/orders").header("x-chaos", "abort").bytes(), 503),
        Probe::status("no fault without", plain(), 200),
    ]
}

fn probes_of_tokens() -> Vec<Probe> {
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

fn probes_of_rules() -> Vec<Probe> {
    let with = |path: &str, team: &str| Get::path(path).header("x-team", team).bytes();
    vec![
        Probe::status("the tenth rule", with("/catalog/books", TEAM), 200),
        Probe::status("a path that no rule allows", with("/admin", TEAM), 403),
        Probe::status("another team", with("/orders", "guests"), 403),
    ]
}

fn probes_of_forward() -> Vec<Probe> {
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

fn probes_of_edge() -> Vec<Probe> {
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

fn joined(mut probes: Vec<Probe>, further: Vec<Probe>) -> Vec<Probe> {
    probes.extend(further);
    probes
}

#[cfg(test)]
mod tests;
