//! Denials by header that a list could dodge.

use crate::config::{Effect, RuleConfig};
use sluice_core::decision::compile::Compiler;
use sluice_core::document::problem::FieldPath;
use sluice_core::rule::selector::Match;

/// Fields that stand once and are no lists (RFC 9110 §5.5, and those of browsers and proxies): nobody joins their lines.
const SINGLE: [&str; 28] = [
    ":authority",
    ":method",
    ":path",
    ":scheme",
    "age",
    "authorization",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expires",
    "from",
    "host",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "traceparent",
    "user-agent",
];

/// Warns of each condition by which a rule at `path` denies, and which does not hold any more when somebody joins the header's lines into
/// one (RFC 9110 §5.3): `x-role: a,evil` is not `evil`.
pub(crate) fn warn(rule: &RuleConfig, effect: Effect, path: &FieldPath, compiler: &mut Compiler) {
    let Some(matches) = &rule.matches else { return };
    let (mut open, mut found) = (Vec::new(), Vec::new());
    look(matches, effect == Effect::Deny, &path.field("match"), compiler, &mut open, &mut found);
    for (path, name) in found {
        let message = format!(
            "denies by a value of `{name}`, which may be a list: `{name}: a,b` is another value than `b`; write `{{ item: … }}` to look at each item"
        );
        compiler.problems.warn(&path, message);
    }
}

/// Collects the conditions of `matches` that deny where they hold.
fn look<'m>(
    matches: &'m Match,
    denies: bool,
    path: &FieldPath,
    compiler: &'m Compiler,
    open: &mut Vec<&'m str>,
    found: &mut Vec<(FieldPath, String)>,
) {
    if denies {
        for (name, wanted) in matches.headers.iter() {
            if wanted.can_be_dodged_by_joining() && !SINGLE.contains(&name.as_str()) {
                found.push((path.field("headers").field(name.as_str()), name.to_string()));
            }
        }
    }
    if let Some(not) = &matches.not {
        look(not, !denies, &path.field("not"), compiler, open, found);
    }
    for name in matches.named.iter().flatten() {
        // Circles are reported elsewhere.
        if let Some(definition) = compiler.selectors.definition(name)
            && !open.contains(&name.as_str())
        {
            open.push(name.as_str());
            let path = FieldPath::root().field("definitions").field("matches").field(name.as_str());
            look(definition, denies, &path, compiler, open, found);
            open.pop();
        }
    }
}
