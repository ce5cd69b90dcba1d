//! From the section to the compiled stages, and all that can be wrong with it.

use crate::config::{AfterSunset, ApiSection, CorsConfig, OtherOrigins, Token, VersionConfig};
use crate::cors::{Allowed, Cors, Reasons};
use crate::origin::OriginPattern;
use crate::policy::{Api, Ended, Look, Preflights};
use crate::version::Version;
use crate::{ENDED, PLACE, PREFLIGHT, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::follow_up::Phase;
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::problem::FieldPath;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::head::{HasHead, Head, HeadConfig};
use std::rc::Rc;

/// No browser remembers a preflight's answer for longer than a day (Chromium: two hours).
const LONGEST_MAX_AGE: u64 = 86_400;

/// The gRPC status UNIMPLEMENTED: the service is not there.
const UNIMPLEMENTED: u8 = 12;

impl PolicySection for ApiSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE, PREFLIGHT, ENDED];

    fn declare(&self, _: &FieldPath, compiler: &mut Compiler) {
        compiler.api_versions.extend(self.versions.iter().map(|version| version.name.clone()));
    }

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        if self.versions.is_empty() && self.cors.is_empty() {
            compiler.problems.warn(path, "neither `versions` nor `cors`: the section does nothing");
        }
        let versions_path = path.field("versions");
        let versions =
            Head::compile_rules(&self.versions, &versions_path, compiler, |version, head, path, compiler| {
                Rc::new(version.compile(head, self.shadow, path, compiler))
            });
        let cors_path = path.field("cors");
        let cors = Head::compile_rules(&self.cors, &cors_path, compiler, |rule, head, path, compiler| {
            Rc::new(rule.compile(head, self.shadow, path, compiler))
        });
        if cors.iter().any(|rule| !rule.shadow) {
            compiler.need(Phase::Response, &cors_path);
        }
        if versions.iter().any(|version| version.is_marked()) {
            compiler.need(Phase::Response, &versions_path);
        }
        let mut stages: Vec<Box<dyn Stage>> = Vec::new();
        let api = Rc::new(Api { versions, cors });
        if !api.versions.is_empty() || !api.cors.is_empty() {
            stages.push(Box::new(Look(Rc::clone(&api))));
        }
        if !api.cors.is_empty() {
            stages.push(Box::new(Preflights(Rc::clone(&api))));
        }
        if api.versions.iter().any(|version| version.end.is_some()) {
            stages.push(Box::new(Ended(api)));
        }
        stages
    }
}

impl HasHead for VersionConfig {
    fn head(&self) -> HeadConfig<'_> {
        // A version in shadow is one all the same.
        HeadConfig { name: &self.name, matches: self.matches.as_ref(), when: None, shadow: false }
    }
}

impl VersionConfig {
    fn compile(
        &self,
        head: Head,
        section_shadow: bool,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Version {
        let shadow = self.shadow || section_shadow;
        if let (Some(deprecated), Some(sunset)) = (self.deprecated, self.sunset)
            && sunset < deprecated
        {
            // RFC 9745 §4.
            compiler.problems.report(&path.field("sunset"), "must not be before `deprecated`");
        }
        if self.sunset.is_none() && self.after_sunset == AfterSunset::Serve {
            compiler.problems.report(&path.field("afterSunset"), "does nothing without `sunset`");
        }
        let ends = self.deprecated.is_some() || self.sunset.is_some();
        for (field, link) in [("successor", &self.successor), ("documentation", &self.documentation)] {
            if link.is_some() && !ends {
                compiler.problems.report(&path.field(field), "does nothing without `deprecated` or `sunset`");
            }
        }
        let mut set = Vec::new();
        if let Some(date) = self.deprecated {
            set.push((HeaderName::from_static("deprecation"), date.structured()));
        }
        if let Some(date) = self.sunset {
            set.push((HeaderName::from_static("sunset"), date.http()));
        }
        let mut added = Vec::new();
        if let Some(link) = &self.documentation {
            added.extend(self.deprecated.map(|_| link.header("deprecation")));
            added.extend(self.sunset.map(|_| link.header("sunset")));
        }
        added.extend(self.successor.as_ref().map(|link| link.header("successor-version")));
        let deprecated = self.deprecated.map(|_| {
            compiler.reason(SECTION, Outcome::Allowed, &format!("deprecated.version:{}", self.name))
        });
        let end = self.sunset.filter(|_| self.after_sunset == AfterSunset::Refuse).map(|date| {
            if compiler.now.is_some_and(|now| now >= date.begins()) {
                let warning = "this date has passed: requests are answered 410";
                compiler.problems.warn(&path.field("sunset"), warning);
            }
            let outcome = if shadow { Outcome::Shadow } else { Outcome::Denied };
            let reason = compiler.reason(SECTION, outcome, &format!("gone.version:{}", self.name));
            let mut reply = LocalReply::new(410, reason, "This version of the API has ended.");
            reply.grpc_status = Some(UNIMPLEMENTED);
            (date.begins(), reply)
        });
        Version { name: self.name.as_str().into(), head, set, added, deprecated, end, shadow }
    }
}

impl HasHead for CorsConfig {
    fn head(&self) -> HeadConfig<'_> {
        HeadConfig { name: &self.name, matches: self.matches.as_ref(), when: None, shadow: false }
    }
}

