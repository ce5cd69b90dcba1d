//! The compilation of `guard`.

use crate::checks::{Checks, ContentTypes, Limit, Methods, Mode, RequiredHeader};
use crate::config::{BodyLimit, GuardSection, Limits, RuleConfig};
use crate::media_range::MediaRange;
use crate::policy::{GuardPolicy, Rule};
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::follow_up::Phase;
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::path;
use sluice_core::rule::head::{HasHead, Head, HeadConfig};
use sluice_core::rule::selector;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// More headers or parameters than this are no limit.
const MOST_COUNTED: u64 = 10_000;
/// What Envoy can be made to take at most (`max_request_headers_kb`).
const MOST_HEADER_BYTES: u64 = 8 << 20;

/// The gRPC statuses of refusals: RESOURCE_EXHAUSTED for what is too large, as gRPC itself says of messages, and INVALID_ARGUMENT.
const TOO_LARGE: u8 = 8;
const NOT_OF_THE_KIND: u8 = 3;

/// What the section, or a rule, asks of requests.
struct Asked<'s> {
    limits: &'s Limits,
    methods: Option<&'s OneOrMany<String>>,
    content_types: Option<&'s OneOrMany<MediaRange>>,
    required_headers: Option<&'s OneOrMany<HeaderName>>,
}

/// Who asks it.
struct Asker<'s, 'c> {
    path: &'s FieldPath,
    /// The rule; none for the section.
    rule: Option<&'s Name>,
    outcome: Outcome,
    compiler: &'c mut Compiler,
}

impl PolicySection for GuardSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let rules_path = path.field("rules");
        let outcome = if self.shadow { Outcome::Shadow } else { Outcome::Denied };
        let rest = Asker { path, rule: None, outcome, compiler }.checks(&self.asked());
        if self.limits.body == Some(BodyLimit::None) {
            let message = "`none` lifts the section's limit for a rule; leave the field out here";
            compiler.problems.report(&path.field("limits").field("body"), message);
        }
        if self.rules.is_empty() && rest.is_empty() && compiler.problems.is_empty() {
            compiler.problems.warn(path, "nothing is asked of requests: the section does nothing");
        }
        let rules = Head::compile_rules(&self.rules, &rules_path, compiler, |rule, head, path, compiler| {
            Rule { head, checks: rule.compile(&rest, self.shadow, path, compiler) }
        });
        if rules.is_empty() && rest.is_empty() {
            return Vec::new();
        }
        let mode = if self.shadow { Mode::Shadow } else { Mode::Enforce };
        vec![Box::new(GuardPolicy { rules, rest, mode })]
    }
}

// === impl GuardSection ===

impl GuardSection {
    fn asked(&self) -> Asked<'_> {
        Asked {
            limits: &self.limits,
            methods: self.methods.as_ref(),
            content_types: self.content_types.as_ref(),
            required_headers: self.required_headers.as_ref(),
        }
    }
}

// === impl RuleConfig ===

impl HasHead for RuleConfig {
    fn head(&self) -> HeadConfig<'_> {
        // Nobody has proven who is calling yet: there is no `when`.
        HeadConfig { name: &self.name, matches: self.matches.as_ref(), when: None, shadow: self.shadow }
    }
}

impl RuleConfig {
    fn compile(
        &self,
        rest: &Checks,
        section_shadow: bool,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Checks {
        let asked = Asked {
            limits: &self.limits,
            methods: self.methods.as_ref(),
            content_types: self.content_types.as_ref(),
            required_headers: self.required_headers.as_ref(),
        };
        let shadow = self.shadow || section_shadow;
        let outcome = if shadow { Outcome::Shadow } else { Outcome::Denied };
        let own = Asker { path, rule: Some(&self.name), outcome, compiler }.checks(&asked);
        let lifts = self.limits.body == Some(BodyLimit::None);
        if lifts && self.shadow {
            let message = "a rule in shadow lifts no limit: what it says is only counted";
            compiler.problems.report(&path.field("limits").field("body"), message);
        } else if lifts && rest.body.is_none() {
            let message = "lifts no limit: the section has none";
            compiler.problems.warn(&path.field("limits").field("body"), message);
        } else if asked.is_nothing() {
            let message = "does nothing: it needs `limits`, `methods`, `contentTypes` or `requiredHeaders`";
            compiler.problems.report(path, message);
        }
        if self.shadow {
            return own;
        }
        let mut checks = own.or(rest);
        if lifts {
            checks.body = None;
        }
        checks
    }
}

// === impl Asked ===

impl Asked<'_> {
    fn is_nothing(&self) -> bool {
        *self.limits == Limits::default()
            && self.methods.is_none()
            && self.content_types.is_none()
            && self.required_headers.is_none()
    }
}

// === impl Asker ===

