//! What the targets share: a document with every section, and what must be true of every decision.

use sluice_core::decision::follow_up::{End, Phase};
use sluice_core::decision::response::Edit;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::simulation::SimulatedHost;
use sluice_pipeline::{Action, Decided, Pipeline, Reply, Seeds};

/// A document in which every section has something to say.
pub const DOCUMENT: &str = include_str!("../seeds/document/all.json");

/// The secret of the document's HS256 key; the target `token` signs with it.
pub const SECRET: &[u8] = b"demo-secret-of-32-bytes-for-HS25";

/// The document, compiled.
pub fn pipeline() -> Pipeline {
    match Pipeline::from_json(DOCUMENT.as_bytes(), Seeds { local: 1, shared: 2 }) {
        Ok(pipeline) => pipeline,
        Err(problems) => panic!("seeds/document/all.json: {problems}"),
    }
}

/// The peer that the document believes, at a fixed time.
pub fn environment() -> SimulatedHost {
    SimulatedHost::default()
        .with_peer_address("192.0.2.1")
        .with_peer_identity("spiffe://sluice.demo/ns/shop/sa/edge")
}

/// Asks about a request, and checks what must be true of every answer.
pub fn decide(pipeline: &Pipeline, headers: &HeaderMap) -> Decided {
    let environment = environment();
    let mut decided = pipeline.decide(headers, &environment);
    for id in &decided.decisions {
        assert!(pipeline.reasons().get(*id).is_some(), "a decision without a name");
    }
    match &decided.action {
        Action::Continue => {}
        Action::Respond(reply) => check_reply(reply),
    }
    let set =
        decided.mutations.request_headers().iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    for (name, value) in
        set.chain(decided.mutations.response_headers().iter().map(|(name, value)| (name, value)))
    {
        check_header(name.as_str(), value.as_bytes());
    }
    assert!(!decided.summary.contains(char::is_whitespace), "{:?}", decided.summary);
    // What is left behind plays its part in any order of an answer and an end.
    let mut follow_ups = std::mem::take(&mut decided.follow_ups);
    let response = HeaderMap::from_pairs([("content-type", "text/plain"), ("vary", "accept")]);
    for edit in pipeline.on_response(&mut follow_ups, 200, &response, &environment).edits {
        if let Edit::Replace(name, value) | Edit::Add(name, value) = edit {
            check_header(name.as_str(), value.as_bytes());
        }
    }
    if follow_ups.wait_for(Phase::End) {
        let ended = pipeline.on_end(follow_ups, End { status: Some(200) }, &environment);
        let counted = |counter: &String| counter.starts_with("sluice_requests.code_class.2xx.");
        assert!(ended.counters.iter().any(counted), "the document counts responses: {:?}", ended.counters);
    }
    decided
}

fn check_reply(reply: &Reply) {
    assert!((200..=599).contains(&reply.status), "{reply:?}");
    assert!(!reply.details.is_empty() && !reply.details.contains(char::is_whitespace), "{reply:?}");
    for (name, value) in &reply.headers {
        check_header(name.as_str(), value.as_bytes());
    }
}

/// No header that leaves the policies may end its line.
fn check_header(name: &str, value: &[u8]) {
    assert!(!name.is_empty() && !name.contains([':', ' ', '\r', '\n', '\0']), "{name:?}");
    assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0')), "{name}: {value:?}");
}
