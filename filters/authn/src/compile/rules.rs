//! Rules: which requests, and which of the providers.

use crate::config::{AuthnSection, RuleConfig};
use crate::policy::Rule;
use crate::provider::Provider;
use sluice_core::decision::compile::{Accepting, Compiler};
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::rule::reachable::{OrderedRule, check_reachable, unprotected};
use sluice_core::rule::selector::SelectorId;

/// How many rules are looked at to tell which lets a path in.
const MOST_COMPARED: usize = 64;

impl AuthnSection {
    pub(super) fn compile_rules(
        &self,
        providers: &[Option<Provider>],
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Vec<Rule> {
        compiler.check_unique(self.rules.iter().map(|rule| &rule.name), path);
        let mut rules: Vec<Rule> = self
            .rules
            .iter()
            .enumerate()
            .map(|(position, rule)| self.compile_rule(rule, providers, &path.index(position), compiler))
            .collect();
        let ordered: Vec<OrderedRule<'_>> = rules
            .iter()
            .map(|rule| OrderedRule {
                name: &rule.name,
                selector: rule.selector,
                when: None,
                shadow: rule.shadow,
            })
            .collect();
        check_reachable(&ordered, path, compiler);
        if rules.iter().all(|rule| rule.shadow) {
            // As if there were none.
            rules.extend(self.every_request());
        }
        if !compiler.proven {
            Self::check_neighbours(&rules, path, compiler);
        }
        let uses = |provider: usize| rules.iter().any(|rule| rule.requirement.providers.contains(&provider));
        for (position, provider) in self.providers.iter().enumerate() {
            // A rule that names a provider that isn't there has been reported; another problem would only distract.
            if compiler.problems.is_empty() && !uses(position) {
                let message = format!("no rule accepts the provider `{}`", provider.name);
                // `path` is that of the rules: what is missing is missing there.
                compiler.problems.report(path, message);
            }
        }
        rules
    }

    /// Warns of paths beside those that need proof, which a rule lets in without: `/admin` beside `/admin/**`.
    fn check_neighbours(rules: &[Rule], path: &FieldPath, compiler: &mut Compiler) {
        let selectors = &compiler.selectors;
        let needs_proof = |rule: &&Rule| !rule.shadow && rule.requirement.needs_proof();
        let paths = |rule: &Rule| selectors.own_paths(rule.selector);
        let protected = rules.iter().filter(needs_proof).flat_map(paths);
        let mut warnings = Vec::new();
        for (pattern, beside) in unprotected(protected.clone(), protected) {
            // The first rule that is about that path, as far as paths tell.
            let about = |rule: &&Rule| {
                let own = paths(rule);
                !rule.shadow
                    && if own.is_empty() {
                        selectors.names_nothing(rule.selector)
                    } else {
                        own.iter().any(|own| own.includes(&beside))
                    }
            };
            let mut first = rules.iter().take(MOST_COMPARED).filter(about);
            if let Some(open) = first.next().filter(|rule| rule.requirement.demand.is_none()) {
                let message = format!(
                    "`{pattern}` does not include `{beside}`, which many services answer alike: the rule `{}` lets that in without proof",
                    open.name
                );
                let is_of = |rule: &Rule| needs_proof(&rule) && paths(rule).contains(pattern);
                let at = rules.iter().take(MOST_COMPARED).position(is_of);
                warnings.extend(at.map(|at| (path.index(at).field("match").field("paths"), message)));
            }
        }
        for (path, message) in warnings {
            compiler.problems.warn(&path, message);
        }
    }

    /// Which providers the rules accept. `None` where something is wrong with them: that would make others look wrong.
    pub(super) fn accepted(&self, path: &FieldPath, compiler: &mut Compiler) -> Option<Vec<Accepting>> {
        let all = || self.providers.iter().map(|provider| provider.name.clone()).collect::<Vec<_>>();
        let mut accepting = Vec::new();
        for (position, rule) in self.rules.iter().enumerate().filter(|(_, rule)| !rule.shadow) {
            let providers = match &rule.require {
                None => all(),
                Some(require) => require.identifying().into_iter().cloned().collect(),
            };
            let exists = |name: &Name| self.providers.iter().any(|provider| provider.name == *name);
            if !providers.iter().all(exists) {
                return None;
            }
            let selector = compiler.selector(rule.matches.as_ref(), &path.index(position));
            accepting.push(Accepting { selector, providers });
        }
        if accepting.is_empty() {
            // As if there were no rules: one of all providers is required of every request.
            accepting.push(Accepting { selector: SelectorId::EVERY, providers: all() });
        }
        compiler.problems.is_empty().then_some(accepting)
    }

    /// What holds where no rule decides anything: one of all providers is required of every request.
    fn every_request(&self) -> Option<Rule> {
        let requirement = self.any_provider();
        let name = Name::new("every-request").ok()?;
        Some(Rule { name, selector: SelectorId::EVERY, requirement, shadow: false })
    }

    fn compile_rule(
        &self,
        rule: &RuleConfig,
        providers: &[Option<Provider>],
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Rule {
        let require = path.field("require");
        Rule {
            name: rule.name.clone(),
            selector: compiler.selector(rule.matches.as_ref(), path),
            requirement: self.compile_require(
                rule.require.as_ref(),
                providers,
                &require,
                &mut compiler.problems,
            ),
            shadow: rule.shadow,
        }
    }
}
