//! What stages left behind is called when its phase comes, and only then.

use super::*;
use sluice_core::decision::follow_up::{Aftermath, BodyPart, BodyVerdict, End, FollowUp, Phase, Phases};
use sluice_core::decision::place::Section;
use sluice_core::decision::reason::{Outcome, ReasonTable};
use sluice_core::decision::response::Response;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_pipeline::FollowUps;
use std::cell::RefCell;

/// Takes a body of 10 bytes at most, and writes down what it is told.
#[derive(Debug)]
struct TenBytes {
    phases: Phases,
    seen: usize,
    told: Rc<RefCell<Vec<String>>>,
}

impl FollowUp for TenBytes {
    fn phases(&self) -> Phases {
        self.phases
    }

    fn on_request_body(&mut self, part: BodyPart, _: &mut Aftermath<'_>) -> BodyVerdict {
        self.seen += part.size;
        self.told.borrow_mut().push(format!("body {} {}", part.size, part.last));
        if self.seen <= 10 {
            return BodyVerdict::Continue;
        }
        // The first reason of any document.
        let reason = ReasonTable::default().register(Section::REQUEST, Outcome::Denied, "");
        BodyVerdict::Respond(LocalReply::new(413, reason, "Too much."))
    }

    fn on_response(&mut self, response: &mut Response<'_>, _: &mut Aftermath<'_>) {
        self.told.borrow_mut().push(format!("response {}", response.status()));
        response.set(HeaderName::from_static("x-seen"), HeaderValue::from_number(self.seen as u64));
        response.remove(HeaderName::from_static("server"));
    }

    fn on_end(&mut self, end: End, aftermath: &mut Aftermath<'_>) {
        self.told.borrow_mut().push(format!("end {:?}", end.status));
        aftermath.count("ended".to_owned());
    }
}

const DOCUMENT_WITHOUT_LABELS: &str =
    r#"{ "version": 1, "telemetry": { "trace": { "context": "off" }, "decision": true } }"#;

/// A request that goes on, with such follow-ups.
fn followed(plugin: &Rc<Plugin>, phases: &[Phases]) -> (Stream, Rc<RefCell<Vec<String>>>) {
    let (mut stream, flow) = send(plugin, 2, "/");
    assert_eq!(flow, Flow::Continue);
    let told = Rc::default();
    let list = phases.iter().map(|phases| {
        Box::new(TenBytes { phases: *phases, seen: 0, told: Rc::clone(&told) }) as Box<dyn FollowUp>
    });
    stream.kept.follow_ups = Some((plugin.pipeline().unwrap(), FollowUps::new(list.collect(), false)));
    stand_in::with(|host| host.called.clear());
    (stream, told)
}

fn respond(stream: &mut Stream, status: &str) -> Pairs {
    let pairs = [(":status", status), ("server", "a")];
    stand_in::with(|host| {
        host.response =
            pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    });
    stream.on_response_headers();
    stand_in::with(|host| host.response.clone())
}

#[test]
fn each_phase_is_told_once_and_a_body_part_by_part() {
    let plugin = plugin(DOCUMENT_WITHOUT_LABELS);
    let (mut stream, told) = followed(&plugin, &[Phases::ALL]);
    assert_eq!(stream.on_request_body(4, false), Flow::Continue);
    assert_eq!(stream.on_request_body(6, false), Flow::Continue);
    assert_eq!(stream.on_request_trailers(), Flow::Continue);
    let response = respond(&mut stream, "201");
    assert!(response.contains(&(b"x-seen".to_vec(), b"10".to_vec())), "{response:?}");
    assert!(!response.iter().any(|(name, _)| name == b"server"));
    stand_in::with(|host| {
        host.properties.insert("response\0code".to_owned(), 201_i64.to_le_bytes().to_vec())
    });
    stream.on_log();
    drop(stream);
    assert_eq!(
        *told.borrow(),
        ["body 4 false", "body 6 false", "body 0 true", "response 201", "end Some(201)"]
    );
    assert!(tick(&plugin));
    assert_eq!(counter("ended"), 1);
}

#[test]
fn a_body_that_is_refused_is_answered_and_the_answer_is_the_response() {
    let plugin = plugin(DOCUMENT_WITHOUT_LABELS);
    let (mut stream, told) = followed(&plugin, &[Phases::ALL, Phases::of(&[Phase::RequestBody])]);
    assert_eq!(stream.on_request_body(11, false), Flow::Pause);
    stand_in::with(|host| {
        let (2, 413, details, _) = &host.answers[0] else { panic!("{:?}", host.answers) };
        assert!(details.starts_with("request."), "{details}");
        let published = String::from_utf8(host.properties["sluice.decision"].clone()).unwrap();
        assert_eq!(published, format!("denied:{details}"));
    });
    // The second was not asked, and nobody is told again of a body or of the response that was changed already.
    assert_eq!(*told.borrow(), ["body 11 false", "response 413"]);
    assert_eq!(stream.on_request_body(5, true), Flow::Continue);
    respond(&mut stream, "413");
    stream.on_log();
    assert_eq!(*told.borrow(), ["body 11 false", "response 413", "end None"]);
}

#[test]
fn responses_and_ends_are_told_in_reverse_order() {
    let plugin = plugin(DOCUMENT_WITHOUT_LABELS);
    let (mut stream, told) = followed(&plugin, &[Phases::ALL, Phases::of(&[Phase::End])]);
    stream.on_log();
    assert_eq!(*told.borrow(), ["end None", "end None"]);
    let (mut stream, told) = followed(&plugin, &[Phases::of(&[Phase::Response]); 2]);
    stream.on_request_body(3, true);
    respond(&mut stream, "200");
    stream.on_log();
    assert_eq!(*told.borrow(), ["response 200", "response 200"], "no other phase");
}

#[test]
fn a_host_that_withholds_the_response_harms_no_request() {
    let plugin = plugin(DOCUMENT_WITHOUT_LABELS);
    for failing in ["header_pairs", "replace_header", "add_header", "remove_header"] {
        let (mut stream, _) = followed(&plugin, &[Phases::of(&[Phase::Response])]);
        stand_in::with(|host| host.failing = std::iter::once(failing).collect());
        respond(&mut stream, "200");
        stand_in::with(|host| host.failing.clear());
    }
}

#[test]
fn a_request_without_follow_ups_makes_no_call_for_its_later_phases() {
    let plugin = plugin(DOCUMENT_WITHOUT_LABELS);
    let (mut stream, _) = send(&plugin, 2, "/");
    stand_in::with(|host| host.called.clear());
    assert_eq!(stream.on_request_body(1 << 20, true), Flow::Continue);
    stream.on_response_headers();
    stream.on_log();
    drop(stream);
    stand_in::with(|host| assert!(host.called.is_empty(), "{:?}", host.called));
}
