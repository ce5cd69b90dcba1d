//! What rules ask for, and what could never be met or would be met by accident.

use crate::config::{AuthnSection, Proof, ProviderConfig, Require};
use crate::credential::CredentialSource;
use crate::provider::Provider;
use crate::requirement::{Demand, Leniency, Requirement};
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use sluice_core::document::problem::{FieldPath, Problems, quoted_list};
use sluice_core::http::header::HeaderName;

/// Nobody could read more.
const MOST_DEPTH: usize = 8;

/// What demands are compiled with.
struct Demands<'c> {
    section: &'c AuthnSection,
    /// Those that have been compiled without a problem.
    providers: &'c [Option<Provider>],
    problems: &'c mut Problems,
}

impl AuthnSection {
    /// What a rule asks for, whose `require` stands at `path`.
    pub(super) fn compile_require(
        &self,
        require: Option<&Require>,
        providers: &[Option<Provider>],
        path: &FieldPath,
        problems: &mut Problems,
    ) -> Requirement {
        let mut demands = Demands { section: self, providers, problems };
        let (demand, leniency) = match require {
            None => return self.any_provider(),
            Some(Require::None) => (None, Leniency::None),
            Some(Require::Any(proofs)) => (demands.any(proofs, &path.field("any"), 1), Leniency::None),
            Some(Require::All(proofs)) => (demands.all(proofs, &path.field("all"), 1), Leniency::None),
            Some(Require::Optional(proofs)) => {
                (demands.any(proofs, &path.field("optional"), 1), Leniency::Missing)
            }
            Some(Require::AllowMissingOrFailed(proofs)) => {
                let path = path.field("allowMissingOrFailed");
                let demand = demands.any(proofs, &path, 1);
                demands.check_removable(demand.as_ref(), &path);
                (demand, Leniency::MissingOrFailed)
            }
        };
        let mut providers = Vec::new();
        demand.iter().for_each(|demand| add_providers(demand, &mut providers));
        Requirement { demand, leniency, providers }
    }

    /// The proof of one of all providers.
    pub(super) fn any_provider(&self) -> Requirement {
        let providers: Vec<usize> = (0..self.providers.len()).collect();
        let one = |provider: &usize| Demand::Provider { provider: *provider, audiences: Vec::new() };
        let demand = Some(Demand::Any(providers.iter().map(one).collect()));
        Requirement { demand, leniency: Leniency::None, providers }
    }
}

