//! Which commit images are made of, and when: never the clock, so that the same commit gives the same images.

use std::path::Path;
use std::process::Command;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Error, Result};

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    /// When, in seconds since 1970.
    pub seconds: i64,
    /// The commit, with `-dirty` if files were changed since.
    pub revision: Option<String>,
}

// === impl Provenance ===

impl Provenance {
    /// Of a checkout: its commit and the commit's time. `source_date_epoch` (seconds since 1970, as
    /// reproducible-builds.org/specs/source-date-epoch defines the variable) comes before the commit's time. Without git or a
    /// repository: 1970, and no commit.
    pub fn of_checkout(root: &Path, source_date_epoch: Option<&str>) -> Result<Provenance> {
        let committed = || git(root, &["show", "--no-patch", "--format=%ct", "HEAD"]);
        let seconds = match source_date_epoch {
            Some(given) => given.trim().parse().map_err(|_| {
                Error::Specification(format!(
                    "SOURCE_DATE_EPOCH is `{given}`: set it to seconds since 1970, or unset it"
                ))
            })?,
            None => committed().and_then(|text| text.parse().ok()).unwrap_or_default(),
        };
        // No tag may stand for the commit.
        let revision = git(root, &["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]);
        Ok(Provenance { seconds, revision })
    }

    /// The time as RFC 3339.
    pub fn created(&self) -> Result<String> {
        OffsetDateTime::from_unix_timestamp(self.seconds)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .ok_or_else(|| Error::Specification(format!("{} seconds since 1970 is no date", self.seconds)))
    }
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
