//! What both of Istio's forms have: which proxies are meant, and where they get the module.

use super::tree::Tree;
use crate::arguments::{ModuleArguments, ProxyArguments};
use crate::failure::Failure;
use serde_json::json;

/// Which proxies are meant.
pub(super) enum Place {
    /// Sidecars, for what reaches their service.
    Sidecars,
    /// Gateways.
    Gateways,
}

impl ProxyArguments {
    /// Whether sidecars or gateways are meant.
    pub(super) fn place(&self) -> Place {
        if self.gateway.is_some() { Place::Gateways } else { Place::Sidecars }
    }

    /// `metadata` of the resource.
    ///
    /// # Errors
    /// A name that Kubernetes would refuse.
    pub(super) fn metadata(&self) -> Result<Tree, Failure> {
        for (option, name) in [("--name", Some(&self.name)), ("--namespace", self.namespace.as_ref())] {
            if let Some(name) = name.filter(|name| !is_kubernetes_name(name)) {
                return Err(Failure::new(format!(
                    "{option} {name}: Kubernetes takes lower-case letters, digits, `-` and `.`, with a letter or a digit first and last"
                )));
            }
        }
        Ok(Tree::object([
            ("name", Some(self.name.as_str().into())),
            ("namespace", self.namespace.as_deref().map(Tree::from)),
        ]))
    }

    /// The labels of the pods; none if all of the namespace are meant.
    ///
    /// # Errors
    /// A selector that is no `key=value`, or one beside a named gateway: Istio takes one of them.
    pub(super) fn labels(&self) -> Result<Option<Tree>, Failure> {
        if let (Some(gateway), false) =
            (self.gateway.as_deref().filter(|name| !name.is_empty()), self.selector.is_empty())
        {
            return Err(Failure::new(format!(
                "--gateway={gateway} names its pods already: leave --selector out, or say --gateway without a name"
            )));
        }
        let mut labels = Vec::new();
        for selector in &self.selector {
            let (key, value) = selector
                .split_once('=')
                .filter(|(key, value)| !key.is_empty() && !value.contains(['=', '*']) && !key.contains('*'))
                .ok_or_else(|| Failure::new(format!("--selector {selector}: must be KEY=VALUE, a label of the pods; Istio knows no patterns here")))?;
            labels.push((key.to_owned(), Tree::from(value)));
        }
        Ok((!labels.is_empty()).then_some(Tree::Object(labels)))
    }

    /// The reference to a Gateway of the Gateway API, where one is named.
    pub(super) fn target_refs(&self) -> Option<Tree> {
        let gateway = self.gateway.as_deref().filter(|gateway| !gateway.is_empty())?;
        let gateway = Tree::object([
            ("group", Some("gateway.networking.k8s.io".into())),
            ("kind", Some("Gateway".into())),
            ("name", Some(gateway.into())),
        ]);
        Some(Tree::List(vec![gateway]))
    }
}

/// Where the proxies get the module.
pub(super) struct Module {
    /// `oci://…`, `https://…` or `file:///…`.
    pub(super) url: String,
    /// What its checksum must be.
    pub(super) sha256: Option<String>,
    /// What a user had better change.
    pub(super) warning: Option<String>,
}

impl Module {
    /// Reads it from the arguments.
    ///
    /// # Errors
    /// None is named, or one that Istio could not get, or would not verify where it must.
    pub(super) fn of(arguments: &ModuleArguments) -> Result<Self, Failure> {
        let sha256 = arguments.sha256.clone();
        if let Some(sum) = sha256.as_deref().filter(|sum| !is_sha256(sum)) {
            return Err(Failure::new(format!("--sha256 {sum}: must be 64 hexadecimal digits in lower case")));
        }
        match (&arguments.image, &arguments.url) {
            (Some(image), _) => Self::image(image, sha256),
            (None, Some(url)) => Self::file(url, sha256),
            (None, None) => Err(Failure::new(
                "the proxies must be told where the module is: --image oci://REGISTRY/NAME:TAG, or --url https://… or file:///… (see --help)",
            )),
        }
    }

    fn image(image: &str, sha256: Option<String>) -> Result<Self, Failure> {
        let reference = image.strip_prefix("oci://").unwrap_or(image);
        if reference.is_empty() || reference.contains("://") || reference.contains(char::is_whitespace) {
            return Err(Failure::new(format!(
                "--image {image}: must be a reference such as oci://registry.example.com/sluice:0.1.0; for http(s):// and file:// there is --url"
            )));
        }
        let (tagged, digest) =
            reference.split_once('@').map_or((reference, None), |(name, digest)| (name, Some(digest)));
        if let Some(digest) = digest {
            if !digest.strip_prefix("sha256:").is_some_and(is_sha256) {
                return Err(Failure::new(format!(
                    "--image {image}: behind `@` must stand sha256: and 64 hexadecimal digits in lower case"
                )));
            }
            if sha256.as_deref().is_some_and(|sum| digest.strip_prefix("sha256:") != Some(sum)) {
                return Err(Failure::new(format!("--image {image} has another digest than --sha256")));
            }
        }
        let tag = tagged.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
        if tag == Some("") {
            return Err(Failure::new(format!("--image {image}: the tag behind `:` is missing")));
        }
        let warning = match (digest.or(sha256.as_deref()), tag) {
            (None, None | Some("latest")) => Some(format!(
                "--image {image} names no release: every change of this resource may bring another module; name a tag, or better a digest (@sha256:…)"
            )),
            _ => None,
        };
        Ok(Self { url: format!("oci://{reference}"), sha256, warning })
    }

    fn file(url: &str, sha256: Option<String>) -> Result<Self, Failure> {
        let remote =
            ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        let local = url.len() > "file:///".len() && url.starts_with("file:///");
        if (!remote && !local) || url.contains(char::is_whitespace) {
            return Err(Failure::new(format!(
                "--url {url}: must be http://…, https://… or file:///… with a path within the proxy's container; for a registry there is --image"
            )));
        }
        if remote && sha256.is_none() {
            return Err(Failure::new(format!(
                "--url {url} needs --sha256, the checksum of the module (sha256sum dist/sluice.wasm): whoever can answer for that address could replace your policy"
            )));
        }
        if local && sha256.is_some() {
            return Err(Failure::new("--sha256: Istio does not verify a file:// module; leave it out"));
        }
        Ok(Self { url: url.to_owned(), sha256, warning: None })
    }

    /// The module as Envoy's configuration has it. What is remote the agent in the proxy's pod fetches and puts a local file in its
    /// place; the cluster is never asked.
    pub(super) fn code(&self) -> serde_json::Value {
        match self.url.strip_prefix("file://") {
            Some(path) => json!({ "local": { "filename": path } }),
            None => {
                let mut remote = json!({ "http_uri": { "uri": self.url, "timeout": "30s", "cluster": "_" } });
                if let (Some(sha256), Some(remote)) = (&self.sha256, remote.as_object_mut()) {
                    remote.insert("sha256".to_owned(), json!(sha256));
                }
                json!({ "remote": remote })
            }
        }
    }
}

fn is_sha256(sum: &str) -> bool {
    sum.len() == 64 && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// RFC 1123 as Kubernetes reads it, dots included.
fn is_kubernetes_name(name: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    name.len() <= 253
        && name.bytes().all(|byte| inner(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(inner)
        && name.bytes().next_back().is_some_and(inner)
}
