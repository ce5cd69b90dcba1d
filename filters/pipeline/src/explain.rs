//! A request played with every step written down: `sluice explain`.

use crate::pipeline::{Decided, Pipeline, Scratch};
use sluice_core::compile::Position;
use sluice_core::environment::Environment;
use sluice_core::exchange::Exchange;
use sluice_core::header_map::HeaderMap;
use sluice_core::identity::Identity;
use sluice_core::reason::Section;
use sluice_core::request::{RequestView, Unreadable};
use sluice_core::selector::Candidates;
use sluice_core::verdict::{Mutations, Verdict};
use std::rc::Rc;

/// How a request was decided.
#[derive(Debug)]
pub struct Explanation {
    /// The path that rules were matched with; `None` where the request could not be read.
    pub normal_path: Option<String>,
    /// The host that rules were matched with.
    pub normal_host: Option<String>,
    /// The client's address, if it is known.
    pub client_address: Option<std::net::IpAddr>,
    /// What each stage did, in order; stages behind the one that answered were not asked.
    pub stages: Vec<StageExplanation>,
    /// Who was proven to call.
    pub identity: Option<Identity>,
    /// What was decided in the end.
    pub decided: Decided,
}

/// What one stage did.
#[derive(Clone, Debug)]
pub struct StageExplanation {
    /// The section that the stage comes from.
    pub section: Section,
    /// When it is asked.
    pub position: Position,
    /// Whether it was asked at all.
    pub asked: bool,
    /// What it looked at and why it decided so.
    pub notes: Vec<String>,
    /// Its decisions, as `section.text`.
    pub decisions: Vec<String>,
}

impl Pipeline {
    /// Decides about a request as [`Pipeline::on_request`] does, and tells how. `identity` stands in for what authentication would
    /// have found (its stage is then not asked).
    pub fn explain(
        &self,
        headers: &HeaderMap,
        environment: &dyn Environment,
        identity: Option<Identity>,
    ) -> Explanation {
        let request = match RequestView::new(headers) {
            Ok(request) => request,
            Err(unreadable) => {
                return Explanation {
                    normal_path: None,
                    normal_host: None,
                    client_address: None,
                    stages: Vec::new(),
                    identity: None,
                    decided: self.refuse(unreadable, headers, environment),
                };
            }
        };
        let mut candidates = Candidates::default();
        self.selectors.find(&request, &mut candidates);
        let given = identity.is_some();
        let mut exchange = Exchange::new(&request, environment, &self.selectors, &candidates, &self.address)
            .explained()
            .with_identity(identity.map(Rc::new));
        if self.lacks_address(&exchange) {
            return Explanation {
                normal_path: Some(request.path().to_owned()),
                normal_host: Some(request.host().to_owned()),
                client_address: None,
                stages: Vec::new(),
                identity: None,
                decided: self.refuse(Unreadable::ClientAddress, headers, environment),
            };
        }
        let mut mutations = Mutations::default();
        let mut verdict = Verdict::Continue;
        let mut stages = Vec::new();
        let mut all = Vec::new();
        for stage in &self.stages {
            let skipped = given && stage.position() == Position::Authn;
            let asked = verdict == Verdict::Continue && !skipped;
            if asked {
                verdict = stage.decide(&mut exchange, &mut mutations);
            }
            let mut notes = exchange.take_notes();
            if skipped {
                notes.push("not asked: the identity is given".to_owned());
            }
            let mut decisions = exchange.take_decisions();
            if let (true, Verdict::Respond(reply)) = (asked, &verdict) {
                decisions.push(reply.reason);
            }
            let text =
                decisions.iter().filter_map(|id| self.reasons().get(*id)).map(ToString::to_string).collect();
            all.extend(decisions);
            stages.push(StageExplanation {
                section: stage.section(),
                position: stage.position(),
                asked,
                notes,
                decisions: text,
            });
        }
        // The reply's reason is among them already; `conclude` records it once more.
        if matches!(verdict, Verdict::Respond(_)) {
            all.pop();
        }
        all.into_iter().for_each(|id| exchange.record(id));
        let decided = self.conclude(&exchange, verdict, mutations);
        Explanation {
            normal_path: Some(request.path().to_owned()),
            normal_host: Some(request.host().to_owned()),
            client_address: exchange.client_address(),
            stages,
            identity: exchange.identity().map(|identity| Identity::clone(identity)),
            decided,
        }
    }

    /// [`Pipeline::on_request`] with memory of its own, for single requests.
    pub fn decide(&self, headers: &HeaderMap, environment: &dyn Environment) -> Decided {
        self.on_request(headers, environment, &mut Scratch::default())
    }
}
