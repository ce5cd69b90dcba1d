//! What `sluice explain` is told beside the decision: claims beside what is wanted, credentials in the wrong place. Never a credential.

use crate::credential::{CredentialSource, Found};
use crate::jws::Jws;
use crate::jwt::JwtProvider;
use serde_json::Value;
use sluice_core::decision::environment::UnixTime;
use sluice_core::http::request::RequestView;
use sluice_core::rule::when::claim_matches;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Headers in which a credential is often sent.
const HEADERS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "access-token",
    "x-jwt-assertion",
];

/// Parameters in which a credential is often sent.
const PARAMETERS: [&str; 5] = ["access_token", "token", "api_key", "apikey", "key"];

/// `iss`, `aud` and `exp` of the token that came, each beside what is wanted; nothing of a token that is none.
pub(crate) fn claims(jwt: &JwtProvider, request: &RequestView<'_>, now: UnixTime) -> Option<String> {
    let Found::Once(token) = CredentialSource::read_all(&jwt.sources, request) else { return None };
    let jws = Jws::parse(&token).ok()?;
    let claim = |name: &str| jws.claims.get(name);
    let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
    let audiences = match &jwt.rules.audiences {
        None => "any is accepted".to_owned(),
        Some(audiences) => format!("wanted is one of {}", Value::from(audiences.clone())),
    };
    let skew = jwt.rules.clock_skew.checked_div(1_000_000_000).unwrap_or_default();
    let mut text = format!(
        "its iss is {}, wanted is {}; its aud is {}, {audiences}; its exp is {}",
        shown(claim("iss")),
        Value::from(jwt.issuer.clone()),
        shown(claim("aud")),
        date(claim("exp"), now),
    );
    if let Some(begin) = claim("nbf") {
        text.push_str(&format!("; its nbf is {}", date(Some(begin), now)));
    }
    if let Some(longest) = jwt.rules.max_lifetime {
        let longest = longest.checked_div(1_000_000_000).unwrap_or_default();
        text.push_str(&format!("; it may expire in {} at most", span(longest)));
    }
    text.push_str(&format!("; clocks may differ by {skew}s"));
    if jwt.rules.subjects.is_some() {
        let met = if jwt.rules.accepts_subject(&jws.claims) { "as wanted" } else { "not as wanted" };
        text.push_str(&format!("; its sub is {}, which is {met}", shown(claim("sub"))));
    }
    for (path, _) in
        jwt.rules.claims.iter().filter(|(path, wanted)| !claim_matches(path, wanted, &jws.claims))
    {
        text.push_str(&format!("; its {path} is {}, which is not as wanted", shown(path.find(&jws.claims))));
    }
    Some(text)
}

/// A NumericDate for people, with how far it is from `now`.
fn date(claim: Option<&Value>, now: UnixTime) -> String {
    let Some(claim) = claim else { return "absent".to_owned() };
    let now =
        i64::try_from(now.as_nanos().checked_div(1_000_000_000).unwrap_or_default()).unwrap_or(i64::MAX);
    // Casting saturates.
    #[allow(clippy::cast_possible_truncation)]
    let seconds = claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64));
    let written = seconds.and_then(|seconds| {
        Some((seconds, OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()?))
    });
    let Some((seconds, written)) = written else { return claim.to_string() };
    let away = span(seconds.abs_diff(now));
    if seconds <= now { format!("{written}, {away} ago") } else { format!("{written}, in {away}") }
}

/// A span of time in its two largest units.
fn span(seconds: u64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400_u64), ("h", 3600), ("min", 60), ("s", 1)] {
        let count = rest.checked_div(length).unwrap_or_default();
        rest = rest.checked_rem(length).unwrap_or_default();
        if count > 0 || (length == 1 && parts.is_empty()) {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.truncate(2);
    parts.join(" ")
}

/// Where something stood that may have been meant for a provider that looks in `sources` and found nothing there.
pub(crate) fn misplaced(sources: &[CredentialSource], request: &RequestView<'_>) -> Option<String> {
    let mut hints = Vec::new();
    for source in sources {
        if let CredentialSource::Header { name, scheme: Some(scheme) } = source
            && let Some(value) = request.headers().first(name.as_str())
        {
            // A scheme is no secret, but what stands there may have none.
            let what = match value.iter().position(|byte| *byte == b' ') {
                Some(_) => "another scheme",
                None => "something without a scheme",
            };
            hints.push(format!(
                "`{name}` holds {what}: `{scheme}` and a blank must stand before the credential"
            ));
        }
    }
    let looks_in = |header: &str| {
        sources
            .iter()
            .any(|source| matches!(source, CredentialSource::Header { name, .. } if name.as_str() == header))
    };
    for header in HEADERS {
        if !looks_in(header) && request.headers().first(header).is_some() {
            hints.push(format!("there is a header `{header}`, where it does not look"));
        }
    }
    for parameter in PARAMETERS {
        let known =
            sources.iter().any(|source| matches!(source, CredentialSource::Query(name) if name == parameter));
        if !known && request.query_values(parameter).next().is_some() {
            hints.push(format!("there is a `{parameter}` in the query, where it does not look"));
        }
    }
    (!hints.is_empty()).then(|| hints.join("; "))
}
