//! A long document is compiled in slices while the policy that it replaces serves.

use super::*;
use crate::calls::LogLevel;
use crate::loading::SLICE;
use crate::proven::Proof;
use crate::succession;

const HERE: &str = "192.0.2.1:443";
const THERE: &str = "192.0.2.1:444";

/// Aborts `/closed` with this status, and has a limit of this name and many rules that nobody meets.
fn document(status: u16, limit: &str) -> String {
    let rules: Vec<String> = (0..300)
        .map(|number| {
            format!(r#"{{ "name": "r{number}", "allow": true, "match": {{ "paths": ["/{number}"] }} }}"#)
        })
        .collect();
    format!(
        r#"{{ "version": 1, "authz": {{ "default": "deny", "rules": [{},
              {{ "name": "closed", "allow": true, "match": {{ "paths": ["/closed", "/delay"] }} }}] }},
            "rateLimit": {{ "rules": [{{ "name": "{limit}", "key": ["header.x-user"], "limit": "1000/day" }}] }},
            "fault": {{ "rules": [
              {{ "name": "closed", "match": {{ "paths": ["/closed"] }}, "abort": {{ "status": {status}, "percent": 100 }} }},
              {{ "name": "delay", "match": {{ "paths": ["/delay"] }}, "delay": {{ "fixed": "100ms", "percent": 100 }} }}] }} }}"#,
        rules.join(",")
    )
}

/// A fresh host in whose VM one plugin serves `document(501, "a")`, and has served [`HERE`]. The main thread has tried the others.
fn host() -> Rc<Plugin> {
    stand_in::install(StandIn { now: SECOND, ..StandIn::default() });
    stand_in::with(|host| {
        host.properties.insert("plugin_name".to_owned(), b"edge".to_vec());
        host.properties.insert("plugin_root_id".to_owned(), b"root".to_vec());
    });
    for (status, limit) in [(502, "a"), (502, "b"), (503, "b")] {
        configure(&Plugin::default(), &document(status, limit));
    }
    let plugin = entered();
    configure(&plugin, &document(501, "a"));
    assert_eq!(answer(&plugin, HERE), 501);
    plugin
}

fn entered() -> Rc<Plugin> {
    let plugin = Rc::new(Plugin::default());
    succession::enter(&plugin);
    plugin
}

fn configure(plugin: &Plugin, document: &str) {
    stand_in::with(|host| host.configuration = document.as_bytes().to_vec());
    assert!(plugin.on_configure(), "{:?}", stand_in::with(|host| host.lines.clone()));
}

/// A plugin that begins to load this document; each look at the clock takes half a slice.
fn loading(document: &str) -> Rc<Plugin> {
    let plugin = entered();
    stand_in::with(|host| host.step = SLICE / 2);
    configure(&plugin, document);
    stand_in::with(|host| host.step = 0);
    plugin
}

/// The status by which `/closed` is answered there.
fn answer(plugin: &Rc<Plugin>, place: &str) -> u16 {
    stand_in::with(|host| {
        host.answers.clear();
        host.properties.insert("destination\0address".to_owned(), place.as_bytes().to_vec());
    });
    send(plugin, 2, "/closed");
    stand_in::with(|host| host.answers[0].1)
}

/// Has the timer fire until the plugin has nothing more to load; how often.
fn finish(plugin: &Plugin) -> usize {
    let slices = (0..10_000).take_while(|_| {
        stand_in::with(|host| host.step = SLICE / 2);
        let busy = plugin.loading.due().is_some();
        if busy {
            stand_in::with(|host| host.now += 2 * MILLISECOND);
            plugin.on_tick();
        }
        busy
    });
    let slices = slices.count();
    stand_in::with(|host| host.step = 0);
    slices
}

/// How many users of limits there are.
fn directory() -> Option<Vec<u8>> {
    stand_in::with(|host| host.shared.get("sluice/rl2/blocks")).map(|(bytes, _)| bytes)
}

#[test]
fn the_old_policy_serves_until_the_new_one_is_compiled() {
    let old = host();
    let new = loading(&document(502, "b"));
    assert_eq!((answer(&new, HERE), answer(&old, HERE)), (501, 501));
    assert!(finish(&new) > 20);
    assert_eq!((answer(&new, HERE), answer(&old, HERE)), (502, 501));
}

#[test]
fn a_request_that_waits_ends_by_the_policy_that_it_began_with() {
    let _old = host();
    let new = loading(&document(502, "b"));
    answer(&new, HERE);
    let (stream, flow) = send(&new, 7, "/delay");
    assert_eq!(flow, Flow::Pause);
    finish(&new);
    stand_in::with(|host| host.now += SECOND);
    new.on_tick();
    assert_eq!(stand_in::with(|host| host.continued.clone()), [7]);
    drop(stream);
}

