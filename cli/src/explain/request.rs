use crate::arguments::ExplainArguments;
use crate::compile::Compiled;
use crate::failure::Failure;
use crate::source::read_file;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::header_map::HeaderMap;
use std::path::Path;
use time::OffsetDateTime;

/// A request as the filter sees it.
pub struct PlayedRequest {
    /// All headers, pseudo-headers first.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What Envoy does before the filter, as far as the document relies on it.
    pub preparations: Vec<String>,
    /// The address of the connection's peer.
    pub source: std::net::IpAddr,
    /// The identity in the peer's certificate.
    pub peer: Option<String>,
    /// When.
    pub time: OffsetDateTime,
    /// How often it was played.
    pub repeat: u32,
}

impl PlayedRequest {
    pub(super) fn new(
        compiled: &Compiled,
        arguments: &ExplainArguments,
        time: OffsetDateTime,
    ) -> Result<Self, Failure> {
        let mut given = Vec::new();
        for argument in &arguments.headers {
            match argument.strip_prefix('@') {
                Some(file) => given.extend(headers_of_file(Path::new(file))?),
                None => given.push(header(argument)?),
            }
        }
        let url = arguments.url.as_ref();
        let host = url.map(|url| url.authority.clone()).or_else(|| arguments.host.clone());
        let path = url.map(|url| url.path.clone()).or_else(|| arguments.path.clone());
        let scheme = url.map_or("http", |url| url.scheme.as_str());
        let mut authority = host.unwrap_or_else(|| "localhost".to_owned()).into_bytes();
        if let Some(position) = given.iter().position(|(name, _)| name == "host") {
            // As Envoy turns it into the pseudo-header.
            authority = given.remove(position).1;
        }
        let pseudo = [
            (":method", arguments.method.clone().into_bytes()),
            (":path", path.unwrap_or_default().into_bytes()),
            (":authority", authority),
            (":scheme", scheme.as_bytes().to_vec()),
        ];
        let mut headers: Vec<(String, Vec<u8>)> =
            pseudo.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        headers.extend(given);
        let mut request = Self {
            headers,
            preparations: Vec::new(),
            source: arguments.source,
            peer: arguments.peer.clone(),
            time,
            repeat: arguments.repeat,
        };
        request.prepare(compiled);
        Ok(request)
    }

    pub(super) fn header_map(&self) -> HeaderMap {
        HeaderMap::from_pairs(self.headers.iter().map(|(name, value)| (name, value)))
    }

    /// The value of a header that there is once at most.
    pub(super) fn text(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// What Envoy's configuration must do for this document, Envoy has done.
    fn prepare(&mut self, compiled: &Compiled) {
        let address = &compiled.document.client.address;
        let source = self.source.to_string();
        if let Some(name) = &address.peer_header {
            self.headers.retain(|(known, _)| known != name.as_str());
            self.headers.push((name.as_str().to_owned(), source.clone().into_bytes()));
            self.preparations.push(format!("{name}: {source}, written by Envoy (client.address.peerHeader)"));
        }
        if let (Some(name), Some(peer)) = (&compiled.document.client.peer_identity_header, &self.peer) {
            self.headers.retain(|(known, _)| known != name.as_str());
            self.headers.push((name.as_str().to_owned(), peer.clone().into_bytes()));
            self.preparations.push(format!("{name}: {peer}, written by Envoy (client.peerIdentityHeader)"));
        }
        if address.trusted_hops > 0 && address.use_remote_address != Some(false) {
            match self.headers.iter_mut().rfind(|(name, _)| name == "x-forwarded-for") {
                Some((_, value)) => value.extend(format!(", {source}").bytes()),
                None => self.headers.push(("x-forwarded-for".to_owned(), source.into_bytes())),
            }
            let line: Vec<String> = self
                .headers
                .iter()
                .filter(|(name, _)| name == "x-forwarded-for")
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                .collect();
            self.preparations.push(format!(
                "x-forwarded-for: {}, its last address appended by Envoy (client.address.trustedHops)",
                line.join(", ")
            ));
        }
    }
}

fn headers_of_file(file: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let text = String::from_utf8(read_file(file)?)
        .map_err(|_| Failure::new(format!("{}: is not UTF-8", file.display())))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(header).collect()
}

/// `name: value`, checked to be what Envoy lets through.
fn header(line: &str) -> Result<(String, Vec<u8>), Failure> {
    let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        let hint = if line.starts_with(':') {
            "pseudo-headers have options of their own: --method, --path, --host"
        } else {
            "write it as `name: value`"
        };
        return Err(Failure::new(format!("--header: {hint}")));
    };
    let name =
        HeaderName::new(name.trim_end()).map_err(|error| Failure::new(format!("--header: {error}")))?;
    let value = HeaderValue::new(value.trim().as_bytes())
        .map_err(|error| Failure::new(format!("--header {name}: {error}; Envoy refuses such a request")))?;
    Ok((name.as_str().to_owned(), value.as_bytes().to_vec()))
}
