//! `sluice keys list`: which keys a document accepts, and until when.

use crate::arguments::ListKeysArguments;
use crate::failure::Failure;
use crate::report::compiled;
use crate::source::Source;
use crate::{Status, Streams};
use serde_json::{Value, json};
use sluice_pipeline::Document;
use std::io::Write;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A key of a document, without its hash: that is nobody's business who only looks at the list.
struct Listed {
    provider: String,
    id: String,
    consumer: Option<String>,
    state: State,
    not_before: Option<OffsetDateTime>,
    expires: Option<OffsetDateTime>,
}

/// Whether a key is accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Accepted,
    NotYetValid,
    Expired,
}

/// Runs the command.
///
/// # Errors
/// When the file can't be read.
pub fn run(arguments: &ListKeysArguments, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let source = Source::read(&arguments.file, streams.input)?;
    let Some(compiled) = compiled(&source, streams)? else { return Ok(Status::Wrong) };
    let now = arguments.time.unwrap_or_else(OffsetDateTime::now_utc);
    let listed = keys(&compiled.document, now);
    if arguments.json {
        writeln!(streams.output, "{:#}", Value::from_iter(listed.iter().map(Listed::json)))?;
    } else if listed.is_empty() {
        writeln!(streams.errors, "{}: has no API keys", source.name)?;
    } else {
        write_table(&listed, streams.output)?;
    }
    Ok(Status::Fine)
}

fn keys(document: &Document, now: OffsetDateTime) -> Vec<Listed> {
    let mut listed = Vec::new();
    for provider in document.authn.iter().flat_map(|authn| &authn.providers) {
        for key in provider.api_key.iter().flat_map(|keys| &keys.keys) {
            let [not_before, expires] = [key.not_before, key.expires].map(|time| {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(time?.get().as_nanos())).ok()
            });
            let state = if expires.is_some_and(|end| now >= end) {
                State::Expired
            } else if not_before.is_some_and(|begin| now < begin) {
                State::NotYetValid
            } else {
                State::Accepted
            };
            listed.push(Listed {
                provider: provider.name.to_string(),
                id: key.id.to_string(),
                consumer: key.consumer.clone(),
                state,
                not_before,
                expires,
            });
        }
    }
    listed
}

fn write_table(listed: &[Listed], output: &mut dyn Write) -> Result<(), Failure> {
    let heads = ["PROVIDER", "ID", "CONSUMER", "STATE", "NOT BEFORE", "EXPIRES"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(listed.iter().map(Listed::row)).collect();
    let widths: Vec<usize> = (0..6)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    for row in &rows {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(output, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

// === impl Listed ===

impl Listed {
    fn row(&self) -> [String; 6] {
        let time = |time: Option<OffsetDateTime>| text(time).unwrap_or_else(|| "-".to_owned());
        // A consumer may be any text: one that breaks lines must not look like two keys.
        let consumer = self.consumer.as_deref().map(|consumer| consumer.escape_debug().to_string());
        [
            self.provider.clone(),
            self.id.clone(),
            consumer.unwrap_or_else(|| "-".to_owned()),
            self.state.text().to_owned(),
            time(self.not_before),
            time(self.expires),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "provider": self.provider,
            "id": self.id,
            "consumer": self.consumer,
            "state": self.state.text(),
            "notBefore": text(self.not_before),
            "expires": text(self.expires),
        })
    }
}

// === impl State ===

impl State {
    fn text(self) -> &'static str {
        match self {
            State::Accepted => "accepted",
            State::NotYetValid => "not yet valid",
            State::Expired => "expired",
        }
    }
}

fn text(time: Option<OffsetDateTime>) -> Option<String> {
    time?.format(&Rfc3339).ok()
}
