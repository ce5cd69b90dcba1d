//! Without code of its own for signatures: `cargo test -p sluice-authn --no-default-features --test host_alone`.

#![cfg(all(not(feature = "own-signatures"), not(target_arch = "wasm32")))]

use serde_json::{Value, json};
use sluice_authn::AuthnSection;
use sluice_core::decision::environment::UnixTime;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};

/// The token of RFC 7515 §A.3, which is for no audience, and its key.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn es256() -> Value {
    json!({ "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" })
}

fn compile(change: impl FnOnce(&mut Value)) -> Result<Stand, String> {
    let mut jwt =
        json!({ "issuer": "joe", "audiences": ["orders"], "keys": { "inline": { "keys": [es256()] } } });
    change(&mut jwt);
    let section = json!({ "providers": [{ "name": "staff", "jwt": jwt }] });
    Stand::new::<AuthnSection>("authn", section).map_err(|problems| problems.to_string())
}

fn host() -> SimulatedHost {
    SimulatedHost::default().at(UnixTime::from_seconds(1_300_819_000))
}

fn play(stand: &Stand, host: &SimulatedHost) -> Played {
    let request = SimulatedRequest::get("/").header("authorization", format!("Bearer {TOKEN}"));
    stand.play(&request, host)
}

#[test]
fn what_the_host_says_of_a_signature_decides() {
    for (host, status, decision) in [
        (host().with_host_crypto(false), 401, "authn.signature_invalid"),
        // The signature is good; that the token is for somebody else is found out after that.
        (host().with_host_crypto(true), 401, "authn.audience_mismatch"),
        (host(), 503, "authn.signature_unverifiable"),
    ] {
        // Each a worker of its own: what is known to be forged is not verified again.
        let played = play(&compile(|_| ()).unwrap(), &host);
        assert_eq!(played.status(), Some(status), "{decision}");
        assert_eq!(played.decisions, [decision]);
        assert!(played.identity.is_none());
    }
}

#[test]
fn a_host_that_cannot_verify_is_noticed_when_the_document_is_loaded() {
    let stand = compile(|_| ()).unwrap();
    let lacking = stand.lacks(&host()).unwrap_or_default();
    assert!(lacking.contains("the provider `staff`") && lacking.contains("sluice.wasm"), "{lacking}");
    for answer in [true, false] {
        assert_eq!(stand.lacks(&host().with_host_crypto(answer)), None);
    }
}

#[test]
fn what_no_host_verifies_is_refused_with_its_field() {
    let ed25519 =
        || json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    for (change, expected) in [
        (
            Box::new(|jwt: &mut Value| jwt["algorithms"] = json!(["ES256", "PS256"]))
                as Box<dyn FnOnce(&mut Value)>,
            "authn.providers[0].jwt.algorithms[1]: no host verifies `PS256`",
        ),
        (
            Box::new(move |jwt: &mut Value| jwt["keys"]["inline"]["keys"] = json!([es256(), ed25519()])),
            "authn.providers[0].jwt.keys.inline.keys[1]: no host verifies `EdDSA`",
        ),
    ] {
        let problems = compile(change).err().unwrap_or_default();
        assert!(problems.contains(expected), "{expected}\n{problems}");
    }
}
