//! Before anything is measured: that every filter acts. A chain whose filters do nothing is quick, too.

use sluice_integration::{Envoy, Error, Result};

use crate::load::{Answer, Connection};

/// How many requests a probe of a limit sends at most: several times its burst.
const ATTEMPTS: usize = 5_000;

/// One thing that must be so.
pub struct Probe {
    what: &'static str,
    request: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// One of these statuses.
    Status(Vec<u16>),
    /// This status, at the latest after [`ATTEMPTS`] requests.
    StatusInTheEnd(u16),
    /// This header.
    Header { name: &'static str, value: String },
    /// A statistic of Envoy's that is not 0 after the request.
    Statistic(String),
}

impl Probe {
    /// The request is answered with that status.
    pub fn status(what: &'static str, request: Vec<u8>, status: u16) -> Self {
        Self { what, request, expected: Expected::Status(vec![status]) }
    }

    /// The request is answered with one of these statuses.
    pub fn refusal(what: &'static str, request: Vec<u8>, statuses: &[u16]) -> Self {
        Self { what, request, expected: Expected::Status(statuses.to_vec()) }
    }

    /// The request, again and again, is answered with that status in the end.
    pub fn status_in_the_end(what: &'static str, request: Vec<u8>, status: u16) -> Self {
        Self { what, request, expected: Expected::StatusInTheEnd(status) }
    }

    /// The request is answered with that header, whatever the status.
    pub fn header(what: &'static str, request: Vec<u8>, name: &'static str, value: &str) -> Self {
        Self { what, request, expected: Expected::Header { name, value: value.to_owned() } }
    }

    /// After the request the statistic is not 0.
    pub fn statistic(what: &'static str, request: Vec<u8>, name: &str) -> Self {
        Self { what, request, expected: Expected::Statistic(name.to_owned()) }
    }

    /// Sends the request; an error says what is not as it must be.
    pub fn check(&self, envoy: &Envoy, port: u16) -> Result<()> {
        let mut connection = Connection::open(port)?;
        let first = connection.exchange(&self.request)?;
        let held = match &self.expected {
            Expected::Status(statuses) => statuses.contains(&first.status),
            Expected::StatusInTheEnd(status) => self.comes(&mut connection, *status)?,
            Expected::Header { name, value } => first.header(name) == Some(value.as_str()),
            Expected::Statistic(name) => envoy.stat(name)? > 0,
        };
        if held { Ok(()) } else { Err(self.failure(&first)) }
    }

    fn comes(&self, connection: &mut Connection, status: u16) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            if connection.exchange(&self.request)?.status == status {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn failure(&self, answer: &Answer) -> Error {
        let expected = match &self.expected {
            Expected::Status(statuses) => format!("status {statuses:?}"),
            Expected::StatusInTheEnd(status) => format!("status {status} within {ATTEMPTS} requests"),
            Expected::Header { name, value } => format!("{name}: {value}"),
            Expected::Statistic(name) => format!("the statistic {name} above 0"),
        };
        Error::Other(format!(
            "not measured, for it does not do its work: {}: expected {expected}; the answer was\n{}",
            self.what, answer.head
        ))
    }
}
