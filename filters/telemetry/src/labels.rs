//! Counters of responses with bounded labels.
//!
//! A metric of Envoy's is never freed, so what a client sends must not make one. Every value that becomes a label stands in the
//! document; the others are one value, `other`, and no value is one too, `none`. How many counters that can make is known when the
//! document is compiled, and limited.

use sluice_core::decision::compile::Compiler;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::{Aftermath, End, FollowUp, Phase, Phases};
use sluice_core::document::problem::FieldPath;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::selector::SelectorId;
use std::collections::HashMap;
use std::rc::Rc;

/// The values of a request's labels, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Labels(u32);

/// A request whose response is to be counted.
#[derive(Debug)]
pub(crate) struct CountedResponse {
    labels: Labels,
    set: Rc<LabelSet>,
}

/// The labels of a document.
#[derive(Debug)]
pub(crate) struct LabelSet {
    labels: Vec<Label>,
}

/// A label and the values that are told apart.
#[derive(Debug)]
pub(crate) struct Label {
    name: String,
    attribute: Attribute,
    /// From a value to its place in `texts`.
    places: HashMap<Vec<u8>, usize>,
    /// The values as they stand in a metric's name; the first two are [`NONE`] and [`OTHER`].
    texts: Vec<String>,
}

const NONE: usize = 0;
const OTHER: usize = 1;

/// How many counters a document may make: each costs Envoy some hundred bytes, for ever, and the scraper a line.
const MOST_COUNTERS: usize = 10_000;

/// 2xx to 5xx, 1xx (a request that became a tunnel), and no response at all.
const CLASSES: usize = 6;

/// Names that would make two labels of one.
const TAKEN: [&str; 4] = ["code_class", "section", "outcome", "reason"];

impl Label {
    /// A label of `attribute` with these values; `None`, and problems, if something is wrong with it.
    pub(crate) fn new(
        name: String,
        attribute: Attribute,
        values: &[String],
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Self> {
        let mut fine = true;
        let mut report = |path: &FieldPath, message: String| {
            compiler.problems.report(path, message);
            fine = false;
        };
        let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !starts_well
            || name.len() > 64
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            report(
                &path.field("name"),
                format!(
                    "`{name}` is not the name of a label: 1 to 64 letters, digits and `_`, beginning with a letter"
                ),
            );
        }
        if TAKEN.contains(&name.as_str()) {
            report(&path.field("name"), format!("the label `{name}` is one of Sluice's own"));
        }
        let mut texts = vec!["none".to_owned(), "other".to_owned()];
        let mut places = HashMap::new();
        for (position, value) in values.iter().enumerate() {
            let path = path.field("values").index(position);
            let text = metric_text(value);
            if value.is_empty() || value.len() > 128 {
                report(&path, format!("{value:?} is not a label's value: 1 to 128 bytes"));
            } else if texts.contains(&text) {
                report(&path, format!("{value:?} stands in metrics as `{text}`, which is taken"));
            }
            places.insert(value.clone().into_bytes(), texts.len());
            texts.push(text);
        }
        fine.then_some(Self { name, attribute, places, texts })
    }

    fn place(&self, exchange: &Exchange<'_>) -> usize {
        match self.attribute.resolve(exchange, SelectorId::EVERY) {
            None => NONE,
            Some(value) => self.places.get(value.as_ref()).copied().unwrap_or(OTHER),
        }
    }
}

impl CountedResponse {
    pub(crate) fn new(set: &Rc<LabelSet>, exchange: &Exchange<'_>) -> Self {
        Self { labels: set.of(exchange), set: Rc::clone(set) }
    }
}

impl FollowUp for CountedResponse {
    fn phases(&self) -> Phases {
        Phases::of(&[Phase::End])
    }

    fn on_end(&mut self, end: End, aftermath: &mut Aftermath<'_>) {
        aftermath.count(self.set.counter(&self.labels, end.status.unwrap_or_default()));
    }
}

impl LabelSet {
    /// These labels, which stand at `path`.
    pub(crate) fn new(labels: Vec<Label>, path: &FieldPath, compiler: &mut Compiler) -> Self {
        for (position, label) in labels.iter().enumerate() {
            let path = path.index(position);
            if labels.iter().take(position).any(|earlier| earlier.name == label.name) {
                compiler.problems.report(
                    &path,
                    format!("the label `{}` stands twice; give one another `name`", label.name),
                );
            }
            // `stats_tags` find a label in the metric's name by `.<label>.`; a value must not look like one.
            for text in label.texts.iter().filter(|text| labels.iter().any(|label| label.name == **text)) {
                let message =
                    format!("the value `{text}` is the name of a label too; give that label another `name`");
                compiler.problems.report(&path, message);
            }
        }
        let counters = labels
            .iter()
            .try_fold(CLASSES, |product, label| product.checked_mul(label.texts.len()))
            .filter(|counters| *counters <= MOST_COUNTERS);
        if counters.is_none() {
            compiler.problems.report(
                path,
                format!(
                    "these labels make more than {MOST_COUNTERS} counters (the product of their values, `none` and `other` among them, times {CLASSES} classes of status), and Envoy never frees one"
                ),
            );
        }
        Self { labels }
    }

    /// The labels of a request.
    fn of(&self, exchange: &Exchange<'_>) -> Labels {
        let mut number: usize = 0;
        for label in &self.labels {
            // Below MOST_COUNTERS, as was checked.
            number = number.saturating_mul(label.texts.len()).saturating_add(label.place(exchange));
        }
        Labels(u32::try_from(number).unwrap_or(0))
    }

    /// The name of the counter of responses with this status and these labels: `sluice_requests.code_class.2xx.consumer.acme`.
    fn counter(&self, Labels(number): &Labels, status: u16) -> String {
        let mut name = String::with_capacity(64);
        name.push_str("sluice_requests.code_class.");
        name.push_str(class(status));
        let mut rest = *number as usize;
        let mut below =
            self.labels.iter().fold(1_usize, |product, label| product.saturating_mul(label.texts.len()));
        for label in &self.labels {
            below = below.checked_div(label.texts.len()).unwrap_or(1);
            let place = rest.checked_div(below).unwrap_or(NONE);
            rest = rest.checked_rem(below).unwrap_or(0);
            name.push('.');
            name.push_str(&label.name);
            name.push('.');
            name.push_str(label.texts.get(place).map_or("other", String::as_str));
        }
        name
    }
}

/// The class of a status (RFC 9110 §15); `none` where there was no response: the client left, or the connection broke.
const fn class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "none",
    }
}

/// A value as it stands in a metric's name: a dot would end it, and what is not plain is `_`.
fn metric_text(value: &str) -> String {
    let plain = |byte: char| byte.is_ascii_alphanumeric() || byte == '-' || byte == '_';
    value.chars().map(|byte| if plain(byte) { byte } else { '_' }).collect()
}
