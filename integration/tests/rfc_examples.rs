//! The signed examples of RFC 7515 appendix A whose payloads are claims, on a real Envoy. They expired in 2011, which is said of genuine tokens
//! alone: so the reason tells whether the signature was verified. (The payloads of §A.4, RFC 7520 and RFC 8037 are no claims; their
//! signatures are verified in the crate `authn`.)

use serde_json::json;
use sluice_integration::{Gateway, Request};

const PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// The same, but that `http://example.com/is_root` is false.
const CHANGED: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290IjpmYWxzZX0";

/// The header and the signature of each, by section.
const EXAMPLES: [(&str, &str, &str); 3] = [
    ("A.1", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    (
        "A.2",
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "A.3",
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
];

#[test]
fn the_examples_of_rfc_7515_are_genuine_and_what_is_changed_in_them_is_not() {
    let keys = json!([
        { "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" },
        { "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" },
        { "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }
    ]);
    let jwt = json!({ "issuer": "joe", "anyAudience": true, "principal": "iss", "keys": { "inline": { "keys": keys } } });
    let policy =
        json!({ "version": 1, "telemetry": {}, "authn": { "providers": [{ "name": "joe", "jwt": jwt }] } });
    let gateway = Gateway::with_policy(&policy.to_string());
    for (section, header, signature) in EXAMPLES {
        let first = if signature.starts_with('A') { "B" } else { "A" };
        for (what, token, reason) in [
            ("genuine", format!("{header}.{PAYLOAD}.{signature}"), "authn.token_expired"),
            (
                "signature",
                format!("{header}.{PAYLOAD}.{first}{}", &signature[1..]),
                "authn.signature_invalid",
            ),
            ("payload", format!("{header}.{CHANGED}.{signature}"), "authn.signature_invalid"),
        ] {
            let path = format!("/{section}/{what}");
            assert_eq!(gateway.send(Request::get(&path).bearer(&token)).status, 401);
            assert_eq!(gateway.details(&path), reason, "{path}");
        }
    }
    assert_eq!(gateway.upstream().count(), 0);
}
