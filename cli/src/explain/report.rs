use super::Played;
use serde_json::{Value, json};
use sluice_core::caller::identity::Identity;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_pipeline::{Action, Reply};
use std::fmt::Write as _;
use std::io::{self, Write};
use time::format_description::well_known::Rfc3339;

/// Prints an explanation for people.
pub(super) fn write_text(played: &Played, output: &mut dyn Write) -> io::Result<()> {
    let text = text(played).unwrap_or_default();
    // No terminal shall do what a header says.
    let plain =
        |character: char| if character.is_control() && character != '\n' { '\u{fffd}' } else { character };
    let text: String = played.secrets.redact(&text).chars().map(plain).collect();
    output.write_all(text.as_bytes())
}

fn text(played: &Played) -> Result<String, std::fmt::Error> {
    let Played { request, explanation, decisions, .. } = played;
    let mut text = String::new();
    let (method, host, path) = (request.text(":method"), request.text(":authority"), request.text(":path"));
    write!(text, "{method} {host}{path} from {}", request.source)?;
    if let Some(peer) = &request.peer {
        write!(text, " ({peer})")?;
    }
    writeln!(text, " at {}", time(played))?;
    for (name, value) in request.headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        writeln!(text, "  {name}: {}", String::from_utf8_lossy(value))?;
    }
    for name in &played.unknown_variables {
        writeln!(text, "not known here: the variable {name}; what its secret signs is taken for forged")?;
    }
    for name in &played.missing_resources {
        writeln!(
            text,
            "not there: {name}, which the proxy fetches; --resource {name}=FILE stands in for it"
        )?;
    }
    for cluster in &played.stood_in {
        writeln!(text, "stood in for: the rate-limit service `{cluster}`, with nothing counted before")?;
    }
    for preparation in &request.preparations {
        writeln!(text, "before the filter: {preparation}")?;
    }
    if request.repeat > 1 {
        writeln!(text, "the last of {} such requests at this moment", request.repeat)?;
    }
    match (&explanation.normal_host, &explanation.normal_path) {
        (Some(host), Some(path)) => {
            let client = explanation
                .client_address
                .map_or("an unknown address".to_owned(), |address| address.to_string());
            writeln!(text, "rules see: host {host}, path {path}, client {client}")?;
        }
        _ => writeln!(text, "rules don't see it: it can be read in more than one way, or in none")?,
    }
    for (position, stage) in explanation.stages.iter().enumerate() {
        writeln!(text, "\n{:>2}. {}: {}", position + 1, stage.place.section.name, stage.place.title)?;
        if !stage.asked && stage.notes.is_empty() {
            writeln!(text, "    not asked: the request was answered before")?;
        }
        for note in &stage.notes {
            writeln!(text, "    {note}")?;
        }
        for decision in &stage.decisions {
            writeln!(text, "    => {decision}")?;
        }
    }
    if explanation.stages.is_empty() && explanation.normal_path.is_some() {
        writeln!(text, "\nno policy: the document has none")?;
    }
    if let Some(identity) = &explanation.identity {
        writeln!(text, "\nidentity: {}", identity_line(identity))?;
    }
    write!(text, "\nverdict: ")?;
    if !explanation.paused.is_zero() {
        write!(text, "waits {} ms, then ", explanation.paused.as_millis())?;
    }
    match &explanation.decided.action {
        Action::Continue => writeln!(text, "goes on")?,
        Action::Respond(reply) => write_reply(reply, &mut text)?,
    }
    let mutations = &explanation.decided.mutations;
    // An answered request goes nowhere: what was to be changed in it no longer matters.
    if goes_on(&explanation.decided.action) {
        for (name, value) in mutations.request_headers() {
            match value {
                Some(value) => writeln!(text, "  the service gets {name}: {}", value_text(value))?,
                None => writeln!(text, "  the service does not get {name}")?,
            }
        }
        if mutations.clears_route_cache() {
            writeln!(text, "  Envoy chooses the route after these changes")?;
        }
    }
    for (name, value) in &explanation.response_headers {
        writeln!(text, "  the client gets {name}: {}", value_text(value))?;
    }
    if !decisions.is_empty() {
        writeln!(text, "counted: {}", decisions.join(", "))?;
    }
    if !explanation.decided.summary.is_empty() {
        writeln!(text, "logged as: {}", explanation.decided.summary)?;
    }
    Ok(text)
}

