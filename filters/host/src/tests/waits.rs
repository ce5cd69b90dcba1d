//! Requests that wait.

use super::*;
use crate::waits::{MOST_RELEASED, MOST_WAITING};

fn continued() -> Vec<u32> {
    stand_in::with(|host| std::mem::take(&mut host.continued))
}

#[test]
fn a_delayed_request_goes_on_when_its_time_has_come() {
    let plugin = plugin(DOCUMENT);
    let (_stream, flow) = send(&plugin, 7, "/delay");
    assert_eq!(flow, Flow::Pause);
    stand_in::with(|host| {
        assert_eq!(host.tick_period, Some(100));
        host.now += 99 * MILLISECOND;
    });
    plugin.on_tick();
    assert!(continued().is_empty());
    assert!(tick(&plugin));
    assert_eq!(continued(), [7]);
}

#[test]
fn a_delayed_request_may_be_answered_in_the_end() {
    let plugin = plugin(DOCUMENT);
    let (_stream, flow) = send(&plugin, 7, "/both");
    assert_eq!(flow, Flow::Pause);
    assert!(tick(&plugin));
    stand_in::with(|host| {
        assert!(host.continued.is_empty());
        assert!(
            matches!(host.answers.as_slice(), [(7, 503, details, _)] if details == "fault.aborted.rule:both")
        );
    });
}

#[test]
fn a_stream_that_ended_meanwhile_is_left_alone() {
    let plugin = plugin(DOCUMENT);
    let (gone, _) = send(&plugin, 7, "/delay");
    let (_stays, _) = send(&plugin, 8, "/delay");
    let (_unknown, _) = send(&plugin, 9, "/delay");
    drop(gone);
    // One that the host dropped without telling.
    stand_in::with(|host| host.gone.insert(9));
    assert!(tick(&plugin));
    assert_eq!(continued(), [8]);
}

#[test]
fn a_thousand_that_end_together_are_released_in_portions_and_nobody_is_forgotten() {
    let plugin = plugin(DOCUMENT);
    let streams: Vec<_> = (0..1_000).map(|context| send(&plugin, context, "/delay").0).collect();
    let mut released = Vec::new();
    while tick(&plugin) {
        let portion = continued();
        assert!(portion.len() <= MOST_RELEASED);
        released.extend(portion);
    }
    assert_eq!(released, (0..1_000).collect::<Vec<_>>());
    drop(streams);
}

#[test]
fn beyond_the_bound_requests_go_on_at_once_and_are_counted() {
    let plugin = plugin(DOCUMENT);
    let most = u32::try_from(MOST_WAITING).unwrap();
    let mut streams: Vec<_> = (0..most).map(|context| send(&plugin, context, "/delay").0).collect();
    assert_eq!(send(&plugin, most, "/delay").1, Flow::Continue);
    assert_eq!(send(&plugin, most, "/both").1, Flow::Pause);
    assert_eq!(stand_in::with(|host| std::mem::take(&mut host.answers)).len(), 1, "its answer comes at once");
    // One that leaves makes room.
    streams.pop();
    assert_eq!(send(&plugin, most, "/delay").1, Flow::Pause);
    plugin.retire();
    assert_eq!(counter("sluice_host_events.event.wait_over_bound"), 2);
}

#[test]
fn without_a_timer_nobody_waits() {
    let plugin = plugin(DOCUMENT);
    stand_in::with(|host| host.failing.insert("set_tick_period"));
    assert_eq!(send(&plugin, 7, "/delay").1, Flow::Continue);
}

#[test]
fn a_client_that_leaves_while_it_waits_is_counted() {
    let plugin = plugin(DOCUMENT);
    let (mut stream, _) = send(&plugin, 7, "/both");
    stream.on_log();
    drop(stream);
    while tick(&plugin) {}
    assert_eq!(counter("sluice_requests.code_class.none"), 1);
    assert_eq!(counter("sluice_decisions.section.fault.outcome.changed.reason.delayed.rule:both"), 1);
    assert_eq!(counter("sluice_decisions.section.fault.outcome.denied.reason.aborted.rule:both"), 0);
    // One that stays is counted once.
    let (mut stream, _) = send(&plugin, 8, "/both");
    while tick(&plugin) {}
    stream.on_log();
    drop(stream);
    while tick(&plugin) {}
    assert_eq!(counter("sluice_decisions.section.fault.outcome.changed.reason.delayed.rule:both"), 2);
    assert_eq!(counter("sluice_decisions.section.fault.outcome.denied.reason.aborted.rule:both"), 1);
}
