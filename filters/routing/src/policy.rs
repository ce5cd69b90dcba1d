//! The decision of `routing`.

use crate::PLACE;
use crate::split::{Chosen, Split};
use sluice_core::decision::compile::Stage;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{Mutations, Verdict};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::header_map::Single;
use sluice_core::http::protected::ProtectedNames;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::head::Head;

/// The compiled section.
pub(crate) struct RoutingPolicy {
    pub(crate) owned: OwnedHeaders,
    pub(crate) rules: Vec<Rule>,
    /// No rule decided.
    pub(crate) default: ReasonId,
}

/// The headers that only this policy may write.
pub(crate) struct OwnedHeaders {
    pub(crate) cluster: HeaderName,
    pub(crate) subset: HeaderName,
    /// These two and the reserved ones.
    pub(crate) all: ProtectedNames,
}

/// A compiled rule.
pub(crate) struct Rule {
    pub(crate) head: Head,
    pub(crate) choice: Choice,
    pub(crate) shadow: bool,
}

/// Where a rule sends its requests.
pub(crate) enum Choice {
    /// All to one destination.
    One(Destination),
    /// Shares of them, each to its own.
    Split(Split),
}

/// A destination: the headers that lead there, and the decision's name.
pub(crate) struct Destination {
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) reason: ReasonId,
}

impl Stage for RoutingPolicy {
    fn place(&self) -> Place {
        PLACE
    }

    fn asks_client_address(&self) -> bool {
        let asks = |choice: &Choice| match choice {
            Choice::One(_) => false,
            Choice::Split(split) => split.sticks_to(&Attribute::ClientAddress),
        };
        self.rules.iter().any(|rule| asks(&rule.choice))
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        let chosen = self.choose(exchange);
        let headers = chosen.map_or(&[][..], |destination| &destination.headers);
        let removed = self.remove_what_clients_sent(headers, exchange, mutations);
        let mut changed = removed;
        for (name, value) in headers {
            // Setting a header costs, and so does finding the route anew: not where all is as it shall be.
            if exchange.request().headers().single(name.as_str()) != Single::Once(value.as_bytes()) {
                mutations.set_request_header(name.clone(), value.clone());
                changed = true;
            }
        }
        if changed {
            // Envoy has chosen a route by the headers as they came.
            mutations.clear_route_cache();
        }
        Verdict::Continue
    }
}

impl RoutingPolicy {
    /// The destination of the first rule that matches and is not in shadow. Decisions on the way are recorded.
    fn choose<'p>(&'p self, exchange: &Exchange<'_>) -> Option<&'p Destination> {
        for rule in &self.rules {
            if !rule.head.applies(exchange) {
                continue;
            }
            let Some(destination) = rule.destination(exchange) else { continue };
            exchange.record(destination.reason);
            if !rule.shadow {
                return Some(destination);
            }
        }
        exchange.note(|| "no rule decides: the route is as Envoy's configuration has it".to_owned());
        exchange.record(self.default);
        None
    }

    /// Removes the owned headers, in every spelling, that no rule sets. True if there were any.
    fn remove_what_clients_sent(
        &self,
        set: &[(HeaderName, HeaderValue)],
        exchange: &Exchange<'_>,
        mutations: &mut Mutations,
    ) -> bool {
        let mut removed = false;
        for (name, _) in exchange.request().headers().iter() {
            if !self.owned.all.has(name) {
                continue;
            }
            if set.iter().any(|(known, _)| known.as_str().as_bytes() == name) {
                continue;
            }
            // A request with a name that spells one of these and is none itself is refused before.
            if let Some(name) = HeaderName::from_bytes(name) {
                exchange.note(|| format!("`{name}`, which the client sent, is removed"));
                mutations.remove_request_header(name);
                removed = true;
            }
        }
        removed
    }
}

impl Rule {
    fn destination(&self, exchange: &Exchange<'_>) -> Option<&Destination> {
        match &self.choice {
            Choice::One(destination) => {
                exchange.note(|| format!("rule `{}` matches{}", self.head.name, self.in_shadow()));
                Some(destination)
            }
            Choice::Split(split) => {
                let Chosen { destination, position, by } = split.choose(exchange, self.head.selector)?;
                exchange.note(|| {
                    let place = f64::from(position) / 10_000.0;
                    let how = match by {
                        Some(attribute) => format!("by `{attribute}`, and stays there"),
                        None => "drawn at random".to_owned(),
                    };
                    format!(
                        "rule `{}` matches{}; place in the split: {place} of 100, {how}",
                        self.head.name,
                        self.in_shadow()
                    )
                });
                Some(destination)
            }
        }
    }

    fn in_shadow(&self) -> &'static str {
        if self.shadow { " (shadow)" } else { "" }
    }
}
