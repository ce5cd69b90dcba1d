use super::request::PlayedRequest;
use crate::compile::Compiled;
use crate::node::Node;

/// Headers that carry credentials, whatever the document says.
const HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// Shorter values are found in ordinary words; and nothing so short keeps a secret.
const SHORTEST: usize = 4;

/// The same for parts of a value: a cookie `preview=on` is no secret, and `on` stands in many words.
const SHORTEST_PART: usize = 8;

/// The credentials in a request: an explanation goes into tickets and chats, where they must not stand.
pub(super) struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// Gathers the values of headers, cookies and query parameters that carry credentials, by their names or by what the document's
    /// providers say.
    pub(super) fn of(request: &PlayedRequest, compiled: &Compiled) -> Self {
        let mut headers: Vec<String> = HEADERS.iter().map(ToString::to_string).collect();
        let mut parameters = Vec::new();
        if let Some(authn) = compiled.node.get("authn") {
            sources(authn, &mut headers, &mut parameters);
        }
        let mut values = Vec::new();
        for (name, value) in &request.headers {
            let value = String::from_utf8_lossy(value);
            if headers.contains(name) || is_sensitive(name) {
                // The parts by which a policy may refer to it: the token after its scheme, the value of each cookie.
                let parts = value.split([' ', ';', ',']);
                let parts = parts.map(|part| part.split_once('=').map_or(part, |(_, value)| value));
                values.extend(parts.filter(|part| part.len() >= SHORTEST_PART).map(str::to_owned));
                values.push(value.clone().into_owned());
            }
            if name == ":path" {
                let query = value.split_once('?').map_or("", |(_, query)| query);
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                values.extend(
                    pairs
                        .filter(|(name, _)| {
                            parameters.iter().any(|known| known == name) || is_sensitive(name)
                        })
                        .map(|(_, value)| value.to_owned()),
                );
            }
        }
        values.retain(|value| value.len() >= SHORTEST);
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// `text` without the credentials.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), "***");
            }
        }
        text
    }
}

/// Whether a header or a parameter of this name probably holds a credential, wherever the document looks for them: `x-auth-token`,
/// `api_key`.
fn is_sensitive(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    plain == "key"
        || ["token", "apikey", "secret", "password", "jwt", "authorization"]
            .iter()
            .any(|part| plain.contains(part))
}

/// The names that stand anywhere below `from` of a provider: `from: [{ header: x-api-key }, { query: token }]`.
fn sources(node: &Node, headers: &mut Vec<String>, parameters: &mut Vec<String>) {
    for entry in node.entries() {
        if entry.key == "from" {
            for source in entry.value.elements().iter().chain([&entry.value]) {
                let name = |key: &str| source.get(key).and_then(Node::text);
                headers.extend(name("header").map(str::to_ascii_lowercase));
                parameters.extend(name("query").map(str::to_owned));
            }
        }
        sources(&entry.value, headers, parameters);
    }
    for element in node.elements() {
        sources(element, headers, parameters);
    }
}
