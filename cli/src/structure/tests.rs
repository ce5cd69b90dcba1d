use super::*;
use crate::yaml;
use serde::Deserialize;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Sample {
    version: u8,
    #[serde(default)]
    rules: Vec<Rule>,
    other: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Rule {
    name: Name,
    methods: Option<OneOrMany<String>>,
}

fn problems(text: &str) -> Vec<String> {
    let document = yaml::read(text).unwrap();
    decode::<Sample>(&document).unwrap_err().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_fits_is_read() {
    let document = yaml::read("version: 1\nrules: [{name: a, methods: GET}]").unwrap();
    assert_eq!(decode::<Sample>(&document).unwrap().rules.len(), 1);
}

#[test]
fn every_misfit_is_told_where_it_stands_in_the_file() {
    assert_eq!(
        problems(
            "version: 1\n\
             rules:\n\
             - {name: a, method: GET}\n\
             - {name: b b}\n\
             - {name: c, methods: [GET, 7, {}]}\n\
             - {name: d, methods: GET}\n\
             - {methods: GET}\n\
             othr: true\n"
        ),
        [
            "rules[0].method: unknown field `method`; there are `name` and `methods`; did you mean `methods`?",
            "rules[1].name: \"b b\" is not a name: 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit",
            "rules[2].methods[1]: a number where text is expected; put it in quotes",
            "rules[2].methods[2]: an object where text is expected",
            "rules[4]: missing field `name`",
            "othr: unknown field `othr`; there are `version`, `rules` and `other`; did you mean `other`?",
        ]
    );
}

#[test]
fn what_follows_only_from_another_misfit_is_not_told() {
    assert_eq!(problems("version: 1\nrules: [{name: a, methods: [7]}]").len(), 1);
    assert_eq!(problems("version: 1\nrules: [{name: 7}]").len(), 1);
    assert_eq!(problems("version: 1\nrules: [{nme: a}]").len(), 1);
    assert_eq!(problems("version: 1\nrules: [{nme: a, methods: 7}, {}]").len(), 3);
}

#[test]
fn a_missing_version_hides_nothing() {
    assert_eq!(
        problems("rules: [{}]\nother: 3"),
        [
            "the document: missing field `version`",
            "rules[0]: missing field `name`",
            "other: a number where `true` or `false` is expected"
        ]
    );
}

#[test]
fn a_document_that_is_no_object_is_one_problem() {
    for text in ["[]", "7", "", "text"] {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
}

#[test]
fn types_of_the_program_are_no_business_of_the_user() {
    for (text, problem) in [
        ("version: 256", "version: 256 is not a whole number from 0 to 255"),
        ("version: 1\nrules: {}", "rules: an object where a list is expected"),
        ("version: 1\nrules: [7]", "rules[0]: a number where an object is expected"),
        ("version: 1\nrules:", "rules: nothing (`null`) where a list is expected"),
        ("7", "the document: a number where an object is expected"),
    ] {
        assert_eq!(problems(text), [problem]);
    }
}

#[test]
fn thousands_of_misfits_are_all_found() {
    let text = format!("version: 1\nrules:\n{}", "- {nme: a}\n- {name: b, methods: [7]}\n".repeat(2000));
    assert_eq!(problems(&text).len(), 4000);
}
