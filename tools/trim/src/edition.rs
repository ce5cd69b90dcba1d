//! The modules of `dist/`: data. A new one is an entry in [`EDITIONS`].

use std::collections::BTreeSet;

use sluice_core::decision::follow_up::Phase;
use sluice_metadata::Metadata;
use sluice_pipeline::{FEATURES as ALL_FEATURES, SECTIONS as ALL_SECTIONS};

/// The cargo package that all of them are built from, a cdylib.
pub const PACKAGE: &str = "sluice-suite";

/// What every module exports: what the host must find (proxy-wasm ABI 0.2.1), and the callbacks of plugins and of the
/// lives of contexts.
///
/// `proxy_on_done` is left out on purpose: Envoy then takes a context to be done at once, a call less for every request.
/// What a plugin has to do at its end, such as stopping its tick, it does when `proxy_on_delete` drops it.
pub const COMMON_EXPORTS: [&str; 12] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    // It alone tells which plugin a stream belongs to, and one VM may hold several.
    "proxy_on_context_create",
    // Delayed requests go on, and counters are settled, on the tick.
    "proxy_on_tick",
    // The answers of clusters that were called, and their failures.
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_close",
    // Without it the SDK's table of contexts grows with every request, and no plugin learns that it has been replaced.
    "proxy_on_delete",
];

/// Parts of request bodies: what judges them needs it.
const REQUEST_BODY: &str = Phase::RequestBody.export();
const REQUEST: &str = "proxy_on_request_headers";
/// Where trailers are removed that would pass for headers which the document protects; called for requests that have trailers.
const TRAILERS: &str = "proxy_on_request_trailers";
/// Where headers are added to responses: of all policies, rate limiting does.
const RESPONSE: &str = Phase::Response.export();
/// Where finished requests are counted: of all policies, telemetry does.
const LOG: &str = Phase::End.export();

const AUTHN: &str = "authn";
const AUTHZ: &str = "authz";
const RATE_LIMIT: &str = "rateLimit";
const ROUTING: &str = "routing";
const FAULT: &str = "fault";
const TELEMETRY: &str = "telemetry";

/// One module of `dist/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// Its file's name without `.wasm`.
    pub name: &'static str,
    /// The cargo features of [`PACKAGE`] that it is built with; the default ones are off.
    pub features: &'static [&'static str],
    /// Whether it verifies signatures by itself where the host does not.
    pub own_signatures: bool,
    /// The sections of a document that it accepts, besides `version`, `client` and `definitions`.
    pub sections: &'static [&'static str],
    /// The callbacks of requests that it exports: each costs on every request, needed or not.
    pub callbacks: &'static [&'static str],
}

/// Editions of equal features stand together: they are cut from one build.
pub const EDITIONS: [Edition; 10] = [
    Edition {
        name: "sluice",
        features: ALL_FEATURES,
        own_signatures: true,
        sections: ALL_SECTIONS,
        callbacks: &[REQUEST, TRAILERS, RESPONSE, LOG],
    },
    Edition {
        name: "sluice-bodies",
        features: ALL_FEATURES,
        own_signatures: true,
        sections: ALL_SECTIONS,
        callbacks: &[REQUEST, REQUEST_BODY, TRAILERS, RESPONSE, LOG],
    },
    Edition {
        name: "sluice-headers",
        features: ALL_FEATURES,
        own_signatures: true,
        sections: ALL_SECTIONS,
        callbacks: &[REQUEST, TRAILERS, RESPONSE],
    },
    Edition {
        name: "sluice-requests",
        features: ALL_FEATURES,
        own_signatures: true,
        sections: ALL_SECTIONS,
        callbacks: &[REQUEST, TRAILERS],
    },
    Edition {
        name: "sluice-host-signatures",
        features: ALL_FEATURES,
        own_signatures: false,
        sections: ALL_SECTIONS,
        callbacks: &[REQUEST, TRAILERS, RESPONSE, LOG],
    },
    Edition {
        name: "sluice-auth",
        features: &["auth"],
        own_signatures: true,
        sections: &[AUTHN, AUTHZ],
        callbacks: &[REQUEST, TRAILERS],
    },
    Edition {
        name: "sluice-rate-limit",
        features: &["rate-limit"],
        own_signatures: false,
        sections: &[RATE_LIMIT],
        callbacks: &[REQUEST, RESPONSE],
    },
    Edition {
        name: "sluice-routing",
        features: &["routing"],
        own_signatures: false,
        sections: &[ROUTING],
        callbacks: &[REQUEST, TRAILERS],
    },
    Edition {
        name: "sluice-fault",
        features: &["fault"],
        own_signatures: false,
        sections: &[FAULT],
        callbacks: &[REQUEST],
    },
    Edition {
        name: "sluice-telemetry",
        features: &["telemetry"],
        own_signatures: false,
        sections: &[TELEMETRY],
        callbacks: &[REQUEST, LOG],
    },
];

// === impl Edition ===

impl Edition {
    /// The cargo features of the pipeline that it is built with, each once: one may bring several sections.
    pub fn all_features(&self) -> Vec<&'static str> {
        let mut features = self.features.to_vec();
        features.dedup();
        features.extend(self.own_signatures.then_some("own-signatures"));
        features
    }

    /// Everything that its module exports.
    pub fn exports(&self) -> BTreeSet<&'static str> {
        COMMON_EXPORTS.iter().chain(self.callbacks).copied().collect()
    }

    /// What its module says about itself.
    pub fn metadata(&self, version: &str) -> Metadata {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Metadata {
            version: version.to_owned(),
            edition: self.name.to_owned(),
            sections: owned(self.sections),
            callbacks: owned(self.callbacks),
            own_signatures: self.own_signatures,
        }
    }

    /// Its file's name in `dist/`.
    pub fn file_name(&self) -> String {
        format!("{}.wasm", self.name)
    }
}