fn write_reply(reply: &Reply, text: &mut String) -> std::fmt::Result {
    write!(text, "answered with {}", reply.status)?;
    if let Some(status) = reply.grpc_status {
        write!(text, ", grpc-status {status}")?;
    }
    writeln!(text, " ({})", reply.details)?;
    for (name, value) in &reply.headers {
        writeln!(text, "  {name}: {}", value_text(value))?;
    }
    if !reply.body.is_empty() {
        writeln!(text, "  {}", String::from_utf8_lossy(&reply.body))?;
    }
    Ok(())
}

fn identity_line(identity: &Identity) -> String {
    let mut line = identity.principal.clone();
    let mut add = |name: &str, values: &[String]| {
        if !values.is_empty() {
            line.push_str(&format!("; {name} {}", values.join(", ")));
        }
    };
    add("provider", &identity.provider.iter().map(ToString::to_string).collect::<Vec<_>>());
    add("consumer", &identity.consumer.iter().cloned().collect::<Vec<_>>());
    add("roles", &identity.roles);
    add("scopes", &identity.scopes);
    let attributes: Vec<String> =
        identity.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    add("attributes", &attributes);
    line
}

/// An explanation for programs.
pub(super) fn json(played: &Played) -> Value {
    let Played { request, explanation, decisions, unknown_variables, missing_resources, stood_in, secrets } =
        played;
    let decided = &explanation.decided;
    let (action, reply) = match &decided.action {
        Action::Continue => ("continue", None),
        Action::Respond(reply) => ("respond", Some(reply)),
    };
    let delay = (!explanation.paused.is_zero()).then_some(explanation.paused.as_millis());
    let action = if delay.is_some() { "delay" } else { action };
    let explained = json!({
        "request": {
            "headers": request.headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect::<Vec<_>>(),
            "source": request.source.to_string(),
            "peer": request.peer,
            "time": time(played),
            "repeat": request.repeat,
            "preparations": request.preparations,
        },
        "unknownVariables": unknown_variables,
        "missingResources": missing_resources,
        "stoodIn": stood_in,
        "rulesSee": explanation.normal_path.as_ref().map(|path| json!({
            "host": explanation.normal_host,
            "path": path,
            "client": explanation.client_address.map(|address| address.to_string()),
        })),
        "stages": explanation.stages.iter().map(|stage| json!({
            "section": stage.place.section.name,
            "position": stage.place.name,
            "asked": stage.asked,
            "notes": stage.notes,
            "decisions": stage.decisions,
        })).collect::<Vec<_>>(),
        "identity": explanation.identity.as_ref().map(|identity| json!({
            "provider": identity.provider.as_ref().map(ToString::to_string),
            "principal": identity.principal,
            "consumer": identity.consumer,
            "roles": identity.roles,
            "scopes": identity.scopes,
            "claims": *identity.claims,
            "attributes": identity.attributes,
        })),
        "verdict": {
            "action": action,
            "delayMs": delay.map(|delay| u64::try_from(delay).unwrap_or(u64::MAX)),
            "reply": reply.map(|reply| json!({
                "status": reply.status,
                "grpcStatus": reply.grpc_status,
                "reason": reply.details,
                "headers": headers(&reply.headers),
                "body": String::from_utf8_lossy(&reply.body),
            })),
        },
        "mutations": {
            "request": decided.mutations.request_headers().iter().map(|(name, value)| {
                json!([name.as_str(), value.as_ref().map(value_text)])
            }).collect::<Vec<_>>(),
            "response": headers(&explanation.response_headers),
            "clearRouteCache": decided.mutations.clears_route_cache(),
        },
        "decisions": decisions,
        "summary": decided.summary,
    });
    redacted(explained, &|text| secrets.redact(text))
}

fn redacted(value: Value, redact: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(redact(&text)),
        Value::Array(elements) => elements.into_iter().map(|element| redacted(element, redact)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, redacted(value, redact))).collect()
        }
        other => other,
    }
}

fn headers(headers: &[(HeaderName, HeaderValue)]) -> Vec<Value> {
    headers.iter().map(|(name, value)| json!([name.as_str(), value_text(value)])).collect()
}

fn value_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn goes_on(action: &Action) -> bool {
    matches!(action, Action::Continue)
}

fn time(played: &Played) -> String {
    played.request.time.format(&Rfc3339).unwrap_or_default()
}
