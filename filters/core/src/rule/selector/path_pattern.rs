use serde::de::{self, Deserialize, Deserializer};
use std::fmt;

/// A path in a `match`: literal segments, `*` or `{name}` for any one segment, and at the end `**` for one or more.
///
/// `/orders/**` matches `/orders/` and `/orders/1/items`, not `/orders`; `/orders` does not match `/orders/`. Case matters. The
/// pattern is matched with the path's normal form (see [`crate::http::path`]), so it must be in that form itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    pub(super) segments: Vec<PatternSegment>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum PatternSegment {
    Literal(String),
    One(Option<String>),
    Rest,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that says what a pattern may be.
    pub fn new(text: &str) -> Result<Self, String> {
        let body =
            text.strip_prefix('/').ok_or_else(|| format!("{text:?} is not a path: it begins with `/`"))?;
        let mut segments = Vec::new();
        let mut parts = body.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            segments.push(match part {
                "**" if last => PatternSegment::Rest,
                "**" => return Err(format!("{text:?}: `**` may stand at the end only")),
                "*" => PatternSegment::One(None),
                "" if !last => {
                    return Err(format!("{text:?} holds an empty segment, and such paths are refused"));
                }
                _ => match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) if is_capture(name) => PatternSegment::One(Some(name.to_owned())),
                    None if !part.contains(['*', '{', '}']) => PatternSegment::Literal(literal(text, part)?),
                    _ => {
                        return Err(format!(
                            "{text:?}: `{part}` is not a segment: write text, `*`, `{{name}}` or a final `**`"
                        ));
                    }
                },
            });
        }
        Ok(Self { segments })
    }

    /// Whether a path in normal form matches.
    pub fn matches(&self, path: &str) -> bool {
        let mut parts = path.strip_prefix('/').into_iter().flat_map(|rest| rest.split('/'));
        for segment in &self.segments {
            match (segment, parts.next()) {
                (PatternSegment::Rest, Some(_)) => return true,
                (PatternSegment::Literal(literal), Some(part)) if literal == part => {}
                (PatternSegment::One(_), Some(part)) if !part.is_empty() => {}
                _ => return false,
            }
        }
        path.starts_with('/') && parts.next().is_none()
    }

    /// The segment of `path` where `{name}` stands, if the path matches.
    pub fn capture<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let position = self
            .segments
            .iter()
            .position(|segment| matches!(segment, PatternSegment::One(Some(known)) if known == name))?;
        if !self.matches(path) {
            return None;
        }
        path.strip_prefix('/')?.split('/').nth(position)
    }

    /// The names that it captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PatternSegment::One(Some(name)) => Some(name.as_str()),
            _ => None,
        })
    }
}

fn is_capture(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn literal(pattern: &str, part: &str) -> Result<String, String> {
    let target = format!("/{part}");
    let normal = crate::http::path::normalize(target.as_bytes()).map_err(|ambiguity| {
        format!("{pattern:?} would never match, since such paths are refused: {ambiguity}")
    })?;
    if normal.path() != target || normal.query().is_some() {
        return Err(format!(
            "{pattern:?} would never match: the normal form of `{part}` is `{}`",
            normal.path().trim_start_matches('/')
        ));
    }
    Ok(part.to_owned())
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                PatternSegment::Literal(text) => write!(out, "/{text}")?,
                PatternSegment::One(None) => out.write_str("/*")?,
                PatternSegment::One(Some(name)) => write!(out, "/{{{name}}}")?,
                PatternSegment::Rest => out.write_str("/**")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PathPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathPattern".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A path without query: literal segments, `*` or `{name}` for one segment, a final `**` for one or more.",
            "pattern": "^/"
        })
    }
}
