use std::time::Duration;

use super::*;
use crate::edition::{COMMON_EXPORTS, EDITIONS};

#[test]
fn names_in_a_dependency_list_may_hold_spaces() {
    let record = "/t/sluice_suite.wasm: /a/lib.rs /b/with\\ space.rs /c.rs\n";
    assert_eq!(sources_in_record(record), ["/a/lib.rs", "/b/with space.rs", "/c.rs"].map(PathBuf::from));
}

#[test]
fn the_module_is_found_among_cargos_messages() {
    let messages = r#"{"reason":"compiler-artifact","filenames":["/t/libdep.rlib"]}
not json
{"reason":"compiler-artifact","filenames":["/t/release/sluice_suite.wasm"]}
{"reason":"build-finished","success":true}"#;
    assert_eq!(artifact(messages), Some(PathBuf::from("/t/release/sluice_suite.wasm")));
    assert_eq!(artifact(r#"{"reason":"build-finished"}"#), None);
}

#[test]
fn an_edition_is_current_until_a_source_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let layout = Layout {
        root: root.to_owned(),
        dist: root.to_owned(),
        records: root.to_owned(),
        cargo: root.join("wasm-cargo"),
    };
    let edition = EDITIONS[0];
    let at = |file: &str, age: u64| {
        let file = File::create(root.join(file)).expect("a file");
        file.set_modified(SystemTime::now() + Duration::from_secs(3600) - Duration::from_secs(age))
            .expect("its time");
    };
    for file in ["Cargo.toml", "Cargo.lock", "wasm-cargo", "lib.rs"] {
        at(file, 20);
    }
    assert!(!layout.is_current(&edition), "nothing was built yet");

    at(&edition.file_name(), 10);
    assert!(!layout.is_current(&edition), "what it was made of isn't known");

    let record = format!("{0}/m.wasm: {0}/lib.rs", root.display());
    fs::write(layout.record(&edition), record).expect("a record");
    assert!(layout.is_current(&edition));

    at("lib.rs", 5);
    assert!(!layout.is_current(&edition), "a source is newer");
    at("lib.rs", 20);
    assert!(layout.is_current(&edition));

    fs::remove_file(root.join("lib.rs")).expect("removed");
    assert!(!layout.is_current(&edition), "a source is gone");
}

#[test]
fn editions_have_names_of_their_own_and_equal_features_stand_together() {
    let mut names = EDITIONS.map(|edition| edition.name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), EDITIONS.len());

    let groups: Vec<_> = EDITIONS
        .chunk_by(|one, next| one.all_features() == next.all_features())
        .map(|group| group[0].all_features())
        .collect();
    for (index, features) in groups.iter().enumerate() {
        assert!(!groups[index + 1..].contains(features), "{features:?} would be built twice");
    }
}

#[test]
fn every_edition_keeps_the_common_exports_and_says_what_it_has() {
    for edition in EDITIONS {
        let exports = edition.exports();
        assert!(COMMON_EXPORTS.iter().all(|name| exports.contains(name)), "{}", edition.name);
        let metadata = edition.metadata("1.0.0");
        assert_eq!(metadata.edition, edition.name);
        assert_eq!(metadata.callbacks, edition.callbacks);
        let verifies = edition.all_features().contains(&"own-signatures");
        assert_eq!(metadata.own_signatures, verifies, "{}", edition.name);
        assert!(metadata.callbacks.iter().all(|name| exports.contains(name.as_str())));
    }
}
