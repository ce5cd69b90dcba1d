//! From a document to a pipeline, at once or in slices, and away again.

use super::{Pipeline, Seeds};
use crate::document::Document;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::environment::UnixTime;
use sluice_core::decision::place::Section;
use sluice_core::decision::reason::Outcome;
use sluice_core::document::decode;
use sluice_core::document::pace::{self, Pace};
use sluice_core::document::problem::{FieldPath, Problem, Problems};
use sluice_core::document::variable::{self, Variables};
use sluice_core::http::request::Unreadable;
use sluice_core::rule::selector::SelectorBuilder;

/// How and by whom a document is compiled.
struct Circumstances {
    variables: Variables,
    now: Option<UnixTime>,
    proven: bool,
    pace: Pace,
}

// === impl Circumstances ===

impl Default for Circumstances {
    fn default() -> Self {
        Self { variables: variable::of_this_process, now: None, proven: false, pace: Pace::unbroken() }
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// Reads and compiles a document.
    ///
    /// # Errors
    /// All that is wrong with it, or the first thing that does not even fit its shape.
    pub fn from_json(json: &[u8], seeds: Seeds) -> Result<Self, Problems> {
        if json.trim_ascii().is_empty() {
            return Err(Problems::from(Problem {
                path: FieldPath::root(),
                message: "is empty; the smallest document is `{\"version\": 1}`".to_owned(),
                suggestion: None,
            }));
        }
        let document: Document = decode::from_json(json)?;
        Self::from_document(&document, seeds)
    }

    /// Compiles a document.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_document(document: &Document, seeds: Seeds) -> Result<Self, Problems> {
        Self::from_document_with(document, seeds, variable::of_this_process)
    }

    /// Compiles a document whose environment variables somebody else knows.
    ///
    /// # Errors
    /// As [`Pipeline::from_document`].
    pub fn from_document_with(
        document: &Document,
        seeds: Seeds,
        variables: Variables,
    ) -> Result<Self, Problems> {
        Self::from_document_at(document, seeds, variables, None)
    }

    /// Compiles a document for somebody who may still mend it: `now` is the time, by which keys have expired or not.
    ///
    /// # Errors
    /// As [`Pipeline::from_document`].
    pub fn from_document_at(
        document: &Document,
        seeds: Seeds,
        variables: Variables,
        now: Option<UnixTime>,
    ) -> Result<Self, Problems> {
        pace::at_once(Self::compile(
            document,
            seeds,
            Circumstances { variables, now, ..Circumstances::default() },
        ))
    }

    /// Reads and compiles in slices a document that was compiled before without a problem, by this very code. What only looks for
    /// problems is left out.
    ///
    /// # Errors
    /// Where it was another document, some of what is wrong with it.
    pub async fn from_proven_json(json: Vec<u8>, seeds: Seeds, pace: Pace) -> Result<Self, Problems> {
        let (mut document, aside) = decode::from_json_in_slices::<Document>(&json, &pace).await?;
        drop(json);
        for list in document.long_lists() {
            while list.read_next(&aside)? {
                pace.step().await;
            }
        }
        let circumstances = Circumstances { proven: true, pace: pace.clone(), ..Circumstances::default() };
        let pipeline = Self::compile(&document, seeds, circumstances).await?;
        for list in document.long_lists() {
            while list.drop_last() {
                pace.step().await;
            }
        }
        Ok(pipeline)
    }

    async fn compile(
        document: &Document,
        seeds: Seeds,
        circumstances: Circumstances,
    ) -> Result<Self, Problems> {
        let Circumstances { variables, now, proven, pace } = circumstances;
        let lists = document.definitions.ip_lists.iter();
        let lists = lists.map(|(name, list)| (name.clone(), list.cidrs.iter().copied().collect())).collect();
        let selectors = SelectorBuilder::new(document.definitions.matches.clone(), lists);
        let mut compiler = Compiler::new(selectors, seeds.local, seeds.shared);
        compiler.variables = variables;
        compiler.now = now;
        compiler.proven = proven;
        compiler.pace = pace.clone();
        compiler.refuses_several_peer_identities = document.client.peer_identity_header.is_some();
        compiler.selectors.compile_definitions(&mut compiler.problems);
        let unreadable = Unreadable::REASONS
            .map(|text| (text, compiler.reason(Section::REQUEST, Outcome::Denied, text)))
            .to_vec();
        // What `when` of any section may refer to: nobody, unless `authn` says otherwise.
        compiler.offers = Some(Vec::new());
        let root = compiler.root();
        document.client.address.check(&root.field("client").field("address"), &mut compiler.problems);
        let stages = document.stages(&mut compiler).await;
        #[cfg(feature = "telemetry")]
        let telemetry = document
            .telemetry
            .as_ref()
            .map(|section| section.compile_policy(&FieldPath::root().field("telemetry"), &mut compiler));
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        let warnings = compiler.problems.take_warnings();
        let needs = compiler.needs;
        compiler.protected.extend(compiler.selectors.header_names().cloned());
        compiler.protected.extend(document.client.address.peer_header.clone());
        compiler.protected.extend(document.client.peer_identity_header.clone());
        let selectors = compiler.selectors.finish_in_slices(&pace).await;
        let asks_address =
            selectors.asks_client_address() || stages.iter().any(|stage| stage.asks_client_address());
        Ok(Self {
            warnings,
            resources: compiler.resources,
            needs,
            stages,
            selectors,
            asks_address,
            peer_identity_header: document.client.peer_identity_header.clone(),
            address: document.client.address.clone(),
            reasons: compiler.reasons,
            unreadable,
            protected: compiler.protected,
            written: compiler.written,
            #[cfg(feature = "telemetry")]
            telemetry,
        })
    }

    /// Clears it away in slices: that of ten thousand rules takes milliseconds.
    pub async fn clear_away(self, pace: Pace) {
        let Self { stages, selectors, reasons, .. } = self;
        for mut stage in stages {
            while stage.drop_part() {
                pace.step().await;
            }
        }
        selectors.clear_away(&pace).await;
        reasons.clear_away(&pace).await;
    }
}
