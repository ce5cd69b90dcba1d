//! Resources and the documents that tell clients of them (RFC 9728 §2).

use crate::SECTION;
use crate::config::{AuthnSection, ProtectedResourceConfig, SourceConfig};
use crate::protected_resource::{ProtectedResource, WELL_KNOWN};
use serde_json::{Map, Value};
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::reason::Outcome;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::http::{host, path};

/// A URL in its parts.
struct Url<'u> {
    scheme: &'u str,
    authority: &'u str,
    path: &'u str,
}

impl AuthnSection {
    pub(super) fn compile_protected_resources(
        &self,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Vec<ProtectedResource> {
        let mut resources: Vec<ProtectedResource> = Vec::new();
        if !self.protected_resources.is_empty() && self.providers.iter().all(|it| it.jwt.is_none()) {
            let message = "no provider takes tokens: there is nothing that clients could get";
            compiler.problems.report(path, message);
        }
        for (position, config) in self.protected_resources.iter().enumerate() {
            let path = path.index(position);
            let Some(url) = check_resource(&config.url, &path.field("url"), &mut compiler.problems) else {
                continue;
            };
            let document = self.metadata(config, &path, &mut compiler.problems);
            let own_path = url.own_path();
            let Some(host) = host::normalize(url.authority.as_bytes()) else { continue };
            if resources.iter().any(|other| other.host == host && other.path == own_path) {
                compiler.problems.report(&path.field("url"), "another resource has the same host and path");
            }
            let metadata_path = format!("{WELL_KNOWN}{own_path}");
            resources.push(ProtectedResource {
                host: host.into_owned(),
                path: own_path.to_owned(),
                metadata_url: url.metadata(),
                metadata_path,
                document: Value::Object(document).to_string().into_bytes(),
                served: compiler.reason(SECTION, Outcome::Answered, "ok.protected_resource"),
            });
        }
        resources
    }

    /// The document (RFC 9728 §2).
    fn metadata(
        &self,
        config: &ProtectedResourceConfig,
        path: &FieldPath,
        problems: &mut Problems,
    ) -> Map<String, Value> {
        let ProtectedResourceConfig { url, authorization_servers, scopes, name, documentation } = config;
        let mut document = Map::new();
        document.insert("resource".to_owned(), url.as_str().into());
        let servers = self.authorization_servers(authorization_servers.as_ref(), path, problems);
        document.insert("authorization_servers".to_owned(), servers.into());
        let methods = self.bearer_methods();
        if !methods.is_empty() {
            document.insert("bearer_methods_supported".to_owned(), methods.into());
        }
        if let Some(scopes) = scopes {
            // RFC 6749 §3.3.
            let allowed = |byte: u8| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'\\';
            for (position, scope) in scopes.iter().enumerate() {
                if scope.is_empty() || !scope.bytes().all(allowed) {
                    let message = format!("{scope:?} is not a scope (RFC 6749 §3.3)");
                    problems.report(&path.field("scopes").index(position), message);
                }
            }
            document.insert("scopes_supported".to_owned(), scopes.as_slice().to_vec().into());
        }
        if let Some(name) = name {
            document.insert("resource_name".to_owned(), name.as_str().into());
        }
        if let Some(page) = documentation {
            if Url::read(page).is_none() {
                let message = format!("{page:?} is not a URL: write one such as `https://example.com/docs`");
                problems.report(&path.field("documentation"), message);
            }
            document.insert("resource_documentation".to_owned(), page.as_str().into());
        }
        document
    }

    fn authorization_servers(
        &self,
        given: Option<&OneOrMany<String>>,
        path: &FieldPath,
        problems: &mut Problems,
    ) -> Vec<String> {
        let path = path.field("authorizationServers");
        let is_server = |text: &str| Url::read(text).is_some_and(|url| url.is_secure());
        if let Some(given) = given {
            for (position, server) in given.iter().enumerate().filter(|(_, server)| !is_server(server)) {
                let message = format!(
                    "{server:?} is not the issuer of an authorization server: an `https` URL without query and fragment (RFC 8414 §2)"
                );
                problems.report(&path.index(position), message);
            }
            return given.as_slice().to_vec();
        }
        let mut servers: Vec<String> = Vec::new();
        for jwt in self.providers.iter().filter_map(|provider| provider.jwt.as_ref()) {
            if is_server(&jwt.issuer) && !servers.contains(&jwt.issuer) {
                servers.push(jwt.issuer.clone());
            }
        }
        if servers.is_empty() {
            let message =
                "missing, and no provider's `issuer` is an `https` URL: write where clients get tokens";
            problems.report(&path, message);
        }
        servers
    }

    /// How tokens may be shown, of the ways that RFC 6750 has.
    fn bearer_methods(&self) -> Vec<&'static str> {
        let is_bearer = |source: &SourceConfig| {
            let name = source.header.as_ref().map(|name| name.as_str());
            name == Some("authorization")
                && source.scheme.as_ref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
        };
        let tokens = || self.providers.iter().filter_map(|provider| provider.jwt.as_ref());
        let header = tokens().any(|jwt| jwt.from.as_ref().is_none_or(|from| from.iter().any(is_bearer)));
        let in_query = |source: &SourceConfig| source.query.as_deref() == Some("access_token");
        let query = tokens().any(|jwt| jwt.from.iter().flatten().any(in_query));
        let methods = [(header, "header"), (query, "query")];
        methods.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
    }
}

/// The URL of the document of the resource at `url`.
pub(super) fn metadata_url(url: &str) -> Option<String> {
    Url::read(url).map(|url| url.metadata())
}

/// RFC 9728 §1.2: an `https` URL without a fragment, and better without a query.
fn check_resource<'u>(text: &'u str, at: &FieldPath, problems: &mut Problems) -> Option<Url<'u>> {
    let url = Url::read(text).filter(Url::is_secure);
    if url.is_none() {
        let message = format!(
            "{text:?} is not the URL of a resource: write `https://`, the host and perhaps a path, without query and fragment (`http` only on this machine)"
        );
        problems.report(at, message);
    }
    let url = url?;
    let normal = path::normalize(url.path.as_bytes());
    if !url.path.is_empty() && !normal.is_ok_and(|normal| normal.path() == url.path) {
        let message =
            format!("{:?} is not the normal form of a path, which requests are compared with", url.path);
        problems.report(at, message);
        return None;
    }
    Some(url)
}

// === impl Url ===

impl<'u> Url<'u> {
    /// `None` where it is none, or has a query, a fragment or a user. All of its characters may stand between quotes.
    fn read(text: &'u str) -> Option<Self> {
        let allowed = |byte: u8| {
            matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\' | b'?' | b'#' | b'@' | b'<' | b'>')
        };
        if !text.bytes().all(allowed) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at_checked(slash)?,
            None => (rest, ""),
        };
        host::normalize(authority.as_bytes())?;
        matches!(scheme, "https" | "http").then_some(Self { scheme, authority, path })
    }

    fn own_path(&self) -> &'u str {
        self.path.strip_suffix('/').unwrap_or(self.path)
    }

    /// RFC 9728 §3.1.
    fn metadata(&self) -> String {
        format!("{}://{}{WELL_KNOWN}{}", self.scheme, self.authority, self.own_path())
    }

    /// Whether it is `https`, or of this machine, where programs are tried out.
    fn is_secure(&self) -> bool {
        let host = host::normalize(self.authority.as_bytes()).unwrap_or_default();
        self.scheme == "https" || matches!(&*host, "localhost" | "127.0.0.1" | "[::1]")
    }
}
