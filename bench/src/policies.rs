//! Our documents of the rows, and the numbers that they share with Envoy's own filters.

use serde_json::{Value, json};
use sluice_integration::tokens;

/// The sustained limit and the burst of each key, in requests (per second): more than a client of the load sends, few enough
/// that a probe exceeds it at once.
pub const LIMIT: u32 = 1_000;

/// How many verified tokens are remembered, by us and by `jwt_authn`.
pub const CACHE: u32 = 1_000;

/// The largest body, in bytes.
pub const BODY: usize = 64 << 10;

/// The page that may call from another origin.
pub const ORIGIN: &str = "https://shop.example.com";

/// The team of all users of the load.
pub const TEAM: &str = "clerks";

/// One of the ten rules: a name, a path with all below it, a method.
pub struct AccessRule {
    /// Its name. Envoy's RBAC asks its policies in the order of their names.
    pub name: &'static str,
    /// The path.
    pub path: &'static str,
    /// The method.
    pub method: &'static str,
}

/// Ten rules as an API of a shop has them; each asks for the team [`TEAM`], too.
pub const ACCESS_RULES: [AccessRule; 10] = [
    AccessRule { name: "r0-read-orders", path: "/orders", method: "GET" },
    AccessRule { name: "r1-write-orders", path: "/orders", method: "POST" },
    AccessRule { name: "r2-change-orders", path: "/orders", method: "PUT" },
    AccessRule { name: "r3-read-customers", path: "/customers", method: "GET" },
    AccessRule { name: "r4-write-customers", path: "/customers", method: "POST" },
    AccessRule { name: "r5-read-invoices", path: "/invoices", method: "GET" },
    AccessRule { name: "r6-write-invoices", path: "/invoices", method: "POST" },
    AccessRule { name: "r7-read-stock", path: "/stock", method: "GET" },
    AccessRule { name: "r8-read-reports", path: "/reports", method: "GET" },
    AccessRule { name: "r9-read-catalog", path: "/catalog", method: "GET" },
];

/// What a row's document has in it; nothing unless added.
#[derive(Default)]
pub struct Document {
    sections: serde_json::Map<String, Value>,
}

impl Document {
    /// Nothing but its version.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A token of the demo's issuer is required of everybody. `forward`: two claims go on as headers.
    pub fn tokens(mut self, forward: bool) -> Self {
        let headers = if forward { json!({ "x-user": "sub", "x-team": "team" }) } else { json!({}) };
        self.sections.insert(
            "authn".to_owned(),
            json!({
                "cache": { "size": CACHE },
                // Every request of a row may need a verification; a worker's budget is for floods.
                "budget": "1000000/s",
                "providers": [{ "name": "staff", "jwt": {
                    "issuer": tokens::ISSUER,
                    "audiences": [tokens::AUDIENCE],
                    "algorithms": ["RS256"],
                    "keys": { "inline": rsa_key_set() },
                    "forward": { "headers": headers },
                } }],
            }),
        );
        self
    }

    /// Ten rules by path, method and the token's claim `team`.
    pub fn rules_by_claim(self) -> Self {
        self.rules(&json!({}), &json!({ "when": { "claims": { "team": TEAM } } }))
    }

    /// Ten rules by path, method and the header `x-team`.
    pub fn rules_by_header(self) -> Self {
        self.rules(&json!({ "headers": { "x-team": TEAM } }), &json!({}))
    }

    fn rules(mut self, further_match: &Value, further: &Value) -> Self {
        let rules: Vec<Value> = ACCESS_RULES
            .iter()
            .map(|rule| {
                let paths = [rule.path.to_owned(), format!("{}/**", rule.path)];
                let matched = joined(&json!({ "paths": paths, "methods": [rule.method] }), further_match);
                joined(&json!({ "name": rule.name, "allow": true, "match": matched }), further)
            })
            .collect();
        self.sections.insert("authz".to_owned(), json!({ "default": "deny", "rules": rules }));
        self
    }

    /// A limit for each value of `key`, such as `identity.principal` or `header.x-client`. `fields`: every answer tells what is
    /// left; Envoy's own filter is silent unless told.
    pub fn limit(mut self, key: &str, fields: bool) -> Self {
        let rule = json!({ "name": "each", "key": [key], "limit": format!("{LIMIT}/s"), "burst": LIMIT });
        self.sections.insert("rateLimit".to_owned(), json!({ "headers": fields, "rules": [rule] }));
        self
    }

    /// A fault for requests with a header that no request of the load has: the least that makes us read the headers.
    pub fn fault(mut self) -> Self {
        let rule = json!({
            "name": "on-request",
            "match": { "headers": { "x-chaos": "abort" } },
            "abort": { "status": 503, "percent": 100 },
        });
        self.sections.insert("fault".to_owned(), json!({ "rules": [rule] }));
        self
    }

    /// A limit of bodies.
    pub fn bodies(mut self) -> Self {
        self.sections
            .insert("guard".to_owned(), json!({ "limits": { "body": format!("{}KiB", BODY >> 10) } }));
        self
    }

    /// A limit for each path that a rate-limit service counts; answers don't tell what is left.
    pub fn fleet(mut self) -> Self {
        let rule = json!({ "name": "each", "key": ["request.path"], "limit": format!("{LIMIT}/s"), "scope": "fleet" });
        let service = json!({ "cluster": "ratelimit", "timeout": "1s", "expectedProxies": 2 });
        self.sections
            .insert("rateLimit".to_owned(), json!({ "headers": false, "service": service, "rules": [rule] }));
        self
    }

    /// Pages of one other origin may call.
    pub fn cors(mut self) -> Self {
        let rule = json!({ "name": "shop", "origins": [ORIGIN], "methods": ["GET", "POST"] });
        self.sections.insert("api".to_owned(), json!({ "cors": [rule] }));
        self
    }

    /// Decisions for the access log, and whatever else telemetry does unless told.
    pub fn telemetry(mut self) -> Self {
        self.sections.insert("telemetry".to_owned(), json!({}));
        self
    }

    /// The document as Envoy gets it.
    pub fn json(mut self) -> String {
        self.sections.insert("version".to_owned(), json!(1));
        Value::Object(self.sections).to_string()
    }
}

/// The demo issuer's RSA key alone, for us and for `jwt_authn`.
pub fn rsa_key_set() -> Value {
    let mut set = tokens::key_set(false);
    if let Some(keys) = set["keys"].as_array_mut() {
        keys.retain(|key| key["kty"] == "RSA");
    }
    set
}

fn joined(object: &Value, further: &Value) -> Value {
    let mut joined = object.clone();
    if let (Some(fields), Some(further)) = (joined.as_object_mut(), further.as_object()) {
        fields.extend(further.clone());
    }
    joined
}
