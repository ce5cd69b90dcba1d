//! What becomes of a request once its stages have decided.

use super::{Action, Decided, Pipeline};
use crate::follow_ups::FollowUps;
use crate::reply::Reply;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::{Aftermath, FollowUp};
use sluice_core::decision::reason::{Outcome, ReasonId};
use sluice_core::decision::verdict::{LocalReply, Mutations};
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::request::{self, Unreadable};

impl Pipeline {
    /// What becomes of a request that all stages were asked about, or one has answered.
    pub(super) fn conclude(
        &self,
        mut exchange: Exchange<'_>,
        reply: Option<LocalReply>,
        mut mutations: Mutations,
    ) -> Decided {
        let mut left = exchange.take_follow_ups();
        left.extend(self.at_end(&exchange));
        debug_assert!(
            left.iter().all(|follow_up| self.phases().has_all(follow_up.phases())),
            "a section says which phases it needs: Compiler::need"
        );
        let mut follow_ups = FollowUps::new(left, exchange.request().is_grpc());
        if let Some(reply) = &reply {
            exchange.record(reply.reason);
        }
        let mut counters = Vec::new();
        let mut action = match &reply {
            None => Action::Continue,
            Some(reply) => {
                let mut rendered = Reply::render(reply, &self.reasons, exchange.request().is_grpc());
                let mut aftermath = Aftermath::new(exchange.environment());
                follow_ups.answer(&mut rendered, mutations.response_headers(), &mut aftermath);
                let (decisions, more) = aftermath.finish();
                decisions.into_iter().for_each(|decision| exchange.record(decision));
                counters = more;
                Action::Respond(rendered)
            }
        };
        if let Action::Respond(reply) = &mut action {
            mutations = self.answered(mutations, reply);
        }
        let decisions = exchange.take_decisions();
        let summary =
            if self.publishes_decision() { self.summary(reply.as_ref(), &decisions) } else { String::new() };
        follow_ups.set_headers(mutations.take_response_headers());
        Decided { action, mutations, decisions, counters, summary, follow_ups, headers: None }
    }

    /// What concerns all sections at a request's end, by what is known of it.
    pub(super) fn at_end(&self, exchange: &Exchange<'_>) -> Option<Box<dyn FollowUp>> {
        #[cfg(feature = "telemetry")]
        return self.telemetry.as_ref().and_then(|telemetry| telemetry.follow_up(exchange));
        #[cfg(not(feature = "telemetry"))]
        {
            let _ = exchange;
            None
        }
    }

    /// What can't be told of who calls and is asked for. Such a request gets to no rule: a `deny` by network or peer would let it pass.
    pub(crate) fn unreadable_caller(&self, exchange: &Exchange<'_>) -> Option<Unreadable> {
        if self.asks_address && exchange.resolve_client_address().is_err() {
            return Some(Unreadable::ClientAddress);
        }
        let asks_peer = self.peer_identity_header.is_some();
        (asks_peer && exchange.resolve_peer_identity().is_err()).then_some(Unreadable::PeerIdentity)
    }

    /// A request is answered: of its changes those remain that the access log shall show, and the answer names its trace.
    fn answered(&self, mutations: Mutations, reply: &mut Reply) -> Mutations {
        #[cfg(feature = "telemetry")]
        if self.telemetry.is_some() {
            let mutations = mutations.only_request_headers(sluice_telemetry::is_trace_context);
            reply.headers.extend(sluice_telemetry::trace_of_answer(&mutations));
            return mutations;
        }
        let _ = reply;
        mutations.only_request_headers(|_| false)
    }

    pub(crate) fn refuse(
        &self,
        unreadable: Unreadable,
        headers: &HeaderMap,
        environment: &dyn Environment,
    ) -> Decided {
        let reason = self.unreadable.iter().find(|(text, _)| *text == unreadable.reason()).map(|(_, id)| *id);
        // Every reason of `Unreadable` is registered when the document is compiled.
        #[cfg_attr(not(feature = "telemetry"), allow(unused_mut, reason = "nobody adds any"))]
        let (mut decisions, mut mutations): (Vec<ReasonId>, _) =
            (reason.into_iter().collect(), Mutations::default());
        // No stage was asked, but that of the trace context needs no more than headers.
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.trace_unreadable(headers, environment, &mut mutations, &mut decisions);
        }
        let _ = (headers, environment);
        let reply = Reply {
            status: unreadable.status(),
            details: format!("request.{}", unreadable.reason()),
            headers: Vec::new(),
            body: Vec::new(),
            grpc_status: None,
        };
        let mut reply = match reason {
            Some(reason) => {
                let reply = LocalReply::new(unreadable.status(), reason, unreadable.to_string());
                Reply::render(&reply, &self.reasons, request::is_grpc(headers))
            }
            None => reply,
        };
        let summary =
            if self.publishes_decision() { format!("denied:{}", reply.details) } else { String::new() };
        let mutations = self.answered(mutations, &mut reply);
        Decided {
            action: Action::Respond(reply),
            mutations,
            decisions,
            counters: Vec::new(),
            summary,
            follow_ups: FollowUps::default(),
            headers: None,
        }
    }

    /// `denied:<reason>` for an answer, otherwise `allowed:<reason>` with what let the request in (the last word of `authz`, or else of
    /// `authn`; plain `allowed` where the document has neither), followed by what was changed or would have been (shadow).
    pub(crate) fn summary(&self, reply: Option<&LocalReply>, decisions: &[ReasonId]) -> String {
        let denied = reply.and_then(|reply| self.reasons.get(reply.reason));
        let mut summary = match denied {
            Some(reason) if reason.outcome == Outcome::Answered => format!("answered:{reason}"),
            Some(reason) => format!("denied:{reason}"),
            None => {
                let mut reasons = decisions.iter().rev().filter_map(|id| self.reasons.get(*id));
                let admitted =
                    reasons.find(|reason| reason.outcome == Outcome::Allowed && reason.section.admits);
                admitted.map_or_else(|| "allowed".to_owned(), |reason| format!("allowed:{reason}"))
            }
        };
        for reason in decisions.iter().filter_map(|id| self.reasons.get(*id)) {
            if matches!(reason.outcome, Outcome::Changed | Outcome::Shadow) {
                summary.push(',');
                summary.push_str(reason.outcome.as_str());
                summary.push(':');
                summary.push_str(&reason.to_string());
            }
        }
        summary
    }
}
