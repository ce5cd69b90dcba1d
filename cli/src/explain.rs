//! `sluice explain`: a request, played through the policies as the proxy runs them, with each step and its reason.

pub mod address;
mod clusters;
pub mod expectation;
mod identity;
mod redact;
mod report;
mod request;
mod resources;

use crate::arguments::ExplainArguments;
use crate::compile::Compiled;
use crate::failure::Failure;
use crate::source::Source;
use crate::{Status, Streams, report::compiled};
use clusters::StandIns;
use expectation::Came;
use redact::Secrets;
use request::PlayedRequest;
use sluice_core::decision::environment::UnixTime;
use sluice_core::simulation::SimulatedHost;
use sluice_pipeline::Explanation;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A request that has been played.
pub struct Played {
    /// The request as the filter saw it.
    pub request: PlayedRequest,
    /// What came of it.
    pub explanation: Explanation,
    /// The names of all decisions that count, in order.
    pub decisions: Vec<String>,
    /// Variables that the document refers to and that are not set here: what is signed by them is taken for forged.
    pub unknown_variables: Vec<String>,
    /// Resources that the proxy fetches, and that are not there.
    pub missing_resources: Vec<String>,
    /// The rate-limit services that were stood in for, by their clusters.
    pub stood_in: Vec<String>,
    /// What must not be printed.
    secrets: Secrets,
}

/// Runs the command.
///
/// # Errors
/// When a file can't be read, or an argument means nothing.
pub fn run(arguments: &ExplainArguments, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let source = Source::read(&arguments.file, streams.input)?;
    let Some(compiled) = compiled(&source, streams)? else { return Ok(Status::Wrong) };
    let played = play(&compiled, arguments)?;
    if arguments.json {
        writeln!(streams.output, "{:#}", report::json(&played))?;
    } else {
        report::write_text(&played, streams.output)?;
    }
    let Some(expected) = &arguments.expect else { return Ok(Status::Fine) };
    let came = Came::of(&played.explanation.decided.action, &played.decisions);
    if expected.is_met_by(&came) {
        return Ok(Status::Fine);
    }
    streams.output.flush()?;
    writeln!(streams.errors, "sluice: expected {expected}, but it is {came}")?;
    Ok(Status::Wrong)
}

/// Plays the request of `arguments`.
///
/// # Errors
/// When an argument means nothing.
pub fn play(compiled: &Compiled, arguments: &ExplainArguments) -> Result<Played, Failure> {
    let time = match &arguments.time {
        Some(text) => OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            Failure::new(format!("--time: `{text}` is not a time such as 2026-01-31T12:00:00Z (RFC 3339)"))
        })?,
        None => {
            let now = OffsetDateTime::now_utc();
            now.replace_nanosecond(0).unwrap_or(now)
        }
    };
    let nanoseconds = u64::try_from(time.unix_timestamp_nanos())
        .map_err(|_| Failure::new("--time: must lie between 1970 and 2554"))?;
    let identity = arguments.identity.as_deref().map(identity::read).transpose()?;
    let request = PlayedRequest::new(compiled, arguments, time)?;
    let secrets = Secrets::of(&request, compiled);

    let missing_resources = resources::supply(&compiled.pipeline, &arguments.resource)?;
    let now = UnixTime::from_nanos(nanoseconds);
    let mut clusters = StandIns::new(&arguments.failing, now);
    let mut environment = SimulatedHost::default().at(now).with_peer_address(&arguments.source.to_string());
    if let Some(peer) = &arguments.peer {
        environment = environment.with_peer_identity(peer);
    }
    if let Some(percent) = arguments.random {
        environment = environment.with_random(draw(percent)?);
    }
    let headers = request.header_map();
    for _ in 1..arguments.repeat {
        compiled.pipeline.explain(&headers, &environment, identity.clone(), |call| clusters.answer(call));
    }
    let explanation =
        compiled.pipeline.explain(&headers, &environment, identity, |call| clusters.answer(call));
    let reasons = compiled.pipeline.reasons();
    let decisions =
        explanation.decided.decisions.iter().filter_map(|id| reasons.get(*id)).map(ToString::to_string);
    let decisions = decisions.collect();
    let (unknown_variables, stood_in) = (compiled.unknown_variables(), clusters.used());
    Ok(Played { request, explanation, decisions, unknown_variables, missing_resources, stood_in, secrets })
}

/// The draw, uniform over all of `u64`, that lies at `percent` of its range.
fn draw(percent: f64) -> Result<u64, Failure> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(Failure::new(format!("--random: {percent} is not from 0 to 100")));
    }
    // Just above the boundary, as `percent: 5` does not take a draw of 5; `as` saturates.
    let millionths = (percent * 10_000.0).round() as u128;
    let draw = (millionths << 64).div_ceil(1_000_000);
    Ok(u64::try_from(draw).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
