//! `authn` with keys that are fetched: the issuer changes them while the proxy serves.

use std::time::Duration;

use super::call::Call;
use super::walk::Walk;
use crate::{Error, Request, Result, wait_until_some};

/// What a contractor asks the issuer for.
const TOKEN: &str = "/token?sub=dora&scope=orders:read";

/// How long keys may take to arrive: the policy asks for another fetch a second after the last one at the earliest.
const SOON: Duration = Duration::from_secs(30);

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Keys that rotate: an issuer whose key set the edge fetches");
    let issuer = walk.lines().issuer.clone();
    let curl = walk.curl(&Call::get("/orders/7"));
    let get_token = format!("TOKEN=$(curl -s -X POST '{issuer}{TOKEN}')");
    let line = format!("{get_token}; {curl} -H \"authorization: Bearer $TOKEN\"");
    let mut old = String::new();
    walk.several(
        "A contractor's token is good: the edge has the issuer's key, by one fetch for all workers",
        &line,
        |walk| {
            old = issued(walk, TOKEN)?;
            let seen = walk.send(&with(&old))?;
            Ok((
                vec![format!("→ {}", seen.answer.status)],
                vec![
                    seen.status(200),
                    seen.service_saw("x-user", "dora"),
                    seen.service_saw("x-user-provider", "contractors"),
                ],
            ))
        },
    )?;
    let line = format!("curl -s -X POST {issuer}/rotate; {line}");
    walk.several(
        "The issuer changes its key: a token of the new one is good, one of the old no more",
        &line,
        |walk| {
            let key = issued(walk, "/rotate")?;
            let new = issued(walk, TOKEN)?;
            // The workers learn of it one after the other, within 100 ms: each call may come to another.
            let answered = |token: &str, status: u16| {
                wait_until_some(&format!("status {status}"), SOON, || {
                    walk.send(&with(token)).ok().filter(|seen| seen.answer.status == status)
                })
            };
            let (good, refused) = (answered(&new, 200)?, answered(&old, 401)?);
            Ok((
                vec![
                    format!("→ the key is now {key}"),
                    format!("→ with the old token: {}", refused.answer.status),
                ],
                vec![
                    good.service_saw("x-user", "dora"),
                    refused.status(401),
                    refused.reason("authn.unknown_key"),
                ],
            ))
        },
    )
}

fn with(token: &str) -> Call {
    Call::get("/orders/7").header("authorization", &format!("Bearer {token}"))
}

/// What the issuer answers, a line of text.
fn issued(walk: &Walk, path: &str) -> Result<String> {
    let answer = walk.demo().issuer().send(&Request::new("POST", path))?;
    match answer.status {
        200 => Ok(answer.text().trim().to_owned()),
        status => Err(Error::Other(format!("the issuer answers {status}: {}", answer.text()))),
    }
}
