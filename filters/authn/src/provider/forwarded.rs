use super::{Accepted, Answer, Inquiry, Kind, Provider};
use crate::challenge::Scheme;
use crate::credential::CredentialSource;
use crate::forwarded::{Forwarded, ForwardedProvider};
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::wait::Wait;
use sluice_core::http::header::HeaderName;
use std::rc::Rc;

impl Kind for ForwardedProvider {
    fn scheme(&self) -> Scheme {
        Scheme::Forwarded
    }

    fn sources(&self) -> &[CredentialSource] {
        &[]
    }

    fn keeps_credential(&self) -> bool {
        false
    }

    fn believed_headers(&self) -> &[HeaderName] {
        &self.headers
    }

    fn judge<'r>(&'r self, provider: &Provider, inquiry: &mut Inquiry<'r, '_>) -> Result<Answer, Wait> {
        let exchange = inquiry.exchange;
        Ok(match self.read(&provider.name, exchange) {
            Ok(Forwarded::Absent) => Answer::Absent,
            Ok(Forwarded::NotBelieved) => {
                exchange.note(|| {
                    let peer = exchange.peer_identity().unwrap_or("a peer without a certificate");
                    format!("`{}` does not believe {peer}", provider.name)
                });
                Answer::Absent
            }
            Ok(Forwarded::Identity(identity)) => Answer::Accepted(Rc::new(Accepted {
                provider: provider.position,
                identity: Rc::new(identity),
                headers: Vec::new(),
            })),
            Err(failure) => Answer::Refused(failure),
        })
    }

    fn place(&self) -> String {
        format!("in the header `{}`", self.principal)
    }

    fn misplaced(&self, _: &Exchange<'_>) -> Option<String> {
        None
    }
}
