//! What a request is expected to come to: `--expect allowed`, `--expect denied:authn.token_expired`.

use sluice_pipeline::Action;
use std::fmt;
use std::str::FromStr;

/// What is expected, such as `denied:token_expired`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    denied: bool,
    reason: Option<String>,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    denied: bool,
    /// Of what is answered its one reason, of what goes on all decisions.
    reasons: Vec<String>,
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, reason) = match text.split_once(':') {
            Some((what, reason)) if !reason.is_empty() => (what, Some(reason.to_owned())),
            Some(_) => return Err("the reason is missing behind the `:`".to_owned()),
            None => (text, None),
        };
        match what {
            "allowed" => Ok(Self { denied: false, reason }),
            "denied" => Ok(Self { denied: true, reason }),
            _ => {
                Err("write `allowed` or `denied`, perhaps with a reason: `denied:authn.token_expired`"
                    .to_owned())
            }
        }
    }
}

impl Expectation {
    /// Whether it came as expected.
    pub fn is_met_by(&self, came: &Came) -> bool {
        self.denied == came.denied
            && self
                .reason
                .as_ref()
                .is_none_or(|wanted| came.reasons.iter().any(|reason| names(wanted, reason)))
    }
}

impl Came {
    /// Looks at what was decided. `decisions` are the names of all that count.
    pub fn of(action: &Action, decisions: &[String]) -> Self {
        match action {
            Action::Respond(reply) => Self { denied: true, reasons: vec![reply.details.clone()] },
            Action::Continue => Self { denied: false, reasons: decisions.to_vec() },
        }
    }
}

/// Whether `wanted` names `reason`: all of it, or its beginning up to a `.` or `:`; with its section or without.
fn names(wanted: &str, reason: &str) -> bool {
    let begins = |reason: &str| {
        reason.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':']))
    };
    begins(reason) || reason.split_once('.').is_some_and(|(_, rest)| begins(rest))
}

impl fmt::Display for Expectation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.denied { "denied" } else { "allowed" })?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(out, ":{reason}"))
    }
}

impl fmt::Display for Came {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.denied { "denied" } else { "allowed" })?;
        if self.reasons.is_empty() { Ok(()) } else { write!(out, ":{}", self.reasons.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_named_whole_or_by_its_beginning_with_its_section_or_without() {
        let came = |denied: bool, reason: &str| Came { denied, reasons: vec![reason.to_owned()] };
        let denied = came(true, "authz.denied.rule:admin-only");
        for (expected, met) in [
            ("denied", true),
            ("allowed", false),
            ("denied:authz", true),
            ("denied:authz.denied", true),
            ("denied:authz.denied.rule", true),
            ("denied:authz.denied.rule:admin-only", true),
            ("denied:denied.rule:admin-only", true),
            ("denied:denied", true),
            ("denied:authz.denied.rule:admin", false),
            ("denied:auth", false),
            ("denied:rule:admin-only", false),
            ("allowed:authz.denied.rule:admin-only", false),
        ] {
            assert_eq!(expected.parse::<Expectation>().unwrap().is_met_by(&denied), met, "{expected}");
        }
        let allowed = Came {
            denied: false,
            reasons: vec!["authn.ok.provider:a".to_owned(), "authz.allowed.rule:b".to_owned()],
        };
        assert!("allowed:authz.allowed.rule:b".parse::<Expectation>().unwrap().is_met_by(&allowed));
        assert!(!"allowed:authz.allowed.rule:c".parse::<Expectation>().unwrap().is_met_by(&allowed));
        for wrong in ["", "deny", "denied:", "allowed ", "Allowed"] {
            assert!(wrong.parse::<Expectation>().is_err(), "{wrong}");
        }
    }
}
