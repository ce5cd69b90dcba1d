//! Which key of a `match` a request does not fit: for `sluice explain`.

use super::{Selector, SelectorId, SelectorIndex};
use crate::decision::exchange::Exchange;
use crate::document::order::sort_by;
use crate::http::cookie;
use crate::rule::selector::Candidates;
use std::fmt::Display;

/// As many alternatives are named; a rule may have thousands.
const NAMED: usize = 6;

impl SelectorIndex {
    /// The first key of the selector `id` that the request of `exchange` does not fit, with what it asks for; `None` where all fit.
    /// Values of headers, cookies and parameters are not told: they may be credentials.
    pub fn unmatched(
        &self,
        id: SelectorId,
        candidates: &Candidates,
        exchange: &Exchange<'_>,
    ) -> Option<String> {
        if id == SelectorId::EVERY {
            return None;
        }
        let selector = self.selectors.get(id.0 as usize)?;
        self.host(id, exchange)
            .or_else(|| Self::path(selector, exchange))
            .or_else(|| self.method(id, exchange))
            .or_else(|| self.named(selector, candidates, exchange))
            .or_else(|| Self::values(selector, exchange))
            .or_else(|| Self::client(selector, exchange))
            .or_else(|| {
                let excluded = selector.not.is_some_and(|not| self.matches(not, candidates, exchange));
                excluded.then(|| "`not` excludes it".to_owned())
            })
    }

    fn host(&self, id: SelectorId, exchange: &Exchange<'_>) -> Option<String> {
        if self.any_host.has(id.0) {
            return None;
        }
        let host = exchange.request().host();
        let exact =
            || self.exact_hosts.iter().filter(|(_, selectors)| selectors.has(id.0)).map(|(host, _)| host);
        let ends =
            || self.below_hosts.iter().filter(|(_, selectors)| selectors.has(id.0)).map(|(end, _)| end);
        let is_below = |end: &String| host.len() > end.len() && host.ends_with(end.as_str());
        if exact().any(|known| known == host) || ends().any(is_below) {
            return None;
        }
        let mut names: Vec<String> = exact().cloned().chain(ends().map(|end| format!("*{end}"))).collect();
        sort_by(&mut names, Ord::cmp);
        Some(format!("host {host} is not in {}", list(&names)))
    }

    fn path(selector: &Selector, exchange: &Exchange<'_>) -> Option<String> {
        let path = exchange.request().path();
        let patterns = &selector.patterns;
        let fits = patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(path));
        (!fits).then(|| format!("path {path} is not in {}", list(patterns)))
    }

    fn method(&self, id: SelectorId, exchange: &Exchange<'_>) -> Option<String> {
        let method = exchange.request().method();
        let mut known: Vec<&str> = self
            .methods
            .iter()
            .filter(|(_, selectors)| selectors.has(id.0))
            .map(|(method, _)| method.as_str())
            .collect();
        sort_by(&mut known, Ord::cmp);
        let fits = self.any_method.has(id.0) || known.contains(&method);
        (!fits).then(|| format!("method {method} is not in {}", list(&known)))
    }

    fn named(&self, selector: &Selector, candidates: &Candidates, exchange: &Exchange<'_>) -> Option<String> {
        let unmatched: Vec<String> = selector
            .named
            .iter()
            .map(|named| self.unmatched(*named, candidates, exchange))
            .collect::<Option<_>>()?;
        match unmatched.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => Some(format!("of those in `use` none fits: {}", several.join("; "))),
        }
    }

    fn values(selector: &Selector, exchange: &Exchange<'_>) -> Option<String> {
        let request = exchange.request();
        let told = |kind: &str, name: &str, absent: bool| {
            format!("{kind} `{name}` {}", if absent { "is absent" } else { "is not as asked for" })
        };
        let header = selector
            .headers
            .iter()
            .find(|(name, wanted)| !wanted.matches_any(request.headers().all(name.as_str())));
        if let Some((name, _)) = header {
            return Some(told(
                "header",
                name.as_str(),
                request.headers().all(name.as_str()).next().is_none(),
            ));
        }
        let parameter =
            selector.query.iter().find(|(name, wanted)| !wanted.matches_any(request.query_values(name)));
        if let Some((name, _)) = parameter {
            return Some(told("query parameter", name, request.query_values(name).next().is_none()));
        }
        let of_cookie = |name| cookie::values(request.headers(), name);
        let (name, _) =
            selector.cookies.iter().find(|(name, wanted)| !wanted.matches_any(of_cookie(name)))?;
        Some(told("cookie", name, of_cookie(name).next().is_none()))
    }

    fn client(selector: &Selector, exchange: &Exchange<'_>) -> Option<String> {
        let networks = selector.client.as_ref()?;
        match exchange.client_address() {
            None => Some("the client's address is not known".to_owned()),
            Some(address) if networks.contains(address) => None,
            Some(address) => Some(format!("the client's address {address} is in none of `client`")),
        }
    }
}

/// `[a, b]`, the first of many.
fn list<T: Display>(names: &[T]) -> String {
    let first: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    match names.len().saturating_sub(NAMED) {
        0 => format!("[{}]", first.join(", ")),
        more => format!("[{}, and {more} more]", first.join(", ")),
    }
}
