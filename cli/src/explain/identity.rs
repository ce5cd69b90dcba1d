use crate::failure::Failure;
use crate::source::read_file;
use serde::Deserialize;
use sluice_core::caller::identity::Identity;
use sluice_core::document::decode;
use sluice_core::document::name::Name;
use std::collections::BTreeMap;
use std::path::Path;

/// An identity as it is given by hand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    provider: Option<Name>,
    principal: String,
    consumer: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    claims: serde_json::Value,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// Reads `--identity`: JSON, or `@FILE` with it.
pub(super) fn read(argument: &str) -> Result<Identity, Failure> {
    let json = match argument.strip_prefix('@') {
        Some(file) => read_file(Path::new(file))?,
        None => argument.as_bytes().to_vec(),
    };
    let given: Given = decode::from_json(&json).map_err(|problem| {
        Failure::new(format!(
            "--identity: {problem}. Write for example '{{\"principal\": \"alice\", \"roles\": [\"admin\"]}}'"
        ))
    })?;
    let Given { provider, principal, consumer, roles, scopes, claims, attributes } = given;
    Ok(Identity {
        provider,
        origin: None,
        principal,
        consumer,
        roles,
        scopes,
        claims: claims.into(),
        attributes,
    })
}
