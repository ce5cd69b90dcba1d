//! Places in a file, as editors count them.

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A stretch of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first character.
    pub start: Position,
    /// The character after its last one.
    pub end: Position,
}

impl Span {
    /// An empty stretch.
    pub fn at(position: Position) -> Self {
        Self { start: position, end: position }
    }
}

/// The first line of `span`, with its number, and carets below what `span` covers of it:
///
/// ```text
///    3 |     method: [GET]
///      |     ^^^^^^
/// ```
///
/// `None` where the text has no such line. Long lines are cut around the place; tabs become blanks and other control characters
/// a `�`, so that the carets stand right and no file can play tricks with a terminal. Secrets of keys are not shown: what a check
/// prints is kept in the logs of a build.
pub fn excerpt(text: &str, span: Span) -> Option<String> {
    /// What of a line is shown: a policy may hold a key set in one line of JSON.
    const WIDTH: usize = 110;
    let line = text.lines().nth(span.start.line.checked_sub(1)?)?;
    let shown: Vec<char> = without_secrets(line)
        .chars()
        .map(|character| match character {
            '\t' => ' ',
            other if other.is_control() => '\u{fffd}',
            other => other,
        })
        .collect();
    let start = span.start.column.saturating_sub(1).min(shown.len());
    let end = if span.end.line > span.start.line { shown.len() } else { span.end.column.saturating_sub(1) };
    let end = end.clamp(start, shown.len());

    let from = if shown.len() <= WIDTH { 0 } else { start.saturating_sub(WIDTH / 2) };
    let to = shown.len().min(from + WIDTH);
    let left = if from > 0 { "…" } else { "" };
    let right = if to < shown.len() { "…" } else { "" };
    let cut: String = shown.get(from..to).unwrap_or_default().iter().collect();
    let indent = " ".repeat(start - from + left.chars().count());
    let carets = "^".repeat(end.min(to).saturating_sub(start).max(1));
    let line = format!("{left}{}{right}", cut.trim_end());
    Some(format!("{:>5} | {line}\n      | {indent}{carets}", span.start.line))
}

/// `line` with `*` in the place of the secret members of a JSON Web Key (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
fn without_secrets(line: &str) -> String {
    const SECRET: [&str; 7] = ["k", "d", "p", "q", "dp", "dq", "qi"];
    /// Shorter than that is no key.
    const SHORTEST: usize = 4;
    let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    let mut after_secret = false;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if after_secret && word.len() >= SHORTEST {
            shown.extend(std::iter::repeat_n('*', word.len()));
        } else {
            shown.push_str(word);
        }
        let end = after.find(is_word).unwrap_or(after.len());
        let (between, next) = after.split_at(end);
        // `k: x`, `"k":"x"`, and `k: "` + `x` alike.
        let names = between.trim_matches([' ', '\t', '"', '\'']) == ":";
        after_secret = names && SECRET.contains(&word);
        shown.push_str(between);
        rest = next;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: usize, from: usize, to: usize) -> Span {
        Span { start: Position { line, column: from }, end: Position { line, column: to } }
    }

    #[test]
    fn carets_stand_below_what_is_meant() {
        let text = "version: 1\n  méthod: [GET]\r\n";
        assert_eq!(excerpt(text, span(2, 3, 9)).unwrap(), "    2 |   méthod: [GET]\n      |   ^^^^^^");
        assert_eq!(excerpt(text, span(1, 11, 11)).unwrap(), "    1 | version: 1\n      |           ^");
        assert_eq!(excerpt(text, span(7, 1, 1)), None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let excerpt = excerpt(&text, span(1, 501, 505)).unwrap();
        let lines: Vec<&str> = excerpt.lines().collect();
        let caret = lines[1].chars().position(|character| character == '^').unwrap();
        assert_eq!(lines[0].chars().skip(caret).take(4).collect::<String>(), "HERE");
        assert!(lines[0].chars().count() < 130);
    }

    #[test]
    fn what_could_play_tricks_with_a_terminal_is_not_printed() {
        assert!(!excerpt("a: \u{1b}[2J\tb", span(1, 1, 2)).unwrap().contains(['\u{1b}', '\t']));
    }

    #[test]
    fn secrets_of_keys_are_not_shown() {
        for (line, shown) in [
            ("  k: ZGVtby1zZWNyZXQ", "  k: ***************"),
            (
                r#"{"kty":"oct","k":"ZGVtby1zZWNyZXQ","kid":"demo-key-1"}"#,
                r#"{"kty":"oct","k":"***************","kid":"demo-key-1"}"#,
            ),
            (
                "- { kty: oct, k: 'ZGVtby1zZWNyZXQ', x: public-part }",
                "- { kty: oct, k: '***************', x: public-part }",
            ),
            ("kinds: abcdefghijkl # d ok, abcdefghijk", "kinds: abcdefghijkl # d ok, abcdefghijk"),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }
}
