//! What an issuer publishes: its metadata and its key set, whatever they hold. No panic, and what is taken can be asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_fuzz::environment;
use sluice_pipeline::{Pipeline, Seeds};

const DOCUMENT: &[u8] = br#"{ "version": 1, "authn": { "providers": [{ "name": "staff", "jwt": {
    "issuer": "https://id.example.com/realm", "anyAudience": true,
    "keys": { "discovery": { "cluster": "id" } }
} }] } }"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(pipeline) = Pipeline::from_json(DOCUMENT, Seeds { local: 1, shared: 2 }) else {
        panic!("the document")
    };
    let [resource] = pipeline.resources() else { panic!("one provider") };
    let follow = resource.source().follow.as_ref().expect("discovery");
    if let Ok(location) = (follow.read)(bytes) {
        // The metadata can choose a path and nothing else.
        assert_eq!((&*location.cluster, &*location.authority), ("id", "id.example.com"));
        assert!(
            location.path.starts_with('/') && location.path.bytes().all(|byte| (0x21..0x7f).contains(&byte))
        );
    }
    let usable = resource.supply(bytes).is_ok();
    assert_eq!(
        usable,
        resource.is_usable(sluice_core::decision::environment::Environment::now(&environment()))
    );
});
