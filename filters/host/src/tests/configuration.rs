//! What a configuration does, and an update, and its end.

use super::*;
use crate::calls::LogLevel;
use sluice_core::decision::follow_up::Phase;

fn lines() -> Vec<(LogLevel, String)> {
    stand_in::with(|host| std::mem::take(&mut host.lines))
}

#[test]
fn a_refused_document_tells_each_problem_with_its_field() {
    stand_in::install(StandIn {
        configuration: br#"{ "version": 1, "fault": { "rules": [{ "name": "a" }, { "name": "a" }] } }"#
            .to_vec(),
        ..StandIn::default()
    });
    assert!(!Plugin::default().on_configure());
    let lines = lines();
    assert!(lines.len() >= 2, "{lines:?}");
    for (level, line) in lines {
        assert_eq!(level, LogLevel::Error);
        assert!(line.starts_with("sluice: configuration refused: fault.rules["), "{line}");
    }
}

#[test]
fn a_document_that_needs_a_callback_is_refused_by_a_module_without_it() {
    for (untold, refusal) in [
        (vec![Phase::RequestBody, Phase::Response], None),
        (vec![Phase::End], Some("telemetry.labels: needs a module that is told of the end of requests")),
    ] {
        let configuration = DOCUMENT.as_bytes().to_vec();
        stand_in::install(StandIn { configuration, untold, now: SECOND, ..StandIn::default() });
        assert_eq!(Plugin::default().on_configure(), refusal.is_none());
        let lines = lines();
        let said = |refusal: &str| {
            lines.iter().any(|(level, line)| *level == LogLevel::Error && line.contains(refusal))
        };
        assert!(refusal.is_none_or(said), "{lines:?}");
    }
}

#[test]
fn no_configuration_is_no_document() {
    for configuration in ["", " ", "{}", "null", "version: 1"] {
        stand_in::install(StandIn { configuration: configuration.into(), ..StandIn::default() });
        assert!(!Plugin::default().on_configure(), "{configuration:?}");
        assert_eq!(lines().len(), 1, "{configuration:?}");
    }
}

#[test]
fn a_configuration_that_the_host_withholds_is_refused() {
    stand_in::install(StandIn::default());
    stand_in::with(|host| host.failing.insert("plugin_configuration"));
    assert!(!Plugin::default().on_configure());
    assert_eq!(lines().len(), 1);
}

#[test]
fn after_a_refused_update_the_old_policy_serves_on() {
    let plugin = plugin(DOCUMENT);
    stand_in::with(|host| host.configuration = b"{}".to_vec());
    assert!(!plugin.on_configure());
    assert_eq!(send(&plugin, 2, "/abort").1, Flow::Pause);
}

#[test]
fn without_any_configuration_requests_are_refused() {
    stand_in::install(StandIn::default());
    let plugin = Rc::new(Plugin::default());
    assert_eq!(send(&plugin, 2, "/").1, Flow::Pause);
    stand_in::with(|host| {
        assert_eq!(host.answers, [(2, 503, "host.not_configured".to_owned(), Vec::new())]);
    });
}

#[test]
fn all_workers_share_one_seed_and_it_outlives_updates() {
    let _first = plugin(DOCUMENT);
    let seed = stand_in::with(|host| host.shared.get("sluice/seed")).unwrap();
    assert_eq!(seed.0.len(), 8);
    let second = Plugin::default();
    assert!(second.on_configure());
    assert_eq!(stand_in::with(|host| host.shared.get("sluice/seed")), Some(seed));
}

#[test]
fn a_plugin_that_goes_hands_over_its_counts_and_stops_its_timer() {
    let plugin = plugin(DOCUMENT);
    send(&plugin, 2, "/abort");
    assert!(stand_in::with(|host| host.tick_period).is_some());
    plugin.retire();
    assert_eq!(stand_in::with(|host| host.tick_period), None);
    assert_eq!(counter("sluice_decisions.section.fault.outcome.denied.reason.aborted.rule:abort"), 1);
}

#[test]
fn limits_are_told_when_a_worker_begins_and_ends_and_not_when_a_configuration_is_only_tried() {
    const LIMITS: &str = r#"{ "version": 1, "rateLimit": { "rules": [
        { "name": "a", "key": ["header.x-user"], "limit": "5/day" }] } }"#;
    let directory = || stand_in::with(|host| host.shared.get("sluice/rl2/blocks"));
    // Envoy's main thread only compiles it.
    let tried = plugin(LIMITS);
    assert_eq!(directory(), None);
    // A worker begins a moment later, and its timer then rests.
    assert!(tick(&tried));
    let begun = directory().unwrap();
    assert!(!tick(&tried));
    // The next configuration: the rule stays, and then goes with the last that had it.
    let next = Rc::new(Plugin::default());
    assert!(next.on_configure());
    assert!(tick(&next));
    let both = directory().unwrap();
    assert_ne!(both.0, begun.0);
    tried.retire();
    assert_eq!(directory().unwrap().0, begun.0, "one user again");
    next.retire();
    assert_ne!(directory().unwrap().0, begun.0);
    let left = directory();
    next.retire();
    assert_eq!(directory(), left, "nobody ends twice");
}

#[test]
fn an_update_of_the_same_root_context_ends_the_policy_that_it_replaces() {
    let rule = |name: &str| {
        format!(
            r#"{{ "version": 1, "rateLimit": {{ "rules": [{{ "name": "{name}", "limit": "5/day" }}] }} }}"#
        )
    };
    let plugin = plugin(&rule("a"));
    assert!(tick(&plugin));
    let size = || stand_in::with(|host| host.shared.get("sluice/rl2/blocks")).unwrap().0.len();
    let one = size();
    for name in ["b", "c", "d"] {
        stand_in::with(|host| {
            host.configuration = rule(name).into_bytes();
            host.now += 5 * SECOND;
        });
        assert!(plugin.on_configure());
        assert!(tick(&plugin));
    }
    assert!(size() <= one * 3, "{} {one}", size());
}
