//! Where credentials are read.

use crate::config::{Passing, SourceConfig};
use crate::credential::CredentialSource;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::problem::{FieldPath, Problems};
use std::collections::HashMap;

/// Where a credential is read; `default` where the document does not say.
pub(super) fn sources(
    from: Option<&OneOrMany<SourceConfig>>,
    default: CredentialSource,
    path: &FieldPath,
    problems: &mut Problems,
) -> Vec<CredentialSource> {
    let Some(from) = from else { return vec![default] };
    let mut sources = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (position, source) in from.iter().enumerate() {
        let path = path.index(position);
        match CredentialSource::new(source) {
            Ok(source) => {
                // Two schemes of one header are two places, but a header has room for one.
                if let Some(first) = seen.insert(source.to_string(), position) {
                    problems.report(&path, format!("{source} stands here and at {first}"));
                }
                sources.push(source);
            }
            Err(message) => problems.report(&path, message),
        }
    }
    sources
}

/// Whether a credential is taken out of the request. One in the query stays: a promise to remove it would be false.
pub(super) fn removes(
    passing: Option<Passing>,
    sources: &[CredentialSource],
    path: &FieldPath,
    problems: &mut Problems,
) -> bool {
    let in_query = sources.iter().any(|source| matches!(source, CredentialSource::Query(_)));
    if in_query && passing == Some(Passing::Remove) {
        problems.report(
            path,
            "what is read from the query can't be taken out of it and goes on to the service: write `keep`, or read it elsewhere",
        );
    }
    passing != Some(Passing::Keep)
}
