//! Where in the chain a WasmPlugin's phase puts us, seen by who answers first.

use sluice_integration::tokens::{self, Token};
use sluice_integration::{Answer, Request, Result, wait_until};
use sluice_mesh_test::{Mesh, Plugin};

use crate::asserts::SOON;

/// A policy that turns away who sends that header, under a rule of the same name.
fn denies(header: &str) -> String {
    format!(
        "{{version: 1, authz: {{default: allow, rules: [{{name: {header}, deny: true, match: {{headers: {{{header}: {{present: true}}}}}}}}]}}}}"
    )
}

fn plugin(phase: &str) -> Result<Plugin> {
    Ok(Plugin::new(&format!("in-{phase}"), &denies(&format!("x-{phase}")))?.on("inventory").server())
}

/// The authority and issuer of Istio's own authentication, and a path that its authorisation denies.
fn istios_own() -> String {
    format!(
        r#"
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: inventory, namespace: shop }}
spec:
  selector: {{ matchLabels: {{ app: inventory }} }}
  jwtRules: [{{ issuer: "{}", jwks: '{}' }}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: inventory, namespace: shop }}
spec:
  selector: {{ matchLabels: {{ app: inventory }} }}
  action: DENY
  rules: [{{ to: [{{ operation: {{ paths: [/forbidden] }} }}] }}]
"#,
        tokens::ISSUER,
        tokens::key_set(false)
    )
}

/// Who answered.
fn by(answer: &Answer) -> String {
    let text = answer.text();
    if answer.status == 401 && text.contains("Jwt") {
        return "jwt_authn".to_owned();
    }
    if text == "RBAC: access denied" {
        return "rbac".to_owned();
    }
    match answer.json()["reason"].as_str() {
        Some(reason) => reason.trim_start_matches("authz.denied.rule:x-").to_owned(),
        None => format!("status {}", answer.status),
    }
}

/// AUTHN, Istio's authentication, AUTHZ, Istio's authorisation, STATS, no phase.
pub(crate) fn of_the_phases_and_istios_own_filters(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(&istios_own())?;
    let mut applied = Vec::new();
    for phase in ["authn", "authz", "stats"] {
        applied.push(mesh.apply(&plugin(phase)?.phase(&phase.to_uppercase()).document())?);
    }
    applied.push(mesh.apply(&plugin("unset")?.document())?);
    for phase in ["authn", "authz", "stats", "unset"] {
        mesh.wait_for_plugin(&plugin(phase)?)?;
    }

    // Each can be made to answer; a request that asks several is answered by the first.
    let in_order = ["authn", "jwt_authn", "authz", "rbac", "stats", "unset"];
    let expired = Token::of("mallory").expires_in(-3600).sign();
    let ask = |of: &[&str]| {
        let path = if of.contains(&"rbac") { "/forbidden" } else { "/inventory/teapot" };
        let mut request = Request::get(path);
        for name in of {
            request = match *name {
                "jwt_authn" => request.bearer(&expired),
                "rbac" => request,
                phase => request.header(&format!("x-{phase}"), "1"),
            };
        }
        mesh.call("client", "inventory", &request)
    };
    wait_until("Istio's own policies to be in effect", SOON, || {
        ask(&["rbac"]).is_ok_and(|answer| by(&answer) == "rbac")
            && ask(&["jwt_authn"]).is_ok_and(|answer| by(&answer) == "jwt_authn")
    })?;
    for first in 0..in_order.len() {
        assert_eq!(
            by(&ask(&in_order[first..])?),
            in_order[first],
            "all of {:?} were asked",
            &in_order[first..]
        );
        assert_eq!(by(&ask(&in_order[first..=first])?), in_order[first]);
    }
    assert_eq!(ask(&[])?.status, 200);
    assert_eq!(ask(&["jwt_authn", "stats"]).map(|answer| by(&answer))?, "jwt_authn");
    Ok(())
}

/// Within a phase the higher `priority` comes first.
pub(crate) fn of_two_plugins_in_one_phase(mesh: &Mesh) -> Result<()> {
    let (low, high) = (
        plugin("low")?.phase("AUTHN").with("priority", 1),
        plugin("high")?.phase("AUTHN").with("priority", 10),
    );
    let _low = mesh.apply(&low.document())?;
    let _high = mesh.apply(&high.document())?;
    mesh.wait_for_plugin(&low)?;
    mesh.wait_for_plugin(&high)?;
    let ask = |request: Request| mesh.call("client", "inventory", &request);
    assert_eq!(by(&ask(Request::get("/").header("x-low", "1").header("x-high", "1"))?), "high");
    assert_eq!(by(&ask(Request::get("/").header("x-low", "1"))?), "low");
    Ok(())
}
