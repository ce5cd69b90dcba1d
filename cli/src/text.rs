//! Places in a file, as editors count them.

use crate::secrets::Secrets;
use crate::yaml;

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
/// a `�`, so that the carets stand right and no file can play tricks with a terminal. Secrets are not shown.
pub fn excerpt(text: &str, span: Span, secrets: &Secrets) -> Option<String> {
    /// What of a line is shown: a policy may hold a key set in one line of JSON.
    const WIDTH: usize = 110;
    let line = yaml::lines(text).nth(span.start.line.checked_sub(1)?)?;
    let shown: Vec<char> = secrets
        .line(span.start.line, line)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: usize, from: usize, to: usize) -> Span {
        Span { start: Position { line, column: from }, end: Position { line, column: to } }
    }

    fn shown(text: &str, span: Span) -> Option<String> {
        excerpt(text, span, &Secrets::default())
    }

    #[test]
    fn carets_stand_below_what_is_meant() {
        let text = "version: 1\n  méthod: [GET]\r\n";
        assert_eq!(shown(text, span(2, 3, 9)).unwrap(), "    2 |   méthod: [GET]\n      |   ^^^^^^");
        assert_eq!(shown(text, span(1, 11, 11)).unwrap(), "    1 | version: 1\n      |           ^");
        assert_eq!(shown(text, span(7, 1, 1)), None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let excerpt = shown(&text, span(1, 501, 505)).unwrap();
        let lines: Vec<&str> = excerpt.lines().collect();
        let caret = lines[1].chars().position(|character| character == '^').unwrap();
        assert_eq!(lines[0].chars().skip(caret).take(4).collect::<String>(), "HERE");
        assert!(lines[0].chars().count() < 130);
    }

    #[test]
    fn what_could_play_tricks_with_a_terminal_is_not_printed() {
        assert!(!shown("a: \u{1b}[2J\tb", span(1, 1, 2)).unwrap().contains(['\u{1b}', '\t']));
    }
}
