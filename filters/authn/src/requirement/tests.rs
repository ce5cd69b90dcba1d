use crate::algorithm::Algorithm;
use crate::config::AuthnSection;
use crate::test_tokens::{AUDIENCE, ISSUER, NOW, encode, jwk, token};
use serde_json::{Value, json};
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const PROVIDERS: [&str; 3] = ["a", "b", "c"];

/// Three issuers, each of which reads its own header and forwards its own.
fn section(require: &Value) -> Value {
    let provider = |name: &&str| {
        json!({ "name": name, "jwt": {
            "issuer": format!("https://{name}.example.com"),
            "audiences": [AUDIENCE, "reports"],
            "from": { "header": format!("x-token-{name}") },
            "keys": { "inline": { "keys": [jwk("secret")] } },
            "forward": { "headers": { format!("x-user-{name}"): "sub" }, "payload": format!("x-claims-{name}") }
        } })
    };
    let providers: Vec<Value> = PROVIDERS.iter().map(provider).collect();
    json!({ "providers": providers, "rules": [{ "name": "rule", "require": require }] })
}

fn stand(require: &Value) -> Stand {
    Stand::new::<AuthnSection>("authn", section(require))
        .unwrap_or_else(|problems| panic!("{require}: {problems}"))
}

fn problems(section: Value) -> Vec<String> {
    let problems = Stand::new::<AuthnSection>("authn", section).map(|_| ()).unwrap_err();
    problems.to_string().lines().map(str::to_owned).collect()
}

/// A credential of a provider.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Nothing,
    Good,
    Expired,
}

fn request(shown: [Shown; 3]) -> SimulatedRequest {
    let mut request = SimulatedRequest::get("/");
    for (name, shown) in PROVIDERS.iter().zip(shown) {
        let changes = |exp: u64| json!({ "iss": format!("https://{name}.example.com"), "sub": format!("user-of-{name}"), "exp": exp });
        let token = match shown {
            Shown::Nothing => continue,
            Shown::Good => token(Algorithm::Hs256, changes(NOW + 600)),
            Shown::Expired => token(Algorithm::Hs256, changes(NOW - 600)),
        };
        request = request.header(&format!("x-token-{name}"), token);
    }
    request
}

fn play(stand: &Stand, request: &SimulatedRequest) -> Played {
    stand.play(request, &SimulatedHost::default())
}

/// What a requirement means, said once more and as plainly as can be: who calls, if the request goes on. `Err`: it is refused.
fn meaning(require: &Value, shown: [Shown; 3]) -> Result<Option<&'static str>, ()> {
    enum Met {
        By(&'static str),
        Nothing,
        Not,
    }
    fn met(proof: &Value, shown: [Shown; 3]) -> Met {
        if let Some(name) = proof.as_str() {
            let position = PROVIDERS.iter().position(|known| *known == name).unwrap();
            return match shown[position] {
                Shown::Good => Met::By(PROVIDERS[position]),
                Shown::Nothing => Met::Nothing,
                Shown::Expired => Met::Not,
            };
        }
        let (kind, list) = proof.as_object().unwrap().iter().next().unwrap();
        let all: Vec<(bool, Met)> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|proof| (proof.get("optional").is_some(), met(proof, shown)))
            .collect();
        let one = |wanted: fn(&Met) -> bool| all.iter().any(|(_, met)| wanted(met));
        let first = all.iter().find_map(|(_, met)| match met {
            Met::By(name) => Some(*name),
            _ => None,
        });
        let is_bad = |met: &Met| matches!(met, Met::Not);
        match (kind.as_str(), first) {
            ("all", _) if one(is_bad) => Met::Not,
            ("all", Some(name)) => {
                let lacks = all.iter().any(|(optional, met)| !optional && matches!(met, Met::Nothing));
                if lacks { Met::Not } else { Met::By(name) }
            }
            (_, Some(name)) => Met::By(name),
            (_, None) if one(is_bad) => Met::Not,
            (_, None) => Met::Nothing,
        }
    }
    let lenient = ["optional", "allowMissingOrFailed"].map(|kind| require.get(kind).is_some());
    match (met(require, shown), lenient) {
        (Met::By(name), _) => Ok(Some(name)),
        (Met::Nothing, [true, _] | [_, true]) | (Met::Not, [_, true]) => Ok(None),
        (Met::Nothing | Met::Not, _) => Err(()),
    }
}

