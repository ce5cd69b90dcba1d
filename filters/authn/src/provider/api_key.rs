use super::{Answer, Inquiry, Kind, Provider, places};
use crate::api_key::ApiKeyProvider;
use crate::challenge::Scheme;
use crate::credential::{CredentialSource, Found};
use crate::explain;
use crate::failure::Failure;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::wait::Wait;
use std::rc::Rc;

impl Kind for ApiKeyProvider {
    fn scheme(&self) -> Scheme {
        Scheme::ApiKey
    }

    fn sources(&self) -> &[CredentialSource] {
        &self.sources
    }

    fn keeps_credential(&self) -> bool {
        !self.removes_key
    }

    fn judge<'r>(&'r self, _: &Provider, inquiry: &mut Inquiry<'r, '_>) -> Result<Answer, Wait> {
        let exchange = inquiry.exchange;
        Ok(match CredentialSource::read_all(&self.sources, exchange.request()) {
            Found::Absent => Answer::Absent,
            Found::Repeated => Answer::Refused(Failure::CredentialRepeated),
            Found::Once(key) => match self.verify(&key, exchange.environment().now()) {
                Ok(accepted) => Answer::Accepted(Rc::clone(accepted)),
                Err(failure) => Answer::Refused(failure),
            },
        })
    }

    fn drop_part(&mut self) -> bool {
        self.drop_key()
    }

    fn place(&self) -> String {
        places(&self.sources)
    }

    fn misplaced(&self, exchange: &Exchange<'_>) -> Option<String> {
        explain::misplaced(&self.sources, exchange.request())
    }
}