impl CorsConfig {
    fn compile(&self, head: Head, section_shadow: bool, path: &FieldPath, compiler: &mut Compiler) -> Cors {
        let shadow = self.shadow || section_shadow;
        let origins = self.origins.as_slice().to_vec();
        let origins_path = path.field("origins");
        if origins.is_empty() {
            compiler.problems.report(&origins_path, "no origin: no page may call");
        }
        let all = origins.contains(&OriginPattern::Any);
        if all && origins.len() > 1 {
            compiler.problems.report(&origins_path, "`*` is every origin: the others say nothing");
        }
        if self.credentials {
            if all {
                let message = "`*` never goes with `credentials`: any page could act as whoever looks at it; list the origins";
                compiler.problems.report(&origins_path, message);
            }
            if origins.contains(&OriginPattern::Null) {
                let message =
                    "`null` never goes with `credentials`: any page can make a frame of that origin";
                compiler.problems.report(&origins_path, message);
            }
        }
        let expose_path = path.field("exposeHeaders");
        if self.credentials && is_any(self.expose_headers.as_ref()) {
            compiler.problems.report(&expose_path, "`*` means nothing with `credentials`: list the headers");
        }
        if all && self.other_origins == OtherOrigins::Refuse {
            compiler.problems.report(&path.field("otherOrigins"), "there are no others: `origins` is `*`");
        }
        if let Some(methods) = &self.matches.as_ref().and_then(|matches| matches.methods.as_ref())
            && !methods.iter().any(|method| method == "OPTIONS")
        {
            let warning = "without `OPTIONS` no preflight is answered here: what pages may send is said by `methods` of the rule";
            compiler.problems.warn(&path.field("match").field("methods"), warning);
        }
        let max_age = self.max_age.map(|age| {
            let seconds = age.get().as_secs();
            if seconds == 0 || seconds > LONGEST_MAX_AGE {
                compiler.problems.report(&path.field("maxAge"), format!("{age} is not from 1s to 1d"));
            }
            HeaderValue::from_number(seconds)
        });
        let denied = if shadow { Outcome::Shadow } else { Outcome::Denied };
        let answered = if shadow { Outcome::Shadow } else { Outcome::Answered };
        let mut reason =
            |outcome, what: &str| compiler.reason(SECTION, outcome, &format!("{what}.rule:{}", self.name));
        let reasons = Reasons {
            preflight: reason(answered, "preflight"),
            origin_denied: reason(denied, "origin_denied"),
            other_origin: reason(Outcome::Allowed, "other_origin"),
        };
        Cors {
            head,
            origins,
            methods: allowed(self.methods.as_ref(), &path.field("methods"), compiler),
            headers: allowed(self.headers.as_ref(), &path.field("headers"), compiler),
            expose: listed(self.expose_headers.as_ref(), &expose_path, compiler),
            max_age,
            credentials: self.credentials,
            private_network: self.private_network,
            refuses_others: self.other_origins == OtherOrigins::Refuse,
            shadow,
            reasons,
        }
    }
}

fn is_any(tokens: Option<&OneOrMany<Token>>) -> bool {
    tokens.is_some_and(|tokens| tokens.iter().any(|token| token.as_str() == "*"))
}

fn allowed(tokens: Option<&OneOrMany<Token>>, path: &FieldPath, compiler: &mut Compiler) -> Allowed {
    match listed(tokens, path, compiler) {
        None => Allowed::Nothing,
        Some(_) if is_any(tokens) => Allowed::Asked,
        Some(list) => Allowed::Listed(list),
    }
}

/// The tokens as a list, each once.
fn listed(
    tokens: Option<&OneOrMany<Token>>,
    path: &FieldPath,
    compiler: &mut Compiler,
) -> Option<HeaderValue> {
    let tokens: Vec<&str> = tokens?.iter().map(Token::as_str).collect();
    if tokens.contains(&"*") && tokens.len() > 1 {
        compiler.problems.report(path, "`*` is all of them: the others say nothing");
    }
    for (position, token) in tokens.iter().enumerate() {
        if tokens.iter().take(position).any(|earlier| earlier.eq_ignore_ascii_case(token)) {
            compiler.problems.report(&path.index(position), format!("`{token}` stands twice"));
        }
    }
    if tokens.is_empty() {
        compiler.problems.report(path, "an empty list says nothing; leave it out");
        return None;
    }
    HeaderValue::new(tokens.join(", ").as_bytes()).ok()
}