impl Asker<'_, '_> {
    fn checks(&mut self, asked: &Asked<'_>) -> Checks {
        let Limits { uri, query, headers, header_bytes, body } = *asked.limits;
        let bytes = |size: sluice_core::document::scalar::Size| size.bytes();
        let longest = path::LONGEST as u64;
        let uri = self.bounded(
            "uri",
            uri.map(bytes),
            1..=longest,
            "from 1B to 16KiB: longer ones are always refused",
        );
        let query = self.bounded("query", query.map(u64::from), 0..=MOST_COUNTED, "from 0 to 10000");
        let headers = self.bounded("headers", headers.map(u64::from), 1..=MOST_COUNTED, "from 1 to 10000");
        let header_bytes =
            self.bounded("headerBytes", header_bytes.map(bytes), 1..=MOST_HEADER_BYTES, "from 1B to 8MiB");
        let body = match body {
            Some(BodyLimit::AtMost(size)) => Some(size.bytes()),
            Some(BodyLimit::None) | None => None,
        };
        if body.is_some() {
            let path = self.path.field("limits").field("body");
            self.compiler.need(Phase::RequestBody, &path);
            // Where a tunnel begins.
            self.compiler.need(Phase::Response, &path);
        }
        Checks {
            uri: self.limit(uri, 414, "uri_too_long", "The target of the request is too long."),
            query: self.limit(query, 400, "too_many_parameters", "The query has too many parameters."),
            headers: self.limit(headers, 431, "too_many_headers", "The request has too many header fields."),
            header_bytes: self.limit(
                header_bytes,
                431,
                "headers_too_large",
                "The header fields of the request are too large.",
            ),
            body: self.limit(body, 413, "body_too_large", "The content of the request is too large."),
            methods: asked.methods.map(|methods| self.methods(methods)),
            content_types: asked.content_types.map(|ranges| self.content_types(ranges)),
            required_headers: asked.required_headers.map(|names| self.required_headers(names)),
        }
    }

    /// A limit of `limits`, reported where it is out of bounds.
    fn bounded(
        &mut self,
        field: &str,
        most: Option<u64>,
        allowed: RangeInclusive<u64>,
        bounds: &str,
    ) -> Option<u64> {
        if most.is_some_and(|most| !allowed.contains(&most)) {
            let path = self.path.field("limits").field(field);
            self.compiler.problems.report(&path, format!("not a limit that can hold: {bounds}"));
        }
        most
    }

    fn limit(
        &mut self,
        most: Option<u64>,
        status: u16,
        reason: &str,
        detail: &'static str,
    ) -> Option<Rc<Limit>> {
        let most = most?;
        let refusal = self.refusal(status, reason, detail);
        Some(Rc::new(Limit { most, refusal }))
    }

    fn methods(&mut self, methods: &OneOrMany<String>) -> Rc<Methods> {
        let path = self.path.field("methods");
        for (position, method) in methods.iter().enumerate() {
            if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
                let upper = method.to_ascii_uppercase();
                let message =
                    format!("{method:?} is not a method, which are case-sensitive: write `{upper}`");
                self.compiler.problems.report(&path.index(position), message);
            }
        }
        self.check_distinct(methods, &path);
        let refusal = self.refusal(405, "method_not_allowed", "The method is not allowed here.");
        // RFC 9110 §15.5.6: the answer must list what is allowed.
        let refusal = with_list(refusal, "allow", methods);
        Rc::new(Methods { allowed: methods.as_slice().to_vec(), refusal })
    }

    fn content_types(&mut self, ranges: &OneOrMany<MediaRange>) -> Rc<ContentTypes> {
        let path = self.path.field("contentTypes");
        self.check_distinct(ranges, &path);
        // Content of no declared length shows when it comes.
        self.compiler.need(Phase::RequestBody, &path);
        self.compiler.need(Phase::Response, &path);
        let detail = "The content is not of a kind that is taken here.";
        let refusal = self.refusal(415, "unsupported_content_type", detail);
        // RFC 9110 §15.5.16 and §12.5.1.
        let refusal = with_list(refusal, "accept", ranges);
        Rc::new(ContentTypes {
            allowed: ranges.as_slice().to_vec(),
            untyped: Rc::new(Limit { most: 0, refusal }),
        })
    }

    fn required_headers(&mut self, names: &OneOrMany<HeaderName>) -> Rc<Vec<RequiredHeader>> {
        let path = self.path.field("requiredHeaders");
        self.check_distinct(names, &path);
        for (position, name) in names.iter().enumerate() {
            if let Some(why) = selector::never_arrives(name) {
                let message = format!("no request would pass: `{name}` never reaches a filter; {why}");
                self.compiler.problems.report(&path.index(position), message);
            }
        }
        let required = names.iter().map(|name| {
            let mut refusal = self.refusal(400, "header_missing", "");
            refusal.detail = format!("The header `{name}` is missing.").into();
            RequiredHeader { name: name.clone(), refusal }
        });
        Rc::new(required.collect())
    }

    /// Reports what stands twice in a list.
    fn check_distinct<T: PartialEq + Display>(&mut self, list: &OneOrMany<T>, path: &FieldPath) {
        for (position, value) in list.iter().enumerate() {
            if let Some(first) = list.iter().take(position).position(|other| other == value) {
                let message = format!("`{value}` stands twice: first at {}", path.index(first));
                self.compiler.problems.report(&path.index(position), message);
            }
        }
    }

    fn refusal(&mut self, status: u16, reason: &str, detail: &'static str) -> LocalReply {
        let text = match self.rule {
            Some(rule) => format!("{reason}.rule:{rule}"),
            None => reason.to_owned(),
        };
        let reason = self.compiler.reason(SECTION, self.outcome, &text);
        let mut refusal = LocalReply::new(status, reason, detail);
        refusal.grpc_status = Some(match status {
            413 | 414 | 431 => TOO_LARGE,
            _ => NOT_OF_THE_KIND,
        });
        refusal
    }
}

/// With a header that lists these values.
fn with_list<T: Display>(reply: LocalReply, name: &'static str, values: &OneOrMany<T>) -> LocalReply {
    let list: Vec<String> = values.iter().map(ToString::to_string).collect();
    match HeaderValue::new(list.join(", ").as_bytes()) {
        Ok(value) => reply.with_header(HeaderName::from_static(name), value),
        // What is no token has been reported.
        Err(_) => reply,
    }
}
