//! `routing`: which version answers.

use super::call::Call;
use super::walk::{Seen, Walk, check};
use crate::Result;

/// How many users the canary is tried with.
const USERS: usize = 60;

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Routing: which version answers");
    let alice = "--sub alice --scope orders:read";
    let v2 = |seen: &Seen| {
        vec![seen.status(200), check("version v2 answered", seen.answer.json()["version"] == "v2")]
    };
    walk.step("By header", &Call::get("/orders/7").token(alice).header("x-version", "v2"), v2)?;
    walk.step(
        "By cookie",
        &Call::get("/orders/7").token(alice).header("cookie", "theme=dark; preview=on"),
        v2,
    )?;
    walk.step(
        "By a claim of the token",
        &Call::get("/orders/7").token(&format!("{alice} --claim tier=beta")),
        v2,
    )?;
    walk.step(
        "A client can't choose for itself: the header that the routes look at is removed",
        &Call::get("/orders/7").token(alice).header("x-sluice-subset", "v2"),
        |seen| vec![seen.status(200), check("version v1 answered", seen.answer.json()["version"] == "v1")],
    )?;
    let line = format!(
        "for i in $(seq {USERS}); do {}; done",
        walk.curl(&Call::get("/canary").token("--sub user-$i --scope orders:read"))
    );
    walk.several("A canary for a quarter of the users, and a user stays where they are", &line, |walk| {
        let version_for = |user: usize| -> Result<String> {
            let call = Call::get("/canary").token(&format!("--sub user-{user} --scope orders:read"));
            Ok(walk.send(&call)?.answer.json()["version"].as_str().unwrap_or("?").to_owned())
        };
        let first: Vec<String> = (0..USERS).map(version_for).collect::<Result<_>>()?;
        let second: Vec<String> = (0..USERS).map(version_for).collect::<Result<_>>()?;
        let canaries = first.iter().filter(|version| *version == "v2").count();
        Ok((
            vec![format!("→ {canaries} of {USERS} users get v2, the same again when they come back")],
            vec![
                // 15 expected; outside of 4…30 is less likely than one in ten thousand, and the draw is fixed by the names.
                check("about a quarter", (4..=30).contains(&canaries)),
                check("sticky", first == second),
                check(
                    "only versions that exist",
                    first.iter().all(|version| version == "v1" || version == "v2"),
                ),
            ],
        ))
    })
}
