use wasmparser::{Parser, Payload};

use super::*;

/// `kept` calls `shared`; `dropped` calls `shared` and `only_dropped`; `in_table` is reached through the table alone.
const MODULE: &str = r#"
    (module
      (import "env" "used" (func $used))
      (import "env" "unused" (func $unused))
      (memory (export "memory") 1)
      (table 1 funcref)
      (elem (i32.const 0) $in_table)
      (type $plain (func))
      (global (export "__heap_base") i32 (i32.const 1024))
      (func $in_table (nop))
      (func $shared (call $used))
      (func $only_dropped (call $unused))
      (func (export "kept") (call $shared) (call_indirect (type $plain) (i32.const 0)))
      (func (export "dropped") (call $shared) (call $only_dropped))
      (data (i32.const 0) "text sluice.exported;kept=1;dropped=1;other")
      (@custom "producers" "\00")
      (@custom "target_features" "\00")
      (@custom "sluice" "{\"version\":\"0\",\"edition\":\"old\",\"sections\":[],\"callbacks\":[]}"))
"#;

fn module() -> Vec<u8> {
    wat::parse_str(MODULE).expect("the test's module is well-formed")
}

fn keep(names: &[&'static str]) -> BTreeSet<&'static str> {
    names.iter().copied().collect()
}

fn names_of_exports(module: &[u8]) -> Vec<String> {
    walrus::Module::from_buffer(module)
        .expect("a module")
        .exports
        .iter()
        .map(|export| export.name.clone())
        .collect()
}

fn metadata() -> Metadata {
    Metadata {
        own_signatures: true,
        version: "1.2.3".to_owned(),
        edition: "sluice-test".to_owned(),
        sections: vec!["authn".to_owned()],
        callbacks: vec!["kept".to_owned()],
    }
}

#[test]
fn only_the_named_exports_stay() {
    let trimmed = trim(&module(), &keep(&["memory", "kept"]), None).expect("a module with these exports");
    assert_eq!(names_of_exports(&trimmed.module), ["memory", "kept"]);
    assert_eq!(trimmed.removed_exports, ["__heap_base", "dropped"]);
}

#[test]
fn what_only_a_removed_export_reached_is_gone_and_what_a_table_reaches_stays() {
    let trimmed = trim(&module(), &keep(&["memory", "kept"]), None).expect("a module with these exports");
    // Two imports and five functions; without `unused`, `only_dropped` and `dropped`.
    assert_eq!(trimmed.functions, (7, 4));
    let left = walrus::Module::from_buffer(&trimmed.module).expect("a module");
    let imports: Vec<_> = left.imports.iter().map(|import| import.name.as_str()).collect();
    assert_eq!(imports, ["used"]);
    assert_eq!(left.elements.iter().count(), 1);
    assert_eq!(left.data.iter().count(), 1);
}

#[test]
fn debugging_sections_are_dropped_and_the_metadata_is_written_once() {
    let trimmed =
        trim(&module(), &keep(&["memory", "kept"]), Some(&metadata())).expect("a module with these exports");
    let customs: Vec<_> = Parser::new(0)
        .parse_all(&trimmed.module)
        .filter_map(|payload| match payload.expect("a module") {
            Payload::CustomSection(section) => Some(section.name()),
            _ => None,
        })
        .collect();
    assert_eq!(customs, [SECTION]);
    assert_eq!(Metadata::of(&trimmed.module).expect("the section that was written"), metadata());
}

#[test]
fn metadata_of_the_module_stays_when_none_is_given() {
    let trimmed = trim(&module(), &keep(&["memory"]), None).expect("a module with these exports");
    assert_eq!(Metadata::of(&trimmed.module).expect("the old section").edition, "old");
}

#[test]
fn trimming_twice_changes_nothing_more() {
    let once =
        trim(&module(), &keep(&["memory", "kept"]), Some(&metadata())).expect("a module with these exports");
    let twice = trim(&once.module, &keep(&["memory", "kept"]), Some(&metadata())).expect("the same module");
    assert_eq!(once.module, twice.module);
    assert!(twice.removed_exports.is_empty());
}

#[test]
fn the_module_can_read_which_callbacks_it_has() {
    let text = |module: &[u8]| {
        let module = walrus::Module::from_buffer(module).expect("a module");
        let data = module.data.iter().next().expect("its data");
        String::from_utf8(data.value.clone()).expect("text")
    };
    let cut =
        trim(&module(), &keep(&["memory", "kept"]), Some(&metadata())).expect("a module of ours").module;
    assert_eq!(text(&cut), "text sluice.exported;kept=1;dropped=0;other");
    let further = trim(&cut, &keep(&["memory"]), Some(&metadata())).expect("the same module").module;
    assert_eq!(text(&further), "text sluice.exported;kept=0;dropped=0;other");
}

#[test]
fn a_module_of_ours_that_could_not_know_its_callbacks_is_refused() {
    let twice = "sluice.exported;kept=1; and sluice.exported;kept=1;";
    for (data, places) in [("text", 0), (twice, 2)] {
        let module =
            wat::parse_str(format!(r#"(module (memory (export "memory") 1) (data (i32.const 0) "{data}"))"#))
                .expect("the test's module is well-formed");
        let error = trim(&module, &keep(&["memory"]), Some(&metadata())).expect_err("no such module");
        assert!(matches!(error, Error::Unmarked(found) if found == places), "{error}");
        assert!(trim(&module, &keep(&["memory"]), None).is_ok(), "somebody else's");
    }
}

#[test]
fn an_export_that_is_not_there_is_an_error_that_names_it() {
    let error =
        trim(&module(), &keep(&["memory", "kept", "proxy_on_tick"]), None).expect_err("one is missing");
    assert_eq!(error.to_string(), "the module doesn't export what should be kept: proxy_on_tick");
}

#[test]
fn what_is_no_module_is_an_error() {
    assert!(matches!(trim(b"plain text", &keep(&[]), None), Err(Error::Unreadable(_))));
}