#[test]
fn who_gets_in_is_what_the_requirement_says_for_every_set_of_credentials() {
    for require in [
        json!({ "any": ["a", "b"] }),
        json!({ "all": ["a", "b"] }),
        json!({ "all": ["a", "b", "c"] }),
        json!({ "optional": ["a", "b"] }),
        json!({ "allowMissingOrFailed": ["a", "b"] }),
        json!({ "any": ["a", { "all": ["b", "c"] }] }),
        json!({ "all": ["a", { "any": ["b", "c"] }] }),
        json!({ "all": ["a", { "optional": ["b"] }] }),
        json!({ "all": ["a", { "optional": ["b", "c"] }] }),
        json!({ "all": ["c", { "optional": [{ "all": ["a", "b"] }] }] }),
        json!({ "optional": [{ "all": ["a", "b"] }] }),
        json!({ "allowMissingOrFailed": [{ "all": ["a", "b"] }, "c"] }),
        json!({ "any": [{ "any": ["a", "b"] }, { "all": ["c"] }] }),
        json!({ "all": [{ "any": ["a", "b"] }, "c"] }),
    ] {
        // Every provider must be of some rule.
        let mut section = section(&require);
        section["rules"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "others", "match": { "paths": ["/others"] } }));
        section["rules"][0]["match"] = json!({ "paths": ["/"] });
        let stand =
            Stand::new::<AuthnSection>("authn", section).unwrap_or_else(|problems| panic!("{problems}"));
        let kinds = [Shown::Nothing, Shown::Good, Shown::Expired];
        for case in 0..27 {
            let shown = [kinds[case % 3], kinds[case / 3 % 3], kinds[case / 9]];
            let played = play(&stand, &request(shown));
            let expected = meaning(&require, shown);
            let found = match played.status() {
                None => Ok(played
                    .identity
                    .as_ref()
                    .map(|identity| identity.provider.as_ref().unwrap().to_string())),
                Some(401) => Err(()),
                other => panic!("{other:?}"),
            };
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                expected.as_ref().map(|name| *name),
                "{require} {shown:?}"
            );
            if found.is_err() {
                continue;
            }
            // Whatever was let in: no credential and no claim of anybody reaches the service but those that were accepted.
            for (name, shown) in PROVIDERS.iter().zip(shown) {
                let token = played.request_header(&format!("x-token-{name}"));
                assert_eq!(token, (shown != Shown::Nothing).then_some(None), "{require} {shown:?}");
                let tells = played.request_header(&format!("x-user-{name}")).flatten().is_some();
                assert!(shown == Shown::Good || !tells, "{require} {name}");
            }
        }
    }
}

#[test]
fn all_that_are_asked_for_together_tell_the_service() {
    let played = play(&stand(&json!({ "all": ["a", "b", "c"] })), &request([Shown::Good; 3]));
    for name in PROVIDERS {
        let user = played.request_header(&format!("x-user-{name}")).flatten();
        assert_eq!(user, Some(format!("user-of-{name}")));
    }
    assert_eq!(played.decisions, PROVIDERS.map(|name| format!("authn.ok.provider:{name}")));
    assert_eq!(played.identity.unwrap().principal, "user-of-a");
}

#[test]
fn what_is_let_in_though_it_failed_is_counted_apart() {
    let stand = stand(&json!({ "allowMissingOrFailed": ["a", "b", "c"] }));
    for (shown, decision) in [
        ([Shown::Nothing; 3], "ok.anonymous"),
        ([Shown::Expired, Shown::Nothing, Shown::Nothing], "ok.failed"),
        ([Shown::Expired, Shown::Good, Shown::Nothing], "ok.provider:b"),
    ] {
        assert_eq!(play(&stand, &request(shown)).decisions, [format!("authn.{decision}")]);
    }
}

#[test]
fn a_rule_narrows_the_audiences() {
    let stand = stand(&json!({ "any": [{ "provider": "a", "audiences": ["reports"] }, "b", "c"] }));
    for (audience, status) in [
        (json!("reports"), None),
        (json!(["orders", "reports"]), None),
        (json!("orders"), Some(401)),
        (json!("other"), Some(401)),
        (json!([]), Some(401)),
        (Value::Null, Some(401)),
    ] {
        let changes = json!({ "iss": "https://a.example.com", "aud": audience });
        let token = token(Algorithm::Hs256, changes);
        // The second time it is remembered.
        for _ in 0..2 {
            let played = play(&stand, &SimulatedRequest::get("/").header("x-token-a", token.clone()));
            assert_eq!(played.status(), status, "{audience}");
            assert_eq!(played.identity.is_some(), status.is_none());
            if status.is_some() {
                assert_eq!(played.decisions, ["authn.audience_mismatch"]);
            }
        }
    }
}