impl Demands<'_> {
    fn any(&mut self, proofs: &OneOrMany<Proof>, path: &FieldPath, depth: usize) -> Option<Demand> {
        let mut demands = Vec::new();
        for (position, proof) in proofs.iter().enumerate() {
            let path = path.index(position);
            if proof.optional.is_some() {
                let message = "what is optional would let everybody in here: write `optional: [...]` for the whole rule, or put it into `all`";
                self.problems.report(&path.field("optional"), message);
                continue;
            }
            let Some(demand) = self.one(proof, &path, depth) else { continue };
            if let (Demand::Provider { provider, audiences }, Some(name)) = (&demand, &proof.provider) {
                let is_same = |known: &Demand| matches!(known, Demand::Provider { provider: other, audiences: of_other } if other == provider && (of_other.is_empty() || of_other == audiences));
                if demands.iter().any(is_same) {
                    self.problems.report(&path, format!("`{name}` stands twice"));
                }
            }
            demands.push(demand);
        }
        Some(Demand::Any(demands))
    }

    fn all(&mut self, proofs: &OneOrMany<Proof>, path: &FieldPath, depth: usize) -> Option<Demand> {
        let mut demands = Vec::new();
        for (position, proof) in proofs.iter().enumerate() {
            let path = path.index(position);
            let demand = match &proof.optional {
                Some(_) if position == 0 => {
                    let message = "the first of `all` says who is calling, so it can't be optional: put it further back";
                    self.problems.report(&path.field("optional"), message);
                    continue;
                }
                Some(optional) if self.is_alone(proof, &path) => {
                    let demand = self.any(optional, &path.field("optional"), depth.saturating_add(1));
                    demand.map(|demand| Demand::Optional(Box::new(demand)))
                }
                Some(_) => None,
                None => self.one(proof, &path, depth),
            };
            let Some(demand) = demand else { continue };
            for earlier in &demands {
                self.check_together(earlier, &demand, &path);
            }
            demands.push(demand);
        }
        Some(Demand::All(demands))
    }

    fn one(&mut self, proof: &Proof, path: &FieldPath, depth: usize) -> Option<Demand> {
        if depth > MOST_DEPTH {
            self.problems.report(path, format!("more than {MOST_DEPTH} deep: nobody could tell who gets in"));
            return None;
        }
        if !self.is_alone(proof, path) {
            return None;
        }
        let depth = depth.saturating_add(1);
        match (&proof.provider, &proof.any, &proof.all) {
            (Some(name), ..) => self.provider(name, proof.audiences.as_ref(), path),
            (_, Some(proofs), _) => self.any(proofs, &path.field("any"), depth),
            (_, _, Some(proofs)) => self.all(proofs, &path.field("all"), depth),
            // `optional` has been seen to by whoever asks.
            _ => None,
        }
    }

    fn is_alone(&mut self, proof: &Proof, path: &FieldPath) -> bool {
        let Proof { provider, audiences, any, all, optional } = proof;
        let given = [provider.is_some(), any.is_some(), all.is_some(), optional.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let message = "exactly one of `provider`, `any`, `all` and `optional` must be given";
            self.problems.report(path, message);
            return false;
        }
        if audiences.is_some() && provider.is_none() {
            self.problems.report(&path.field("audiences"), "goes with `provider` only");
            return false;
        }
        true
    }

    fn provider(
        &mut self,
        name: &Name,
        audiences: Option<&OneOrMany<String>>,
        path: &FieldPath,
    ) -> Option<Demand> {
        let Some(position) = self.section.providers.iter().position(|provider| provider.name == *name) else {
            let known = self.section.providers.iter().map(|provider| provider.name.as_str());
            self.problems.unknown_name(path, "a provider", name.as_str(), known);
            return None;
        };
        if let (Some(audiences), Some(config)) = (audiences, self.section.providers.get(position)) {
            self.check_audiences(audiences, config, &path.field("audiences"));
        }
        let audiences = audiences.into_iter().flatten().cloned().collect();
        Some(Demand::Provider { provider: position, audiences })
    }

    /// A rule's audiences narrow the provider's: a token for others is refused already.
    fn check_audiences(&mut self, audiences: &OneOrMany<String>, config: &ProviderConfig, path: &FieldPath) {
        let Some(jwt) = &config.jwt else {
            let message = format!("`{}` has no tokens: only those name an audience", config.name);
            self.problems.report(path, message);
            return;
        };
        for (position, audience) in audiences.iter().enumerate() {
            let path = path.index(position);
            if audience.trim().is_empty() {
                self.problems.report(&path, "empty: write the `aud` of tokens for this rule");
            } else if let Some(known) = &jwt.audiences
                && !known.iter().any(|known| known == audience)
            {
                let known = quoted_list(known.iter().map(String::as_str));
                let message = format!(
                    "`{audience}` is not an audience of `{}`, which takes tokens for {known} alone: this is never met",
                    config.name
                );
                self.problems.report(&path, message);
            }
        }
    }

    /// Two proofs that are asked for together: neither may stand in the other's way.
    fn check_together(&mut self, earlier: &Demand, later: &Demand, path: &FieldPath) {
        let (mut of_earlier, mut of_later) = (Vec::new(), Vec::new());
        add_providers(earlier, &mut of_earlier);
        add_providers(later, &mut of_later);
        let config = |position: &usize| self.section.providers.get(*position);
        let pairs = of_earlier.iter().flat_map(|one| of_later.iter().map(move |other| (one, other)));
        let mut messages = Vec::new();
        for (one, other) in pairs.filter(|(one, other)| one != other) {
            let (Some(first), Some(second)) = (config(one), config(other)) else { continue };
            let of_first: Vec<&HeaderName> = first.identity_headers().collect();
            if let Some(name) = second.identity_headers().find(|name| of_first.contains(name)) {
                messages.push(format!(
                    "`{}` and `{}` both have the header `{name}`: nobody could tell whose value it holds",
                    first.name, second.name
                ));
            }
        }
        if let (Demand::Provider { provider: one, .. }, Demand::Provider { provider: other, .. }) =
            (earlier, later)
            && let (Some(first), Some(second)) = (config(one), config(other))
            && self.exclude_each_other(*one, *other)
        {
            messages.push(format!(
                "`{}` and `{}` read the same place, which has room for one credential: this is never met; let one of them read elsewhere (`from`)",
                first.name, second.name
            ));
        }
        for message in messages {
            self.problems.report(path, message);
        }
    }

    /// Whether two providers can't both accept: each credential would be a second one to the other, or the same of two issuers.
    fn exclude_each_other(&self, one: usize, other: usize) -> bool {
        let issuer = |position: usize| Some(&self.section.providers.get(position)?.jwt.as_ref()?.issuer);
        let same_issuer = issuer(one).is_some() && issuer(one) == issuer(other);
        let sources = |position: usize| self.providers.get(position)?.as_ref().map(|it| it.kind.sources());
        let (Some(first), Some(second)) = (sources(one), sources(other)) else { return false };
        let within = |inner: &[CredentialSource], outer: &[CredentialSource]| {
            !inner.is_empty() && inner.iter().all(|source| outer.contains(source))
        };
        !same_issuer && (within(first, second) || within(second, first))
    }

    /// A bad credential goes on without an identity, but must not reach the service. One in the query would.
    fn check_removable(&mut self, demand: Option<&Demand>, path: &FieldPath) {
        let mut positions = Vec::new();
        demand.iter().for_each(|demand| add_providers(demand, &mut positions));
        for provider in positions.iter().filter_map(|position| self.providers.get(*position)?.as_ref()) {
            if provider.kind.sources().iter().any(|source| matches!(source, CredentialSource::Query(_))) {
                let message = format!(
                    "`{}` reads credentials from the query, from where they can't be taken out: a bad one would reach the service as if it were good",
                    provider.name
                );
                self.problems.report(path, message);
            }
        }
    }
}

fn add_providers(demand: &Demand, positions: &mut Vec<usize>) {
    match demand {
        Demand::Provider { provider, .. } if positions.contains(provider) => {}
        Demand::Provider { provider, .. } => positions.push(*provider),
        Demand::Any(demands) | Demand::All(demands) => {
            demands.iter().for_each(|demand| add_providers(demand, positions));
        }
        Demand::Optional(demand) => add_providers(demand, positions),
    }
}