#[test]
fn a_request_that_comes_in_elsewhere_is_not_served_by_another_listeners_policy() {
    let _old = host();
    let new = loading(&document(502, "b"));
    assert_eq!(answer(&new, THERE), 502);
    assert_eq!(finish(&new), 0, "it was compiled for it");
    // Nor is one of which it is not known where it comes in.
    let next = loading(&document(503, "b"));
    stand_in::with(|host| {
        host.answers.clear();
        host.properties.remove("destination\0address");
    });
    send(&next, 2, "/closed");
    assert_eq!(stand_in::with(|host| host.answers[0].1), 503);
}

#[test]
fn who_has_no_name_of_its_own_takes_nobodys_place() {
    for (others, name) in [(0, ""), (1, "edge")] {
        let _old = host();
        let _others: Vec<_> = (0..others)
            .map(|_| {
                let other = entered();
                stand_in::with(|host| host.failing = ["shared_data"].into());
                configure(&other, &document(501, "a"));
                stand_in::with(|host| host.failing.clear());
                other
            })
            .collect();
        stand_in::with(|host| host.properties.insert("plugin_name".to_owned(), name.into()));
        let new = loading(&document(502, "b"));
        assert_eq!((answer(&new, HERE), finish(&new)), (502, 0), "{others} {name:?}");
    }
}

#[test]
fn a_document_that_nobody_has_proven_is_compiled_at_once() {
    let _old = host();
    let new = loading(&document(504, "b"));
    assert_eq!((answer(&new, HERE), finish(&new)), (504, 0));
}

#[test]
fn updates_in_a_row_end_with_the_last() {
    let old = host();
    let second = loading(&document(502, "b"));
    assert_eq!(answer(&second, HERE), 501);
    let third = loading(&document(503, "b"));
    assert_eq!(answer(&third, HERE), 501);
    // The one in between goes before it is compiled, and the first one, too.
    second.retire();
    old.retire();
    drop((old, second));
    assert_eq!(answer(&third, HERE), 501);
    assert!(finish(&third) > 20);
    assert_eq!(answer(&third, HERE), 503);
    let fourth = loading(&document(502, "b"));
    assert_eq!(answer(&fourth, HERE), 503);
}

#[test]
fn who_serves_last_by_a_policy_ends_it() {
    let old = host();
    assert!(tick(&old));
    let begun = directory().unwrap();
    let new = loading(&document(502, "a"));
    old.retire();
    assert_eq!(directory().unwrap(), begun, "another still serves by it");
    assert_eq!(answer(&new, HERE), 501);
    finish(&new);
    stand_in::with(|host| host.now += SECOND);
    new.on_tick();
    assert_eq!(directory().unwrap().len(), begun.len());
    new.retire();
    let left = directory();
    assert_ne!(left.as_ref(), Some(&begun));
    drop(old);
    new.retire();
    assert_eq!(directory(), left, "nobody ends twice");
}

#[test]
fn a_proof_that_is_wrong_changes_no_policy() {
    let _old = host();
    let broken = document(502, "b").replace("\"deny\"", "\"perhaps\"");
    Proof::of(broken.as_bytes()).write();
    let new = loading(&broken);
    assert_eq!(answer(&new, HERE), 501);
    finish(&new);
    assert_eq!(answer(&new, HERE), 501);
    assert_eq!(answer(&new, THERE), 503, "there is no policy for it");
    let lines = stand_in::with(|host| host.lines.clone());
    let said = |(level, line): &(LogLevel, String)| {
        *level == LogLevel::Error && line.contains("the old policy serves on: authz.default: ")
    };
    assert!(lines.iter().any(said), "{lines:?}");
}

#[test]
fn where_there_is_no_timer_it_is_compiled_at_once() {
    for failing in ["set_tick_period", "monotonic_nanoseconds"] {
        let _old = host();
        stand_in::with(|host| host.failing = [failing].into());
        let new = loading(&document(502, "b"));
        stand_in::with(|host| host.failing.clear());
        assert_eq!((answer(&new, HERE), finish(&new)), (502, 0), "{failing}");
    }
}

#[test]
fn what_is_left_of_an_old_policy_is_cleared_away_and_the_timer_rests() {
    let old = host();
    let new = loading(&document(502, "b"));
    old.retire();
    drop(old);
    finish(&new);
    assert_eq!(new.loading.due(), None);
    stand_in::with(|host| host.now += 2 * SECOND);
    assert!((0..10).any(|_| !tick(&new)), "the timer is off");
}
