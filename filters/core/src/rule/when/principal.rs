//! Principals as rules name them. A principal belongs to who proved it: two issuers may each have an `alice`.

use crate::caller::identity::Identity;
use crate::caller::offer::Offer;
use crate::decision::compile::Compiler;
use crate::document::list::OneOrMany;
use crate::document::name::Name;
use crate::document::problem::{FieldPath, quoted_list};

/// A principal that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrincipalRef {
    /// The provider that must have proved it; `None` where the document's providers are not known.
    provider: Option<Name>,
    /// The provider of the other proxy that must have proved it, where the provider tells.
    origin: Option<Name>,
    principal: String,
}

// === impl PrincipalRef ===

impl PrincipalRef {
    /// Reads an entry of `when.principals`, which stands at `path`.
    ///
    /// It is qualified if and only if it begins with the name of one of the document's providers and a slash: `staff/alice`. Behind a
    /// provider that tells the origins of its identities, the name of the origin follows: `edge/staff/alice`. An entry that is not
    /// qualified belongs to the one provider that can give this principal, of `providers` where the rule names some; if there are
    /// several, that is an error. `None`, with a problem, where nobody can be meant.
    pub(super) fn compile(
        entry: &str,
        providers: Option<&OneOrMany<Name>>,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Self> {
        let Compiler { offers: Some(offers), problems, .. } = compiler else {
            return Some(Self { provider: None, origin: None, principal: entry.to_owned() });
        };
        let qualified = entry.split_once('/').and_then(|(name, rest)| {
            offers.iter().find(|offer| offer.provider.as_str() == name).map(|offer| (offer, rest))
        });
        if let Some((offer, rest)) = qualified {
            if !offer.origins && !rest.is_empty() && !offer.principals.holds(rest) {
                problems.unknown_name(path, "a principal of that provider", rest, offer.principals.listed());
                return None;
            }
            if providers.is_some_and(|providers| providers.iter().all(|name| *name != offer.provider)) {
                problems.report(path, "is of none of the rule's `providers`: this never holds");
            }
            return Self::of(offer, rest).map_err(|message| problems.report(path, message)).ok();
        }
        let asked = |offer: &&Offer| {
            providers.is_none_or(|providers| providers.iter().any(|name| *name == offer.provider))
        };
        let can_give = |offer: &&Offer| offer.origins || offer.principals.holds(entry);
        let mut candidates: Vec<&Offer> = offers.iter().filter(asked).filter(can_give).collect();
        // Who tells origins can be meant only by an entry that names one.
        if candidates.len() > 1 && candidates.iter().any(|offer| !offer.origins) {
            candidates.retain(|offer| !offer.origins || Self::of(offer, entry).is_ok());
        }
        match candidates.as_slice() {
            // That nobody is proven to call is told of the whole rule.
            [] if offers.is_empty() => None,
            [] => {
                let listed = offers.iter().filter(asked).flat_map(|offer| offer.principals.listed());
                problems.unknown_name(path, "a principal that a provider can give", entry, listed);
                None
            }
            [offer] => Self::of(offer, entry).map_err(|message| problems.report(path, message)).ok(),
            several => {
                let ways = several.iter().map(|offer| {
                    let origin = if offer.origins { "<provider there>/" } else { "" };
                    format!("{}/{origin}{entry}", offer.provider)
                });
                let ways: Vec<String> = ways.collect();
                let ways = quoted_list(ways.iter().map(String::as_str));
                problems.report(
                    path,
                    format!("several providers may give the principal `{entry}`; say which: {ways}"),
                );
                None
            }
        }
    }

    /// The principal that `text` names among those of a provider.
    fn of(offer: &Offer, text: &str) -> Result<Self, String> {
        let provider = &offer.provider;
        if !offer.origins {
            if text.is_empty() {
                return Err(format!("no principal behind `{provider}/`: write `{provider}/alice`"));
            }
            return Ok(Self { provider: Some(provider.clone()), origin: None, principal: text.to_owned() });
        }
        let origin = text.split_once('/').filter(|(_, principal)| !principal.is_empty());
        let origin = origin.and_then(|(origin, principal)| Some((Name::new(origin).ok()?, principal)));
        let (origin, principal) = origin.ok_or_else(|| {
            format!("`{provider}` forwards the principals of several providers; say which: `{provider}/<provider there>/{text}`")
        })?;
        Ok(Self { provider: Some(provider.clone()), origin: Some(origin), principal: principal.to_owned() })
    }

    /// Whether this is who calls.
    pub(super) fn is(&self, identity: &Identity) -> bool {
        let by = |wanted: &Option<Name>, found: &Option<Name>| wanted.is_none() || wanted == found;
        // An identity given by hand (`sluice explain --identity`) may leave out who proved it.
        let proven = identity.provider.is_none()
            || by(&self.provider, &identity.provider) && self.origin == identity.origin;
        proven && self.principal == identity.principal
    }
}
