//! Tokens of an issuer that holds the key and writes what it likes: header and claims are parsed, and nothing but a good token is let in.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use sluice_core::http::header_map::HeaderMap;
use sluice_fuzz::{SECRET, decide, pipeline};
use sluice_pipeline::{Action, Pipeline};
use std::cell::OnceCell;

thread_local! {
    static PIPELINE: OnceCell<Pipeline> = const { OnceCell::new() };
}

const HEADER: &[u8] = br#"{"alg":"HS256","kid":"demo-hs256","typ":"JWT"}"#;

fuzz_target!(|data: (bool, &[u8], &[u8])| {
    let (own_header, header, claims) = data;
    let header = if own_header { header } else { HEADER };
    let mut token = format!("Bearer {}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac_sha256::HMAC::mac(&token.as_bytes()["Bearer ".len()..], SECRET);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    let headers = HeaderMap::from_pairs([
        (":method", "GET"),
        (":path", "/secret"),
        (":authority", "api.example.com"),
        ("authorization", &token),
    ]);
    PIPELINE.with(|once| {
        let decided = decide(once.get_or_init(pipeline), &headers);
        match decided.action {
            Action::Respond(reply) => {
                assert!(matches!(reply.status, 400 | 401 | 403 | 418 | 429 | 503), "{reply:?}");
            }
            Action::Continue => {
                let claims: serde_json::Value =
                    serde_json::from_slice(claims).expect("let in without claims");
                assert_eq!(claims["iss"], "https://id.sluice.demo");
                assert!(claims["exp"].is_number(), "let in for ever");
            }
        }
    });
});
