//! The rows of the table: what is measured, beside what, under which requests.

mod probes;

use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_integration::static_filter;

use crate::native::{self, Team, Tokens};
use crate::policies::Document;
use crate::probe::Probe;
use crate::traffic::{self, CLIENTS, DISTINCT_TOKENS, Get};
use probes::{
    joined, plain, probes_of_bodies, probes_of_cors, probes_of_edge, probes_of_fault, probes_of_fleet,
    probes_of_forward, probes_of_rules, probes_of_six, probes_of_tokens, too_many,
};

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
    /// With the callback of bodies.
    Bodies,
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
            Edition::Bodies => "sluice-bodies.wasm",
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
    Row {
        name: "cors",
        about: "a page of another origin calls a service; beside cors",
        edition: Edition::Headers,
        document: || Document::empty().cors(),
        probes: probes_of_cors,
        peers: &[Peer { row: "cors", filters: || vec![native::cors()], probes: Vec::new }],
        traffic: traffic::from_a_page,
    },
    Row {
        name: "guard_body",
        about: "a limit of bodies, and 16 KiB of one in four chunks; beside buffer, which holds them back",
        edition: Edition::Bodies,
        document: || Document::empty().bodies(),
        probes: probes_of_bodies,
        peers: &[Peer { row: "guard_body", filters: || vec![native::buffer()], probes: Vec::new }],
        traffic: traffic::uploads,
    },
    Row {
        name: "fleet_limit",
        about: "a rate-limit service is asked for every request; beside ratelimit",
        edition: Edition::Requests,
        document: || Document::empty().fleet(),
        probes: probes_of_fleet,
        peers: &[Peer { row: "fleet_limit", filters: || vec![native::ratelimit()], probes: Vec::new }],
        traffic: traffic::to_the_service,
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

#[cfg(test)]
mod tests;
