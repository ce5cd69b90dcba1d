use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_path_reads_as_one_would_write_it() {
    let path =
        FieldPath::root().field("authn").field("rules").index(2).field("match").field("headers").field("x.y");
    assert_eq!(path.to_string(), r#"authn.rules[2].match.headers["x.y"]"#);
    assert_eq!(FieldPath::root().to_string(), "the document");
}

#[test]
fn an_unknown_name_gets_the_nearest_right_one() {
    let mut problems = Problems::default();
    problems.unknown_name(&FieldPath::root().field("use"), "a match", "order-api", ["orders-api", "health"]);
    assert_eq!(
        problems.to_string(),
        "use: `order-api` is not a match of this document; there are `orders-api` and `health`; did you mean `orders-api`?"
    );
}

#[test]
fn nothing_near_suggests_nothing() {
    assert_eq!(nearest("zebra", ["orders", "health"]), None);
}
