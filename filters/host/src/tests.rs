//! Plugins and streams on a host that a test makes up.

mod calls;
mod configuration;
mod follow_ups;
mod loading;
mod requests;
mod resources;
mod waits;

use crate::calls::stand_in::{self, Pairs, StandIn};
use crate::plugin::Plugin;
use crate::stream::{Flow, Stream};
use std::rc::Rc;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Aborts requests for `/abort`, delays those for `/delay` by 100 ms, does both to those for `/both`; keeps `x-sluice-cluster` for itself.
const DOCUMENT: &str = r#"{
    "version": 1,
    "routing": { "rules": [
        { "name": "canary", "match": { "paths": ["/canary"] }, "cluster": "canary" }
    ] },
    "fault": { "rules": [
        { "name": "abort", "match": { "paths": ["/abort"] }, "abort": { "status": 503, "percent": 100 } },
        { "name": "delay", "match": { "paths": ["/delay"] }, "delay": { "fixed": "100ms", "percent": 100 } },
        { "name": "both", "match": { "paths": ["/both"] },
          "delay": { "fixed": "100ms", "percent": 100 }, "abort": { "status": 503, "percent": 100 } }
    ] },
    "telemetry": { "trace": { "context": "off" }, "labels": [] }
}"#;

fn request(path: &str, extra: &[(&str, &str)]) -> Pairs {
    let base = [(":method", "GET"), (":path", path), (":authority", "api.example.com")];
    base.iter()
        .chain(extra)
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// A plugin with this configuration on a fresh host, whose record of calls begins now.
fn plugin(configuration: &str) -> Rc<Plugin> {
    let configuration = configuration.as_bytes().to_vec();
    stand_in::install(StandIn { configuration, now: SECOND, ..StandIn::default() });
    let plugin = Rc::new(Plugin::default());
    assert!(plugin.on_configure(), "{:?}", stand_in::with(|host| host.lines.clone()));
    stand_in::with(|host| host.called.clear());
    plugin
}

/// A request for `path` on the stream of `context`.
fn send(plugin: &Rc<Plugin>, context: u32, path: &str) -> (Stream, Flow) {
    stand_in::with(|host| {
        host.request = request(path, &[]);
        host.effective = context;
    });
    let mut stream = Stream::new(context, Rc::clone(plugin));
    let flow = stream.on_request_headers();
    (stream, flow)
}

/// Lets time pass until the timer fires, and has it fire. Says whether it ran.
fn tick(plugin: &Plugin) -> bool {
    let ran = stand_in::with(|host| {
        let period = host.tick_period?;
        host.now += u64::from(period) * MILLISECOND;
        Some(())
    });
    if ran.is_some() {
        plugin.on_tick();
    }
    ran.is_some()
}

fn counter(name: &str) -> u64 {
    stand_in::with(|host| host.counters.get(name).copied().unwrap_or_default())
}
