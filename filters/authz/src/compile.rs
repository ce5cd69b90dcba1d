//! From the section to the compiled policy, and all that can be wrong with it.

use crate::config::{AuthzSection, Effect, RuleConfig};
use crate::joined_lists;
use crate::policy::{AuthzPolicy, Rule};
use crate::{PLACE, SECTION};
use sluice_core::caller::roles::Roles;
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::document::entries::LongList;
use sluice_core::document::pace::at_once;
use sluice_core::document::problem::FieldPath;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::reachable::{EffectRule, check_effects, check_neighbours};
use sluice_core::rule::when::{AnyOrAll, When};

impl PolicySection for AuthzSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn declare(&self, path: &FieldPath, compiler: &mut Compiler) {
        compiler.roles = Roles::compile(&self.roles, &path.field("roles"), &mut compiler.problems);
    }

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        at_once(self.compile_in_slices(path, compiler))
    }

    fn long_lists(&mut self) -> Vec<&mut dyn LongList> {
        vec![&mut self.rules]
    }

    async fn compile_in_slices(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let (section, path) = (path, path.field("rules"));
        compiler.check_unique(self.rules.iter().map(|rule| &rule.name), &path);
        let mut enforced: Vec<EffectRule<'_>> = Vec::new();
        let (mut deny, mut allow) = (Vec::new(), Vec::new());
        for (position, rule) in self.rules.iter().enumerate() {
            compiler.pace.step().await;
            let path = path.index(position);
            let selector = compiler.selector(rule.matches.as_ref(), &path);
            let when = When::compile(rule.when.as_ref(), selector, &path.field("when"), compiler);
            let Some(effect) = rule.effect(&path, compiler) else { continue };
            if effect == Effect::Deny && rule.when.as_ref().is_some_and(|when| when.peers.is_some()) {
                compiler.warn_of_several_peer_identities(&path.field("when").field("peers"));
            }
            if !compiler.proven {
                joined_lists::warn(rule, effect, &path, compiler);
            }
            if !rule.shadow {
                enforced.push(EffectRule {
                    position,
                    name: &rule.name,
                    selector,
                    when: rule.when.as_ref(),
                    denies: effect == Effect::Deny,
                });
            }
            let verb = match effect {
                Effect::Deny => "denied",
                Effect::Allow => "allowed",
            };
            let text = format!("{verb}.rule:{}", rule.name);
            let outcome = match effect {
                _ if rule.shadow || (self.shadow && effect == Effect::Deny) => Outcome::Shadow,
                Effect::Deny => Outcome::Denied,
                Effect::Allow => Outcome::Allowed,
            };
            let compiled = Rule {
                name: rule.name.clone(),
                selector,
                asks_identity: rule.when.as_ref().is_some_and(When::asks_identity),
                when,
                scope_challenge: rule
                    .when
                    .as_ref()
                    .and_then(|when| insufficient_scope(when.scopes.as_ref()?)),
                shadow: rule.shadow,
                reason: compiler.reason(SECTION, outcome, &text),
            };
            match effect {
                Effect::Deny => deny.push(compiled),
                Effect::Allow => allow.push(compiled),
            }
        }
        check_effects(&enforced, &path, compiler);
        if !self.shadow && !compiler.proven {
            check_neighbours(&enforced, self.default == Effect::Allow, &path, compiler);
            self.check_default(&enforced, section, compiler);
        }
        let denied = if self.shadow { Outcome::Shadow } else { Outcome::Denied };
        let default = match self.default {
            Effect::Deny => compiler.reason(SECTION, denied, "denied.default"),
            Effect::Allow => compiler.reason(SECTION, Outcome::Allowed, "allowed.default"),
        };
        vec![Box::new(AuthzPolicy {
            deny,
            allow,
            default_effect: self.default,
            default_reason: default,
            challenges: compiler.challenges.clone(),
            challenge_header: HeaderName::from_static("www-authenticate"),
            shadow: self.shadow,
        })]
    }
}

impl AuthzSection {
    /// Warns of rules, and of a section, that do nothing beside `default`.
    fn check_default(&self, enforced: &[EffectRule<'_>], section: &FieldPath, compiler: &mut Compiler) {
        let rules = section.field("rules");
        let allow = || enforced.iter().filter(|rule| !rule.denies);
        match self.default {
            // A section with wrong rules says nothing yet.
            Effect::Deny if self.rules.iter().all(|rule| rule.shadow || rule.deny == Some(true)) => {
                let message = "denies every request: no rule allows any, and `default` is `deny`";
                compiler.problems.warn(section, message);
            }
            Effect::Deny => {
                for rule in allow().filter(|rule| rule.matches_everything()) {
                    let message = format!(
                        "`{}` allows everybody every request that no `deny` rule matches, so that `default: deny` has no say",
                        rule.name
                    );
                    compiler.problems.warn(&rules.index(rule.position), message);
                }
            }
            Effect::Allow if self.rules.is_empty() && self.roles.is_empty() => {
                compiler.problems.warn(section, "does nothing: it has no rule, and `default` is `allow`");
            }
            Effect::Allow => {
                for rule in allow() {
                    let message = format!(
                        "`{}` changes no answer: what no `deny` rule matches is allowed anyway, since `default` is `allow`",
                        rule.name
                    );
                    compiler.problems.warn(&rules.index(rule.position), message);
                }
            }
        }
    }
}

impl RuleConfig {
    /// What the rule does; `None`, and a problem, where it does not say one thing.
    fn effect(&self, path: &FieldPath, compiler: &mut Compiler) -> Option<Effect> {
        match (self.allow, self.deny) {
            (Some(true), None) => Some(Effect::Allow),
            (None, Some(true)) => Some(Effect::Deny),
            (Some(false), None) => {
                compiler.problems.report(
                    &path.field("allow"),
                    "`allow: false` does nothing; write `deny: true` for a rule that denies",
                );
                None
            }
            (None, Some(false)) => {
                compiler.problems.report(
                    &path.field("deny"),
                    "`deny: false` does nothing; write `allow: true` for a rule that allows",
                );
                None
            }
            (Some(_), Some(_)) => {
                compiler
                    .problems
                    .report(path, "says both `allow` and `deny`; a rule does one: write two rules");
                None
            }
            (None, None) => {
                compiler.problems.report(path, "says neither `allow: true` nor `deny: true`");
                None
            }
        }
    }
}

/// The challenge of RFC 6750 §3.1 for a token that lacks scopes; `None` where a scope is no scope-token (RFC 6749 §3.3).
fn insufficient_scope(wanted: &AnyOrAll) -> Option<HeaderValue> {
    let scopes = wanted.sufficient();
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if scopes.iter().any(|scope| scope.is_empty() || !scope.bytes().all(allowed)) {
        return None;
    }
    let scopes = scopes.join(" ");
    HeaderValue::new(format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\"").as_bytes()).ok()
}
