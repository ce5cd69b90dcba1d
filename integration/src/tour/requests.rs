//! `guard`: what a request may be like at all.

use super::call::Call;
use super::walk::{Seen, Walk, check};
use crate::{Client, Protocol, Request, Result, Streamed};

/// The edge's limit of query parameters.
const PARAMETERS: usize = 20;

/// The edge's limit of bodies, and how much is sent at once.
const BODY: usize = 64 << 10;
const PART: usize = 16 << 10;

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Guard: what a request may be like");
    let many: Vec<String> = (0..=PARAMETERS).map(|number| number.to_string()).collect();
    walk.step(
        "Too many parameters: refused before anybody asks who is calling",
        &Call::get(&format!("/orders?{}", many.join("&"))),
        |seen| vec![seen.status(400), seen.reason("guard.too_many_parameters")],
    )?;
    walk.step("The catalog is for reading: the answer says how", &Call::post("/catalog", "a"), |seen| {
        vec![
            seen.status(405),
            seen.header("allow", "GET, HEAD"),
            seen.reason("guard.method_not_allowed.rule:catalog"),
        ]
    })?;
    bodies(walk)
}

fn bodies(walk: &mut Walk) -> Result<()> {
    let order = Call::post("/orders", "").token("--sub carol --role clerk");
    let with_body = |length: usize| {
        let curl = walk.curl(&order).replace(" -X POST", "");
        format!("head -c {length} /dev/zero | {curl} --data-binary @-")
    };
    let (fits, too_large) = (with_body(BODY), with_body(BODY + 1));
    walk.several(
        "A body of 64 KiB may come, a byte more may not: its length tells",
        &format!("{fits}; {too_large}"),
        |walk| {
            let sent = |length: usize| -> Result<Seen> {
                let request = Request { body: vec![0; length], ..order.request()? };
                Ok(walk.seen(Client::new(walk.demo().edge_port()).send(&request)?))
            };
            let (taken, refused) = (sent(BODY)?, sent(BODY + 1)?);
            Ok((
                vec![format!("→ {}, {}", taken.answer.status, refused.answer.status)],
                vec![taken.status(201), refused.status(413), refused.reason("guard.body_too_large")],
            ))
        },
    )?;
    let streamed = format!("{too_large} -H 'transfer-encoding: chunked'");
    walk.several(
        "Without a length it is counted while it comes, and ended when there is too much",
        &streamed,
        |walk| {
            let request = Streamed::open(Protocol::Http1, walk.demo().edge_port(), &order.request()?)?;
            let mut parts = 0;
            // More than the limit, were all of it taken.
            while parts < 2 * BODY / PART && !request.is_answered() && request.send(vec![0; PART]) {
                parts += 1;
            }
            let seen = walk.seen(request.answer()?);
            Ok((
                vec![format!("→ {} after {parts} parts of {PART} bytes", seen.answer.status)],
                vec![
                    seen.status(413),
                    check("more than four were sent", parts > BODY / PART),
                    seen.reason("guard.body_too_large"),
                ],
            ))
        },
    )
}