#[test]
fn the_payload_goes_on_as_it_was_signed_and_nobody_else_can_write_it() {
    let stand = stand(&json!({ "optional": ["a", "b", "c"] }));
    let changes = json!({ "iss": "https://a.example.com", "name": "Zoë" });
    let token = token(Algorithm::Hs256, changes);
    let payload = token.split('.').nth(1).unwrap();
    for _ in 0..2 {
        let request = SimulatedRequest::get("/").header("x-token-a", token.clone());
        let played = play(&stand, &request.header("x-claims-a", "forged").header("x-claims-b", encode("{}")));
        assert_eq!(played.request_header("x-claims-a").flatten().as_deref(), Some(payload));
        assert_eq!(played.request_header("x-claims-b"), Some(None));
    }
}

#[test]
fn what_could_not_be_met_or_would_be_met_by_accident_is_refused() {
    for (require, path, message) in [
        (json!({ "any": ["a", "b", "c", "a"] }), "any[3]", "`a` stands twice"),
        (json!({ "any": ["a", "b", "d"] }), "any[2]", "`d` is not a provider"),
        (json!({ "all": ["a", { "any": ["b", "d"] }] }), "all[1].any[1]", "`d` is not a provider"),
        (json!({ "any": ["a", { "optional": ["b"] }] }), "any[1].optional", "would let everybody in"),
        (
            json!({ "all": [{ "optional": ["a"] }, "b"] }),
            "all[0].optional",
            "the first of `all` says who is calling",
        ),
        (json!({ "any": [{ "any": ["a"], "all": ["b"] }] }), "any[0]", "exactly one of"),
        (json!({ "any": [{ "audiences": ["orders"] }] }), "any[0]", "exactly one of"),
        (
            json!({ "any": [{ "audiences": ["orders"], "any": ["a"] }] }),
            "any[0].audiences",
            "goes with `provider` only",
        ),
        (
            json!({ "any": [{ "provider": "a", "audiences": ["repots"] }] }),
            "any[0].audiences[0]",
            "is not an audience of `a`",
        ),
        (json!({ "any": [{ "provider": "a", "audiences": [" "] }] }), "any[0].audiences[0]", "empty"),
    ] {
        let problems = problems(section(&require));
        let path = format!("authn.rules[0].require.{path}");
        assert!(
            problems.iter().any(|line| line.contains(&path) && line.contains(message)),
            "{require}: {problems:?}"
        );
    }
}

#[test]
fn proofs_that_are_asked_for_together_must_not_be_in_each_others_way() {
    let provider = |name: &str, changes: Value| {
        let mut jwt = json!({
            "issuer": format!("https://{name}.example.com"), "audiences": [AUDIENCE],
            "keys": { "inline": { "keys": [jwk("secret")] } }
        });
        jwt.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "name": name, "jwt": jwt })
    };
    let from = |header: &str| json!({ "header": header });
    for (first, second, message) in [
        (json!({}), json!({}), "read the same place"),
        (
            json!({ "from": [from("x-a"), from("x-b")] }),
            json!({ "from": from("x-b") }),
            "read the same place",
        ),
        (
            json!({ "from": from("x-a"), "forward": { "headers": { "x-user": "sub" } } }),
            json!({ "from": from("x-b"), "forward": { "headers": { "x-user": "sub" } } }),
            "both have the header `x-user`",
        ),
        (
            json!({ "from": from("x-a"), "forward": { "payload": "x-user" } }),
            json!({ "from": from("x-b"), "forward": { "provider": "x-user" } }),
            "both have the header `x-user`",
        ),
    ] {
        let section = json!({
            "providers": [provider("a", first), provider("b", second)],
            "rules": [{ "name": "both", "require": { "all": ["a", "b"] } }]
        });
        let problems = problems(section);
        assert!(
            problems.iter().any(|line| line.contains("all[1]") && line.contains(message)),
            "{problems:?}"
        );
    }
    // Two ways to look at the tokens of one issuer can both be met.
    let section = json!({
        "providers": [
            provider("a", json!({ "issuer": ISSUER })),
            provider("b", json!({ "issuer": ISSUER, "claims": { "hd": "example.com" } }))
        ],
        "rules": [{ "name": "both", "require": { "all": ["a", "b"] } }]
    });
    let stand = Stand::new::<AuthnSection>("authn", section).unwrap_or_else(|problems| panic!("{problems}"));
    for (hd, status) in [(json!("example.com"), None), (json!("example.org"), Some(401))] {
        let token = token(Algorithm::Hs256, json!({ "hd": hd }));
        let request = SimulatedRequest::get("/").header("authorization", format!("Bearer {token}"));
        assert_eq!(play(&stand, &request).status(), status);
    }
}

#[test]
fn a_bad_credential_that_could_not_be_taken_out_is_not_let_in() {
    let mut section = section(&json!({ "allowMissingOrFailed": ["a", "b", "c"] }));
    section["providers"][1]["jwt"]["from"] = json!({ "query": "token" });
    let problems = problems(section);
    assert!(problems.iter().any(|line| line.contains("reads credentials from the query")), "{problems:?}");
}
