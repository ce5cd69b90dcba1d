//! What Envoy's connection manager does before any filter and before it chooses a route, so for routes that leave our filter out, too.

use crate::compile::Compiled;
use serde_json::{Map, Value, json};
use sluice_core::http::header::HeaderName;

/// The most instructions that a regular expression of Envoy may have (100, `re2.max_program_size.error_level`), less four that each has.
const MOST_INSTRUCTIONS: usize = 96;

/// Fields of `HttpConnectionManager` that keep clients from writing what only the document may write, and have written what it reads of
/// the connection. Empty if it needs none. With `removes` false, only the latter.
pub(super) fn fields(compiled: &Compiled, removes: bool) -> Map<String, Value> {
    let mut mutations = Vec::new();
    if removes {
        mutations.extend(compiled.pipeline.written_headers().map(removal));
    }
    let removes = !mutations.is_empty();
    let client = &compiled.document.client;
    let written = [
        (&client.address.peer_header, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
        (&client.peer_identity_header, "%DOWNSTREAM_PEER_URI_SAN%"),
    ];
    for (header, value) in written.into_iter().filter_map(|(header, value)| Some((header.as_ref()?, value))) {
        mutations.push(json!({
            "append": {
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "header": { "key": header.as_str(), "value": value },
            },
        }));
    }
    let mut fields = Map::new();
    if !mutations.is_empty() {
        let extension = json!({
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": mutations,
            },
        });
        fields.insert("early_header_mutation_extensions".to_owned(), json!([extension]));
    }
    if removes {
        fields.insert(
            "common_http_protocol_options".to_owned(),
            json!({ "headers_with_underscores_action": "REJECT_REQUEST" }),
        );
    }
    fields
}

/// What a user had better know: some headers stay, since trusted peers write them.
pub(super) fn warning(compiled: &Compiled) -> Option<String> {
    let handed_on = compiled.document.authn.iter().flat_map(|authn| authn.handed_on_headers());
    let names: Vec<String> = handed_on.map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} of `forwarded` are not removed here, since trusted peers write them; only the filter tells those from others: no route may disable it",
            names.join(", ")
        )
    })
}

/// Removes a header in every spelling that some servers take for it: `x.user` is `x-user` to them.
fn removal(name: &HeaderName) -> Value {
    let mut spellings = String::new();
    let mut instructions = 0;
    for character in name.as_str().chars() {
        if character.is_ascii_alphanumeric() {
            instructions += 1;
            spellings.push(character);
        } else {
            instructions += 4;
            spellings.push_str("[[:punct:]]");
        }
    }
    if spellings == name.as_str() || instructions > MOST_INSTRUCTIONS {
        return json!({ "remove": name.as_str() });
    }
    json!({ "remove_on_match": { "key_matcher": { "safe_regex": { "regex": spellings } } } })
}
