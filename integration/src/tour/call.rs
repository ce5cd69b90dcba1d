//! A request of the tour, which is sent by us and printed as a `curl` line.

use std::net::Ipv4Addr;
use std::path::Path;

use super::Lines;
use crate::tokens::TokenArguments;
use crate::{Answer, Client, Request, Result};

/// A request, the token that it carries, and the address that it comes from.
#[derive(Clone)]
pub(super) struct Call {
    request: Request,
    token: Option<String>,
    source: Option<Ipv4Addr>,
}

impl Call {
    pub(super) fn get(path: &str) -> Self {
        Self { request: Request::get(path), token: None, source: None }
    }

    pub(super) fn post(path: &str, body: &str) -> Self {
        Self { request: Request::post(path, body), token: None, source: None }
    }

    pub(super) fn options(path: &str) -> Self {
        Self { request: Request::new("OPTIONS", path), token: None, source: None }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With a bearer token, described by the arguments of `sluice-tour token`.
    pub(super) fn token(self, arguments: &str) -> Self {
        Self { token: Some(arguments.to_owned()), ..self }
    }

    /// From another address of the loopback network.
    pub(super) fn from(self, source: Ipv4Addr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The request as it is sent now: with a token that was just made.
    pub(super) fn request(&self) -> Result<Request> {
        let request = self.request.clone();
        Ok(match &self.token {
            Some(arguments) => request.bearer(&TokenArguments::read(arguments)?.mint()?),
            None => request,
        })
    }

    pub(super) fn send(&self, port: u16) -> Result<Answer> {
        let client = match self.source {
            Some(source) => Client::from_address(source, port),
            None => Client::new(port),
        };
        client.send(&self.request()?)
    }

    /// The line that does the same from a shell at the repository's root. A token is made anew by it, so that the line still
    /// works when this one has expired.
    pub(super) fn curl(&self, port: u16, lines: &Lines) -> String {
        let mut line = "curl -si".to_owned();
        if let Some(source) = self.source {
            line = format!("{}{line} --interface {source}", lines.from_another_address);
        }
        if self.request.method != "GET" && self.request.body.is_empty() {
            line.push_str(&format!(" -X {}", self.request.method));
        }
        line.push_str(&format!(" {}", quoted(&format!("http://127.0.0.1:{port}{}", self.request.path))));
        if let Some(arguments) = &self.token {
            line.push_str(&format!(
                " -H \"authorization: Bearer $({} token {arguments})\"",
                lines.this_program
            ));
        }
        for (name, value) in &self.request.headers {
            line.push_str(&format!(" -H {}", quoted(&format!("{name}: {}", String::from_utf8_lossy(value)))));
        }
        if !self.request.body.is_empty() {
            line.push_str(&format!(" -d {}", quoted(&String::from_utf8_lossy(&self.request.body))));
        }
        line
    }
}

/// How a shell in the current folder calls this program.
pub(crate) fn this_program() -> String {
    let Ok(program) = std::env::current_exe() else { return "sluice-tour".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    let program = program.strip_prefix(&here).map(Path::to_owned).unwrap_or(program);
    program.display().to_string()
}

/// Quoted for a shell where it must be.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/._-=,@+%".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curl_line_can_be_copied() {
        let call = Call::post("/orders?a=1&b=2", "{\"it's\": 1}")
            .header("x-a", "b c")
            .from(Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(
            call.curl(10000, &Lines::default()),
            r#"curl -si --interface 127.0.0.2 'http://127.0.0.1:10000/orders?a=1&b=2' -H 'x-a: b c' -d '{"it'\''s": 1}'"#
        );
    }
}
