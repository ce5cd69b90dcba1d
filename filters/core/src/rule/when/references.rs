//! What a rule asks of callers that no provider of `authn` could ever say of one.

use super::When;
use crate::caller::offer::{Offer, Possible};
use crate::decision::compile::Compiler;
use crate::document::problem::{FieldPath, Problems, quoted_list};
use crate::rule::selector::SelectorId;

/// A key of `when` with one value, and whether a provider may give that value.
struct Wanted<'w> {
    path: FieldPath,
    key: &'static str,
    /// Of these one is enough (or all are needed): where each stands, what it is, whether it is offered.
    values: Vec<(FieldPath, &'w str)>,
    all: bool,
    offered: Offers<'w>,
}

/// Whether a provider may give a value.
type Offers<'w> = Box<dyn Fn(&Offer, &str) -> bool + 'w>;

impl When {
    /// Reports what a rule's `when` at `path` asks that no provider can say of a caller. `selector` is the rule's compiled `match`: where
    /// `authn` accepts only some providers for its requests, the others do not count.
    pub(super) fn check_offered(
        when: Option<&Self>,
        selector: SelectorId,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) {
        let Some(when) = when.filter(|_| !compiler.proven) else { return };
        let mut problems = Problems::default();
        let Some(offers) = compiler.offers_for(selector) else { return };
        when.check_against(&offers, path, compiler, &mut problems);
        compiler.problems.append(problems);
    }

    fn check_against(
        &self,
        offers: &[&Offer],
        path: &FieldPath,
        compiler: &Compiler,
        problems: &mut Problems,
    ) {
        let authn = compiler.offers.as_ref().is_some_and(|known| !known.is_empty());
        if let Some(not) = &self.not {
            not.check_against(offers, &path.field("not"), compiler, problems);
        }
        // Who asks for somebody and for nobody has been told.
        if self.authenticated == Some(false) && self.asks_identity_besides_authenticated() {
            return;
        }
        if offers.is_empty() {
            let why = if authn {
                "`authn` asks for no proof of the requests that the rule is about"
            } else {
                "the document has no `authn`"
            };
            if self.needs_identity() {
                let message = format!("this never holds: it asks who is calling, and {why}");
                problems.report(path, message);
            } else if self.authenticated == Some(false) {
                let message = format!("this always holds: nobody is proven to call, since {why}");
                problems.warn(&path.field("authenticated"), message);
            }
            return;
        }
        if !self.needs_identity() {
            return;
        }
        // An unknown provider has been reported.
        let named = |offer: &&Offer| {
            self.providers.as_ref().is_none_or(|names| names.iter().any(|name| *name == offer.provider))
        };
        let of_these: Vec<&Offer> = offers.iter().copied().filter(named).collect();
        if of_these.is_empty() {
            let known =
                compiler.providers().any(|known| self.providers.iter().flatten().any(|name| name == known));
            if known {
                let accepted = quoted_list(offers.iter().map(|offer| offer.provider.as_str()));
                let message = format!(
                    "this never holds: for the requests that the rule is about, `authn` accepts {accepted} alone"
                );
                problems.report(&path.field("providers"), message);
            }
            return;
        }
        let mut by_all = of_these.clone();
        let mut told = false;
        for wanted in self.wanted(path, compiler) {
            let gives = |offer: &&Offer| {
                let mut values = wanted.values.iter();
                let offered = |(_, value): &(FieldPath, &str)| (wanted.offered)(offer, value);
                if wanted.all { values.all(offered) } else { values.any(offered) }
            };
            let anybody = of_these.iter().any(gives);
            by_all.retain(gives);
            let missing: Vec<&(FieldPath, &str)> = wanted
                .values
                .iter()
                .filter(|(_, value)| !of_these.iter().any(|offer| (wanted.offered)(offer, value)))
                .collect();
            let providers = quoted_list(of_these.iter().map(|offer| offer.provider.as_str()));
            if !anybody {
                let values = quoted_list(wanted.values.iter().map(|(_, value)| *value).take(5));
                let message =
                    format!("this never holds: no caller of {providers} has {} {values}", wanted.key);
                problems.report(&wanted.path, message);
                told = true;
            } else {
                for (path, value) in missing {
                    let message = format!("no caller of {providers} has {} `{value}`", wanted.key);
                    problems.warn(path, message);
                }
            }
        }
        if by_all.is_empty() && !told {
            problems.report(path, "this never holds: no provider can say all of this of one caller");
        }
    }

    /// The keys that a provider must offer something for.
    fn wanted<'w>(&'w self, path: &FieldPath, compiler: &Compiler) -> Vec<Wanted<'w>> {
        let listed = |field: &str, values: &'w [String]| -> Vec<(FieldPath, &'w str)> {
            let path = path.field(field);
            values.iter().enumerate().map(|(at, value)| (path.index(at), value.as_str())).collect()
        };
        let mut wanted = Vec::new();
        if let Some(consumers) = &self.consumers {
            wanted.push(Wanted {
                path: path.field("consumers"),
                key: "the consumer",
                values: listed("consumers", consumers.as_slice()),
                all: false,
                offered: Box::new(|offer, value| offer.consumers.holds(value)),
            });
        }
        if let Some(roles) = &self.roles {
            wanted.push(Wanted {
                path: path.field("roles"),
                key: "the role",
                values: listed("roles", roles.values()),
                all: roles.asks_all(),
                offered: Box::new(|offer, value| offer.roles.holds(value)),
            });
        }
        if let Some(scopes) = &self.scopes {
            wanted.push(Wanted {
                path: path.field("scopes"),
                key: "the scope",
                values: listed("scopes", scopes.values()),
                all: scopes.asks_all(),
                offered: Box::new(|offer, value| offer.scopes.holds(value)),
            });
        }
        if let Some(permissions) = &self.permissions {
            let holders: Vec<(&str, Vec<String>)> = permissions
                .values()
                .iter()
                .map(|permission| {
                    let holders = compiler.roles.holders(permission);
                    (permission.as_str(), holders.into_iter().flatten().cloned().collect())
                })
                .collect();
            // An unknown permission has been reported.
            if holders.iter().all(|(_, holders)| !holders.is_empty()) {
                wanted.push(Wanted {
                    path: path.field("permissions"),
                    key: "the permission",
                    values: listed("permissions", permissions.values()),
                    all: permissions.asks_all(),
                    offered: Box::new(move |offer, value| {
                        let mut holders = holders.iter().filter(|(permission, _)| *permission == value);
                        holders.any(|(_, roles)| roles.iter().any(|role| offer.roles.holds(role)))
                    }),
                });
            }
        }
        let claims = path.field("claims");
        for (claim, value) in self.claims.iter() {
            wanted.push(Wanted {
                path: claims.field(claim.as_str()),
                key: "a claim",
                values: vec![(claims.field(claim.as_str()), claim.as_str())],
                all: false,
                offered: Box::new(|offer, _| offer.claims || value.is_absence()),
            });
        }
        let attributes = path.field("attributes");
        for (name, value) in self.attributes.iter() {
            wanted.push(Wanted {
                path: attributes.field(name),
                key: "such an attribute",
                values: vec![(attributes.field(name), name)],
                all: false,
                offered: Box::new(|offer, name| {
                    value.is_absence()
                        || match offer.attributes.get(name) {
                            None => false,
                            Some(Possible::Any) => true,
                            Some(Possible::These(values)) => {
                                values.iter().any(|known| value.matches(Some(known.as_bytes())))
                            }
                        }
                }),
            });
        }
        wanted
    }
}
