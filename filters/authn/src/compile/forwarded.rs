use crate::config::ForwardedConfig;
use crate::forward;
use crate::forwarded::ForwardedProvider;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::http::header::HeaderName;

/// All headers of a forwarded identity.
pub(super) fn headers(config: &ForwardedConfig) -> impl Iterator<Item = &HeaderName> {
    let optional = [&config.provider, &config.consumer, &config.roles, &config.scopes].into_iter().flatten();
    let attributes = config.attributes.iter().map(|(_, name)| name);
    std::iter::once(&config.principal).chain(optional).chain(attributes)
}

impl ForwardedConfig {
    pub(super) fn compile(&self, path: &FieldPath, problems: &mut Problems) -> Option<ForwardedProvider> {
        let mut known: Vec<&HeaderName> = Vec::new();
        for name in headers(self) {
            if let Err(message) = forward::check_name(name) {
                problems.report(path, message);
            }
            if known.contains(&name) {
                problems.report(path, format!("the header `{name}` is to say two things"));
            }
            known.push(name);
        }
        Some(ForwardedProvider {
            peers: self.peers.as_slice().to_vec(),
            principal: self.principal.clone(),
            provider: self.provider.clone(),
            consumer: self.consumer.clone(),
            roles: self.roles.clone(),
            scopes: self.scopes.clone(),
            attributes: self
                .attributes
                .iter()
                .map(|(attribute, name)| (attribute.clone(), name.clone()))
                .collect(),
            headers: headers(self).cloned().collect(),
        })
    }
}
