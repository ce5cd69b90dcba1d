//! Which services a request asks, and what follows from their answers.

use super::answer::{self, Failed, Told};
use super::message::{METHOD, RateLimitRequest, SERVICE};
use super::{Fleet, Service};
use crate::config::OnFailure;
use crate::policy::{Passed, RateLimitPolicy, Round};
use crate::rule::{Counted, Left, Refusal, Rule, Why};
use prost::Message;
use sluice_core::decision::wait::{Call, GrpcCall, Wait};
use std::rc::Rc;

/// A rule that a service is to be asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    /// The position of the rule among its stage's.
    pub(crate) rule: usize,
    pub(crate) counted: Counted,
}

/// Nanoseconds after which to come back where the service has failed: its circuit may be closed again by then.
const COME_BACK: u64 = 1_000_000_000;

// === impl RateLimitPolicy ===

impl RateLimitPolicy {
    /// Asks the services about `questions`, and puts what they say into `round`.
    ///
    /// # Errors
    /// [`Wait`], where an answer is missing.
    pub(crate) fn ask<'p>(&'p self, questions: &[Question], round: &mut Round<'p, '_>) -> Result<(), Wait> {
        // Once a call is made it counts, so its answer comes before what is remembered; until then no call need be made.
        let asked = round.exchange.has_answers();
        if !asked && self.refuses_from_memory(questions, round) {
            return Ok(());
        }
        let mut missing = Vec::new();
        for (position, first) in questions.iter().enumerate() {
            let Some(service) = self.service(first) else { continue };
            let shares =
                |question: &&Question| self.service(question).is_some_and(|other| Rc::ptr_eq(other, service));
            if questions.iter().take(position).any(|earlier| shares(&earlier)) {
                continue;
            }
            let together: Vec<&Question> = questions.iter().filter(shares).collect();
            let call = self.call(service, &together, round);
            match round.exchange.ask(&call) {
                Ok(answer) => self.judge(&together, answer::read(&answer, together.len()), round),
                Err(Wait::Calls(_)) if self.all_known_over(&together, round) => {}
                Err(Wait::Calls(calls)) => missing.extend(calls),
                Err(wait) => return Err(wait),
            }
        }
        if missing.is_empty() || round.refusal.is_some() { Ok(()) } else { Err(Wait::Calls(missing)) }
    }

    fn fleet(&self, question: &Question) -> Option<(&Rule, &Fleet)> {
        let rule = self.rules.get(question.rule)?;
        Some((rule, rule.fleet.as_ref()?))
    }

    fn service(&self, question: &Question) -> Option<&Rc<Service>> {
        self.fleet(question).map(|(_, fleet)| &fleet.service)
    }

    /// Refuses what the service has refused lately, without asking it.
    fn refuses_from_memory(&self, questions: &[Question], round: &mut Round<'_, '_>) -> bool {
        for question in questions {
            let known = self.known_over(question, round);
            if let Some((rule, wait)) = known.filter(|(rule, _)| !rule.shadow) {
                round.exchange.note(|| {
                    format!(
                        "rule `{}`: the service is not asked: it has refused the key lately",
                        rule.head.name
                    )
                });
                self.over(question, wait, round);
            }
        }
        round.refusal.is_some()
    }

    /// Whether all of these are over their limits as far as is known; all are in shadow then. They are put into `round`.
    fn all_known_over(&self, questions: &[&Question], round: &mut Round<'_, '_>) -> bool {
        let waits: Option<Vec<u64>> =
            questions.iter().map(|question| Some(self.known_over(question, round)?.1)).collect();
        let Some(waits) = waits else { return false };
        for (question, wait) in questions.iter().zip(waits) {
            self.over(question, wait, round);
        }
        true
    }

    fn known_over(&self, question: &Question, round: &Round<'_, '_>) -> Option<(&Rule, u64)> {
        let (rule, fleet) = self.fleet(question)?;
        let Counted { limit, bucket } = question.counted;
        Some((rule, fleet.over.wait(bucket, limit, round.now)?))
    }

    fn call(&self, service: &Service, questions: &[&Question], round: &Round<'_, '_>) -> Call {
        let exchange = round.exchange;
        let mut descriptors = Vec::with_capacity(questions.len());
        for question in questions {
            let Some((rule, fleet)) = self.fleet(question) else { continue };
            let Some(limit) = fleet.limits.get(question.counted.limit as usize) else { continue };
            let descriptor = fleet.names.descriptor(&rule.key, limit.limit, exchange);
            exchange.note(|| {
                let entries: Vec<String> =
                    descriptor.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect();
                format!(
                    "rule `{}`: the service `{}` is asked about {} in the domain `{}`, with {}",
                    rule.head.name,
                    service.cluster,
                    entries.join(", "),
                    service.domain,
                    limit.policy
                )
            });
            descriptors.push(descriptor);
        }
        let request =
            RateLimitRequest { domain: service.domain.clone(), descriptors, hits_addend: service.hits };
        Call::Grpc(GrpcCall {
            cluster: Rc::clone(&service.cluster),
            service: SERVICE.into(),
            method: METHOD.into(),
            message: request.encode_to_vec().into(),
            timeout: service.timeout,
        })
    }

    fn judge<'p>(
        &'p self,
        questions: &[&Question],
        told: Result<Vec<Result<Told, Failed>>, Failed>,
        round: &mut Round<'p, '_>,
    ) {
        match told {
            Err(failed) => questions.iter().for_each(|question| self.failed(question, failed, round)),
            Ok(told) => {
                for (question, told) in questions.iter().zip(told) {
                    match told {
                        Ok(told) => self.told(question, told, round),
                        Err(failed) => self.failed(question, failed, round),
                    }
                }
            }
        }
    }

    fn told<'p>(&'p self, question: &Question, told: Told, round: &mut Round<'p, '_>) {
        let Some((rule, fleet)) = self.fleet(question) else { return };
        let Counted { limit, bucket } = question.counted;
        if told.over {
            fleet.over.remember(bucket, limit, told.reset, fleet.service.timeout, round.now);
            self.over(question, told.reset, round);
            return;
        }
        let left = Left { limit, remaining: told.remaining, next_unit_in: told.reset };
        if let Some(limit) = fleet.limits.get(limit as usize) {
            round.passed(Passed { rule, policy: &limit.policy, left });
        }
    }

    fn over(&self, question: &Question, wait: u64, round: &mut Round<'_, '_>) {
        let Counted { limit, .. } = question.counted;
        self.refused(Refusal { rule: question.rule, limit, why: Why::OverLimit, wait }, round);
    }

    fn failed(&self, question: &Question, failed: Failed, round: &mut Round<'_, '_>) {
        let Some((rule, fleet)) = self.fleet(question) else { return };
        round.exchange.note(|| {
            let instead = match fleet.on_failure {
                OnFailure::Local => "the proxy counts by itself, and gives its share",
                OnFailure::Allow => "`onFailure` lets it through",
                OnFailure::Deny => "`onFailure` refuses it",
            };
            format!("rule `{}`: the service has not decided: {}; {instead}", rule.head.name, failed.text())
        });
        round
            .exchange
            .record(*fleet.reasons.failed.get(failed.index()).unwrap_or(&fleet.reasons.unavailable));
        let counted = question.counted;
        match fleet.on_failure {
            OnFailure::Allow => {}
            OnFailure::Deny => {
                let refusal = Refusal {
                    rule: question.rule,
                    limit: counted.limit,
                    why: Why::Unavailable,
                    wait: COME_BACK,
                };
                self.refused(refusal, round);
            }
            OnFailure::Local => {
                match rule.look(question.rule, counted, round.exchange.environment(), round.now) {
                    None => {}
                    Some(Ok(look)) => round.looks.push(look),
                    Some(Err(refused)) => self.refused(refused, round),
                }
            }
        }
    }
}
