//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2) and what becomes of them.

use crate::algorithm::{Algorithm, AlgorithmSet, VERIFIES_BY_ITSELF};
use crate::key::{KeyMaterial, VerificationKey};
use crate::scalar::SecretSource;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sluice_core::document::problem::quoted_list;
use sluice_core::document::variable::{Variable, VariableName, Variables};
use std::hash::{BuildHasher, Hasher, RandomState};

/// A JWK set (RFC 7517 §5). Members that are not listed here are ignored, as the RFC has it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A JWK (RFC 7517 §4): a public key, or for HMAC a shared secret, which makes the whole document a secret.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Jwk {
    /// The key's type: `RSA`, `EC`, `OKP` or `oct`. Keys of other types are left out, with a warning.
    pub kty: String,
    /// The key's id.
    pub kid: Option<String>,
    /// The one algorithm that it is for.
    pub alg: Option<String>,
    /// `sig`; keys of other uses, such as `enc`, are left out, with a warning.
    #[serde(rename = "use")]
    pub public_key_use: Option<String>,
    /// What it is for; keys that are not for `verify` are left out, with a warning.
    pub key_ops: Option<Vec<String>>,
    /// The curve of an `EC` or `OKP` key: `P-256`, `P-384`, `Ed25519`.
    pub crv: Option<String>,
    /// The modulus of an `RSA` key.
    pub n: Option<String>,
    /// The exponent of an `RSA` key.
    pub e: Option<String>,
    /// The coordinate x of an `EC` key; an `OKP` key.
    pub x: Option<String>,
    /// The coordinate y of an `EC` key.
    pub y: Option<String>,
    /// The secret of an `oct` key, Base64url; or where it is: `{ environment: NAME }`, a variable that holds the same.
    pub k: Option<SecretSource>,
    // The members that only a private key has (RFC 7518 §6.2.2, §6.3.2); their values are not even read.
    #[cfg_attr(feature = "schema", schemars(skip))]
    d: Option<IgnoredAny>,
    #[cfg_attr(feature = "schema", schemars(skip))]
    p: Option<IgnoredAny>,
    #[cfg_attr(feature = "schema", schemars(skip))]
    q: Option<IgnoredAny>,
    #[cfg_attr(feature = "schema", schemars(skip))]
    dp: Option<IgnoredAny>,
    #[cfg_attr(feature = "schema", schemars(skip))]
    dq: Option<IgnoredAny>,
    #[cfg_attr(feature = "schema", schemars(skip))]
    qi: Option<IgnoredAny>,
    #[cfg_attr(feature = "schema", schemars(skip))]
    oth: Option<IgnoredAny>,
    /// That of the type `AKP`, which is for algorithms that are newer than this code.
    #[cfg_attr(feature = "schema", schemars(skip))]
    r#priv: Option<IgnoredAny>,
}

/// What becomes of a JWK.
#[derive(Debug)]
pub enum Imported {
    /// A key to verify with.
    Key(VerificationKey),
    /// A key that tokens can't be verified with here. A set may hold it (RFC 7517 §5): it is left out.
    Unusable(JwkProblem),
}

/// What is wrong with a JWK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwkProblem {
    /// The member that is wrong.
    pub member: &'static str,
    /// A sentence.
    pub message: String,
}

impl Jwk {
    /// The key with what it may verify: what fits its type, curve and size, is what its `alg` says, and is `accepted`.
    ///
    /// Keys that are in a set for others, or for later, are [unusable](Imported::Unusable): of a type, curve, size or `alg` that is not
    /// supported, for another use, or for algorithms that are not accepted.
    ///
    /// # Errors
    /// [`JwkProblem`]: a private key, or one of a known type that is no key or contradicts itself.
    pub fn import(&self, accepted: AlgorithmSet, variables: Variables) -> Result<Imported, JwkProblem> {
        if let Some(member) = self.private_member() {
            return Err(problem(
                member,
                "part of a private key: whoever reads the document could sign. Write the public key alone, and replace this one",
            ));
        }
        if let Some(unusable) = self.other_use().or_else(|| self.unsupported()) {
            return Ok(Imported::Unusable(unusable));
        }
        let material = self.material(variables)?;
        let fitting = material.fitting();
        let meant = match self.alg.as_deref().and_then(Algorithm::named) {
            None => fitting,
            Some(algorithm) if fitting.has(algorithm) => [algorithm].into_iter().collect(),
            Some(algorithm) => {
                let message = format!("`{algorithm}` does not fit this key, which fits {fitting}");
                return Err(problem("alg", message));
            }
        };
        let algorithms = meant.and(accepted);
        if algorithms.is_empty() {
            let message = format!(
                "it verifies {meant}, and {accepted} are accepted: slow algorithms only where `algorithms` names them"
            );
            return Ok(Imported::Unusable(problem("alg", message)));
        }
        let id = self.kid.clone().filter(|id| !id.is_empty());
        Ok(Imported::Key(VerificationKey::new(id, algorithms, material)))
    }

    /// Whether it is an Ed25519 key for signatures.
    pub(crate) fn is_for_ed25519(&self) -> bool {
        self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519") && self.other_use().is_none()
    }

