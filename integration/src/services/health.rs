//! `sluice-tour healthy URL`: the health check of containers that have neither a shell nor a client.

use std::time::Duration;

use crate::{Client, Error, Request, Result};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks `http://host:port/path`.
///
/// # Errors
/// When there is no answer, or one whose status is not 2xx.
pub fn healthy(url: &str) -> Result<()> {
    let (host, port, path) =
        parts(url).ok_or_else(|| format!("not of the form http://host:port/path: {url}"))?;
    let answer = Client::at(host, port).with_limit(LIMIT).send(&Request::get(path))?;
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(Error::Other(format!("{url} answers {}: {}", answer.status, answer.text().trim())))
}

/// Host, port and path.
fn parts(url: &str) -> Option<(&str, u16, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let (host, port) = authority.rsplit_once(':')?;
    Some((host, port.parse().ok()?, path)).filter(|(host, ..)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reply, Upstream};

    #[test]
    fn an_address_has_a_port_and_perhaps_a_path() {
        assert_eq!(parts("http://127.0.0.1:9901/ready?a=b"), Some(("127.0.0.1", 9901, "/ready?a=b")));
        assert_eq!(parts("http://jaeger:13133"), Some(("jaeger", 13133, "/")));
        for wrong in ["jaeger:13133", "https://a:1/", "http://a/", "http://:1/", "http://a:x/"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_good_answer_is_healthy() {
        let mut server = Upstream::answering("server", |request| {
            Reply::json(if request.path == "/ready" { 200 } else { 503 }, &serde_json::Value::Null)
        })
        .unwrap();
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port());
        let (ready, other) = (url("/ready"), url("/other"));
        assert!(healthy(&ready).is_ok());
        assert!(healthy(&other).is_err_and(|e| e.to_string().contains("503")));
        server.stop();
        assert!(healthy(&ready).is_err());
    }
}
