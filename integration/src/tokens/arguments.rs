//! A token as the command line describes it; the tour describes its own the same way, so that its `curl` lines can be copied.

use clap::Parser;
use serde_json::Value;

use super::{Algorithm, Token, algorithm_confusion};
use crate::{Error, Result};

/// Prints a token of the demo's issuer: by default a good one, signed with ES256.
#[derive(Parser, Debug, Clone)]
#[command(name = "token")]
pub struct TokenArguments {
    /// The subject (`sub`).
    #[arg(long)]
    sub: String,
    /// A scope; may be given several times.
    #[arg(long)]
    scope: Vec<String>,
    /// A role; may be given several times.
    #[arg(long)]
    role: Vec<String>,
    /// RS256, ES256, EdDSA or HS256.
    #[arg(long, default_value = "ES256")]
    algorithm: String,
    /// The audience (`aud`).
    #[arg(long)]
    audience: Option<String>,
    /// The time until it expires, in seconds; negative: it has expired.
    #[arg(long, default_value_t = 3600, allow_negative_numbers = true)]
    expires_in: i64,
    /// Any further claim, as name=value; the value is JSON, or else text. May be given several times.
    #[arg(long)]
    claim: Vec<String>,
    /// A forged one instead: HS256 with the public RSA key as its secret.
    #[arg(long)]
    confuse_algorithms: bool,
}

impl TokenArguments {
    /// Reads arguments as they stand on a command line, separated by spaces.
    pub fn read(arguments: &str) -> Result<Self> {
        let words = std::iter::once("token").chain(arguments.split_whitespace());
        Self::try_parse_from(words).map_err(|e| Error::Other(e.to_string()))
    }

    /// Signs the token.
    pub fn mint(&self) -> Result<String> {
        let algorithm = Algorithm::named(&self.algorithm).ok_or_else(|| {
            format!("no such algorithm: {}; there are RS256, ES256, EdDSA and HS256", self.algorithm)
        })?;
        if self.confuse_algorithms {
            return Ok(algorithm_confusion(&self.sub));
        }
        let mut token = Token::of(&self.sub).signed_with(algorithm).expires_in(self.expires_in);
        if !self.scope.is_empty() {
            token = token.scope(&self.scope.join(" "));
        }
        if !self.role.is_empty() {
            token = token.claim("roles", self.role.clone());
        }
        if let Some(audience) = &self.audience {
            token = token.claim("aud", audience.as_str());
        }
        for claim in &self.claim {
            let (name, value) =
                claim.split_once('=').ok_or_else(|| format!("a claim is name=value, not {claim:?}"))?;
            token = token.claim(name, serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)));
        }
        Ok(token.sign())
    }
}