    /// Why keys of this kind are not supported. An `oct` key always is: its secret was written for us.
    fn unsupported(&self) -> Option<JwkProblem> {
        let member = |name, value: &Option<String>, known: &[&str]| {
            let value = value.as_deref().filter(|value| !known.contains(value))?;
            let verb = if known.len() == 1 { "is" } else { "are" };
            let known = quoted_list(known.iter().copied());
            Some(problem(name, format!("`{value}` is not supported; there {verb} {known}")))
        };
        match self.kty.as_str() {
            "RSA" => self.unsupported_rsa(),
            "EC" => member("crv", &self.crv, &["P-256", "P-384"]),
            "OKP" if !VERIFIES_BY_ITSELF => {
                let message = "no host verifies with keys of this type, and this edition of the module does not by itself: `sluice.wasm` does";
                Some(problem("kty", message))
            }
            "OKP" => member("crv", &self.crv, &["Ed25519"]),
            "oct" => None,
            _ => member("kty", &Some(self.kty.clone()), &["RSA", "EC", "OKP", "oct"]),
        }
        .or_else(|| {
            let unknown = self.alg.as_deref().filter(|name| Algorithm::named(name).is_none())?;
            Some(problem("alg", format!("`{unknown}` is not a supported algorithm for signatures")))
        })
    }

    fn unsupported_rsa(&self) -> Option<JwkProblem> {
        // What can't be decoded is reported as that.
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let message = KeyMaterial::unsupported_rsa(&number(&self.n)?, &number(&self.e)?)?;
        Some(problem("n", message))
    }

    /// Why `use` or `key_ops` (RFC 7517 §4.2, §4.3) don't let it verify signatures.
    fn other_use(&self) -> Option<JwkProblem> {
        let (purpose, operations) = (self.public_key_use.as_deref(), self.key_ops.as_deref());
        if let Some(purpose) = purpose.filter(|purpose| *purpose != "sig") {
            return Some(problem(
                "use",
                format!("`{purpose}`: the key is not for signatures, which is `sig`"),
            ));
        }
        let excluded = operations.is_some_and(|operations| operations.iter().all(|one| one != "verify"));
        excluded.then(|| problem("key_ops", "the key is not for signatures: `verify` is not among them"))
    }

    fn material(&self, variables: Variables) -> Result<KeyMaterial, JwkProblem> {
        match self.kty.as_str() {
            "RSA" => {
                let (n, e) = (decode("n", self.n.as_deref())?, decode("e", self.e.as_deref())?);
                KeyMaterial::rsa(&n, &e).map_err(|message| problem("n", message))
            }
            "EC" => {
                let curve = self.curve()?;
                let (x, y) = (decode("x", self.x.as_deref())?, decode("y", self.y.as_deref())?);
                match curve {
                    "P-256" => KeyMaterial::p256(&x, &y).map_err(|message| problem("x", message)),
                    "P-384" => KeyMaterial::p384(&x, &y).map_err(|message| problem("x", message)),
                    other => Err(problem("crv", format!("`{other}` is not supported"))),
                }
            }
            "OKP" => match self.curve()? {
                "Ed25519" => {
                    let x = decode("x", self.x.as_deref())?;
                    KeyMaterial::ed25519(&x).map_err(|message| problem("x", message))
                }
                other => Err(problem("crv", format!("`{other}` is not supported"))),
            },
            "oct" => {
                let secret = match &self.k {
                    None => decode("k", None)?,
                    Some(SecretSource::Text(text)) => decode("k", Some(text.expose()))?,
                    Some(SecretSource::Environment(name)) => match variables(name.as_str()) {
                        Variable::Is(text) => decode("k", Some(&text))?,
                        Variable::Absent => return Err(problem("k", absent(name))),
                        Variable::Unknown => unknown_secret(),
                    },
                };
                KeyMaterial::secret(secret).map_err(|message| problem("k", message))
            }
            other => Err(problem("kty", format!("`{other}` is not supported"))),
        }
    }

    fn curve(&self) -> Result<&str, JwkProblem> {
        self.crv.as_deref().ok_or_else(|| problem("crv", "missing: a key of this type names its curve"))
    }

    fn private_member(&self) -> Option<&'static str> {
        let members = [
            ("d", &self.d),
            ("p", &self.p),
            ("q", &self.q),
            ("dp", &self.dp),
            ("dq", &self.dq),
            ("qi", &self.qi),
            ("oth", &self.oth),
            ("priv", &self.r#priv),
        ];
        members.iter().find(|(_, value)| value.is_some()).map(|(name, _)| *name)
    }
}

/// Base64url without padding (RFC 7515 §2). A message never repeats the value: it may be secret.
fn decode(member: &'static str, text: Option<&str>) -> Result<Vec<u8>, JwkProblem> {
    let text = text.ok_or_else(|| problem(member, "missing: a key of this type has it"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| problem(member, "not Base64url without padding (RFC 7515 §2)"))
}

/// Where the proxy would have it from.
fn absent(name: &VariableName) -> String {
    format!(
        "there is no environment variable `{name}`: give it to the VM (Envoy: `vm_config.environment_variables`; Istio: `vmConfig.env`), as `sluice render` writes it, and to the proxy's process"
    )
}

/// In place of a secret that only the proxy knows: nobody can have signed with it.
fn unknown_secret() -> Vec<u8> {
    let random = || RandomState::new().build_hasher().finish().to_ne_bytes();
    // As long as the longest hash, so that it fits every algorithm.
    (0..8).flat_map(|_| random()).collect()
}

fn problem(member: &'static str, message: impl Into<String>) -> JwkProblem {
    JwkProblem { member, message: message.into() }
}

#[cfg(test)]
mod tests;
