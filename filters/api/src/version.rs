//! A version of the API: what its responses say, and when it has ended.

use sluice_core::decision::environment::UnixTime;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::response::Response;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::head::Head;
use std::rc::Rc;

/// A compiled version.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) head: Head,
    pub(crate) name: Rc<str>,
    /// What every response says in place of what it said: `Deprecation`, `Sunset`.
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// What every response says besides: `Link`.
    pub(crate) added: Vec<(HeaderName, HeaderValue)>,
    /// Recorded for each request, so that it is known who still comes.
    pub(crate) deprecated: Option<ReasonId>,
    /// From when on requests are answered, and how.
    pub(crate) end: Option<(UnixTime, LocalReply)>,
    pub(crate) shadow: bool,
}

impl Version {
    /// Whether responses say anything of it.
    pub(crate) fn is_marked(&self) -> bool {
        let says_anything = !self.set.is_empty() || !self.added.is_empty();
        says_anything && !self.shadow
    }

    /// Says it on a response. The service's own links stay.
    pub(crate) fn mark(&self, response: &mut Response<'_>) {
        for (name, value) in &self.set {
            response.set(name.clone(), value.clone());
        }
        for (name, value) in &self.added {
            response.add(name.clone(), value.clone());
        }
    }
}
