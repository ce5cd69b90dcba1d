//! `sluice keys`: API keys are made, hashed for a document, and listed.
//!
//! A document has the hashes of keys alone. A fast hash protects only what can't be guessed, so keys are random here, and what comes from
//! elsewhere must at least be long.

mod list;

use crate::arguments::{HashKeyArguments, KeyArguments, KeysCommand, NewKeyArguments};
use crate::failure::Failure;
use crate::render::tree::Tree;
use crate::render::yaml;
use crate::source::Source;
use crate::{Status, Streams};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluice_core::document::name::Name;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The random bytes of a key: none of this size is ever guessed.
const RANDOM_BYTES: usize = 32;

/// The shortest key from elsewhere, in bytes: 128 bits, if it was made at random and written in Base64.
const SHORTEST: usize = 22;

/// The longest, as the proxy hashes none that is longer.
const LONGEST: usize = 4096;

/// Runs one of the commands.
///
/// # Errors
/// When an argument means nothing, or a file can't be read.
pub fn run(command: &KeysCommand, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    match command {
        KeysCommand::New(arguments) => new(arguments, streams),
        KeysCommand::Hash(arguments) => hash(arguments, streams),
        KeysCommand::List(arguments) => list::run(arguments, streams),
    }
}

fn new(arguments: &NewKeyArguments, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(format!("the system gives no random bytes: {error}")))?;
    let key = format!("{}{}", arguments.prefix, URL_SAFE_NO_PAD.encode(random));
    let entry = entry(&arguments.about, &key)?;
    if arguments.json {
        let made = json!({ "key": key, "entry": entry.to_json() });
        writeln!(streams.output, "{made:#}")?;
        return Ok(Status::Fine);
    }
    writeln!(streams.output, "# The key, for its user alone. It is shown once and stored nowhere.\n{key}\n")?;
    writeln!(streams.output, "# For `keys` of an `apiKey` provider of the document.")?;
    write_entry(&entry, streams.output)
}

fn hash(arguments: &HashKeyArguments, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let text = Source::read(Path::new("-"), streams.input)?.bytes;
    let text = String::from_utf8(text).map_err(|_| Failure::new("standard input: the key is not text"))?;
    let key = text.strip_suffix('\n').unwrap_or(&text);
    let key = key.strip_suffix('\r').unwrap_or(key);
    if let Some(why) = unfit(key) {
        return Err(Failure::new(format!("standard input: {why}")));
    }
    let entry = entry(&arguments.about, key)?;
    if arguments.json {
        writeln!(streams.output, "{:#}", entry.to_json())?;
        return Ok(Status::Fine);
    }
    write_entry(&entry, streams.output)
}

/// Why a key from elsewhere is none to be listed.
fn unfit(key: &str) -> Option<String> {
    if key.len() < SHORTEST {
        return Some(format!(
            "a key of {} characters can be guessed from its hash: make a longer one at random, as `sluice keys new` does",
            key.chars().count()
        ));
    }
    if key.len() > LONGEST {
        return Some(format!("the key is longer than {LONGEST} bytes: no proxy would accept it"));
    }
    let odd = key.chars().find(|letter| !letter.is_ascii_graphic())?;
    Some(format!("the key has a character that is lost in a header: {odd:?}; write one key without blanks"))
}

/// The document's entry.
fn entry(about: &KeyArguments, key: &str) -> Result<Tree, Failure> {
    if let (Some(begin), Some(end)) = (about.not_before, about.expires)
        && begin >= end
    {
        return Err(Failure::new("--expires: must be after --not-before, or the key is never accepted"));
    }
    let digest = hmac_sha256::Hash::hash(key.as_bytes());
    let hexadecimal = digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let time = |time: Option<OffsetDateTime>| Some(Tree::from(time?.format(&Rfc3339).ok()?));
    let texts = |texts: &Vec<String>| {
        (!texts.is_empty()).then(|| Tree::List(texts.iter().map(|text| Tree::from(text.as_str())).collect()))
    };
    Ok(Tree::object([
        ("id", Some(Tree::from(about.id.as_str()))),
        ("sha256", Some(Tree::from(hexadecimal))),
        ("consumer", about.consumer.as_deref().map(Tree::from)),
        ("roles", texts(&about.role)),
        ("scopes", texts(&about.scope)),
        ("notBefore", time(about.not_before)),
        ("expires", time(about.expires)),
    ]))
}

/// The name of a key, as a document may have it.
///
/// # Errors
/// What a name may be.
pub fn key_id(text: &str) -> Result<String, String> {
    Name::new(text).map(|name| name.to_string())
}

/// What stands before the random part of a key.
///
/// # Errors
/// What it may be: nothing that a header, a URL or a shell reads otherwise.
pub fn key_prefix(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.len() <= 64 && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("must be letters, digits, `_`, `-` and `.`, 64 at most".to_owned())
}

/// A point in time.
///
/// # Errors
/// How one is written.
pub fn timestamp(text: &str) -> Result<OffsetDateTime, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write a time such as 2027-01-01T00:00:00Z (RFC 3339)".to_owned())?;
    u64::try_from(time.unix_timestamp_nanos()).map_err(|_| "must lie between 1970 and 2554".to_owned())?;
    Ok(time)
}

fn write_entry(entry: &Tree, output: &mut dyn Write) -> Result<Status, Failure> {
    write!(output, "{}", yaml::write(&Tree::List(vec![entry.clone()])))?;
    Ok(Status::Fine)
}

#[cfg(test)]
mod tests;
