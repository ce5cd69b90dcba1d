use super::{Accepted, Answer, Inquiry, Kind, Provider, places};
use crate::challenge::Scheme;
use crate::credential::{CredentialSource, Found};
use crate::explain;
use crate::failure::Failure;
use crate::jws::Jws;
use crate::jwt::{JwtProvider, Shown};
use crate::keys::{Keys, Patience};
use crate::presented::{PresentedToken, Tokens};
use crate::token_cache::Remembered;
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::wait::Wait;
use sluice_core::http::header::{HeaderName, HeaderValue};
use std::rc::Rc;

impl Kind for JwtProvider {
    fn scheme(&self) -> Scheme {
        Scheme::Bearer
    }

    fn sources(&self) -> &[CredentialSource] {
        &self.sources
    }

    fn keeps_credential(&self) -> bool {
        !self.removes_token
    }

    fn judge<'r>(&'r self, provider: &Provider, inquiry: &mut Inquiry<'r, '_>) -> Result<Answer, Wait> {
        let Inquiry { exchange, tokens, presented, patience } = inquiry;
        match CredentialSource::read_all(&self.sources, exchange.request()) {
            Found::Absent => Ok(Answer::Absent),
            Found::Repeated => Ok(Answer::Refused(Failure::CredentialRepeated)),
            Found::Once(token) if token.len() > self.max_size => Ok(Answer::Refused(Failure::TokenTooLarge)),
            Found::Once(token) => {
                let token = presented.find_or_add(token, tokens);
                self.verify_token(provider, token, tokens, *patience, exchange)
            }
        }
    }

    fn waits(&self) -> bool {
        self.keys.are_fetched()
    }

    fn is_unverifiable(&self, environment: &dyn Environment) -> bool {
        self.keys.are_unverifiable(environment)
    }

    fn returns_after(&self, now: UnixTime) -> Option<u64> {
        match &self.keys {
            Keys::Inline(_) => None,
            Keys::Fetched { set, .. } => Some(set.unavailable(now).retry_after.as_secs()),
        }
    }

    fn place(&self) -> String {
        places(&self.sources)
    }

    fn misplaced(&self, exchange: &Exchange<'_>) -> Option<String> {
        explain::misplaced(&self.sources, exchange.request())
    }

    fn shown(&self, exchange: &Exchange<'_>) -> Option<String> {
        explain::claims(self, exchange.request(), exchange.environment().now())
    }
}

impl JwtProvider {
    fn verify_token(
        &self,
        provider: &Provider,
        presented: &mut PresentedToken<'_>,
        tokens: &Tokens,
        patience: Patience,
        exchange: &Exchange<'_>,
    ) -> Result<Answer, Wait> {
        let PresentedToken { token, hash, parsed, signatures } = presented;
        match tokens.cache.borrow().find(token, *hash, provider.position, exchange.environment().now()) {
            Remembered::Accepted { accepted, key } if self.keys.still_have(key, exchange) => {
                exchange.note(|| format!("`{}` has verified this token before", provider.name));
                return Ok(Answer::Accepted(Rc::clone(accepted)));
            }
            Remembered::Accepted { .. } => {
                exchange.note(|| {
                    format!("`{}` has verified this token before, with a key that is gone", provider.name)
                });
            }
            // A token is of one issuer: no need to read it again.
            Remembered::Signed { provider: other, .. }
                if tokens.issuer(other).is_some_and(|issuer| issuer != self.issuer) =>
            {
                return Ok(Answer::Refused(Failure::IssuerMismatch));
            }
            Remembered::Signed { key, .. } => signatures.add(key, true),
            Remembered::Nothing => {}
        }
        let jws = match parsed.get_or_init(|| Jws::parse(token)) {
            Ok(jws) => jws,
            Err(failure) => return Ok(Answer::Refused(*failure)),
        };
        exchange.note(|| {
            format!(
                "`{}` looks at a token: alg {}, kid {:?}, iss {:?}",
                provider.name,
                jws.algorithm,
                jws.key_id.as_deref().unwrap_or_default(),
                jws.issuer().unwrap_or_default()
            )
        });
        let shown = Shown { token, jws, patience };
        Ok(match self.verify(&provider.name, shown, signatures, &tokens.verifier, exchange)? {
            Ok(mut verified) => {
                signatures.accept();
                verified.headers.extend(self.payload_header.as_ref().and_then(|name| payload(name, token)));
                let identity = Rc::new(verified.identity);
                let accepted =
                    Rc::new(Accepted { provider: provider.position, identity, headers: verified.headers });
                let remembered = Rc::clone(&accepted);
                tokens.cache.borrow_mut().remember(token, *hash, remembered, verified.key, verified.until);
                Answer::Accepted(accepted)
            }
            Err(failure) => Answer::Refused(failure),
        })
    }
}

/// The header with a token's payload, as the issuer has signed it. Base64url can always stand in a header.
fn payload(name: &HeaderName, token: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    Some((name.clone(), HeaderValue::new(payload).ok()?))
}
