//! What `sluice keys` is told.

use crate::keys::{key_id, key_prefix, timestamp};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use time::OffsetDateTime;

/// What `keys` does.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key at random, and print it with its entry for a document
    New(NewKeyArguments),
    /// Read a key that there is already from standard input, and print its entry for a document
    Hash(HashKeyArguments),
    /// List the keys of a document, with their state
    List(ListKeysArguments),
}

/// What a key's entry says, besides its hash.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// The key's name, which logs may show; the principal
    #[arg(long, value_name = "NAME", value_parser = key_id)]
    pub id: String,
    /// Whose key it is: what limits and bills count by
    #[arg(long)]
    pub consumer: Option<String>,
    /// A role; may be repeated
    #[arg(long)]
    pub role: Vec<String>,
    /// A scope; may be repeated
    #[arg(long)]
    pub scope: Vec<String>,
    /// Before when it is refused, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub not_before: Option<OffsetDateTime>,
    /// From when on it is refused, such as 2028-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub expires: Option<OffsetDateTime>,
}

/// What `keys new` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice keys new --id acme-2027 --consumer acme --expires 2028-01-01T00:00:00Z
  sluice keys new --id acme-2027 --prefix acme_live_
  sluice keys new --id acme-2027 --json | jq -r .key

The key has 256 random bits of the operating system. Only its SHA-256 belongs into the document.
To replace a key: list the new one beside the old one, both with the same `--consumer`, and take the old one out when its user has changed.
Exit status: 0 made, 2 the command line is wrong.")]
pub struct NewKeyArguments {
    /// What its entry says.
    #[command(flatten)]
    pub about: KeyArguments,
    /// How the key begins, so that a reader, or a scanner for secrets, sees what it is: letters, digits, `_`, `-`, `.`
    #[arg(long, default_value = "", hide_default_value = true, value_parser = key_prefix)]
    pub prefix: String,
    /// Print key and entry as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `keys hash` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice keys hash --id acme-2026 --consumer acme < key.txt
  pass show partners/acme | sluice keys hash --id acme-2026

The key is read from standard input, not from the command line, which other users of the machine can see. Its last line break is not part of it.
Exit status: 0 hashed, 2 the command line is wrong or the key is none.")]
pub struct HashKeyArguments {
    /// What its entry says.
    #[command(flatten)]
    pub about: KeyArguments,
    /// Print the entry as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `keys list` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice keys list policy.yaml
  sluice keys list policy.yaml --time 2027-12-31T00:00:00Z
  sluice keys list policy.yaml --json | jq -r '.[] | select(.state == \"expired\") | .id'

Exit status: 0 listed, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct ListKeysArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The time at which their state is told, such as 2026-01-31T12:00:00Z; now, if not given
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub time: Option<OffsetDateTime>,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}
