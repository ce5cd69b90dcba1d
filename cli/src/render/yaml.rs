//! JSON values as YAML in block style: what a person would write, and every reader reads alike.

use super::tree::Tree;
use serde_json::Value;

/// Writes a value.
pub(crate) fn write(value: &Tree) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// A value that begins on a line of its own, at `indent`.
fn block(value: &Tree, indent: usize, text: &mut String) {
    match value {
        Tree::Object(fields) if !fields.is_empty() => {
            for (position, (name, value)) in fields.iter().enumerate() {
                if position > 0 || !text.ends_with("- ") {
                    text.extend(std::iter::repeat_n(' ', indent));
                }
                text.push_str(&scalar(name));
                text.push(':');
                after_key(value, indent + 2, text);
            }
        }
        Tree::List(elements) if !elements.is_empty() => {
            for element in elements {
                text.extend(std::iter::repeat_n(' ', indent));
                text.push_str("- ");
                match element {
                    Tree::Object(fields) if !fields.is_empty() => block(element, indent + 2, text),
                    _ => {
                        text.pop();
                        after_key(element, indent + 2, text);
                    }
                }
            }
        }
        other => {
            text.push_str(&other.to_json().to_string());
            text.push('\n');
        }
    }
}

/// A value after `key:` or `-`.
fn after_key(value: &Tree, indent: usize, text: &mut String) {
    match value {
        Tree::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        Tree::List(elements) if !elements.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        Tree::Scalar(Value::String(lines)) if is_literal(lines) => {
            text.push_str(" |-\n");
            for line in lines.lines() {
                text.extend(std::iter::repeat_n(' ', indent));
                text.push_str(line);
                text.push('\n');
            }
        }
        Tree::Scalar(Value::String(line)) => {
            text.push(' ');
            text.push_str(&scalar(line));
            text.push('\n');
        }
        other => {
            text.push(' ');
            text.push_str(&other.to_json().to_string());
            text.push('\n');
        }
    }
}

/// Whether several lines can stand as they are: none is empty, begins with a blank first, or has what an editor would hide.
fn is_literal(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with('\n')
        && text.lines().all(|line| !line.is_empty() && !line.chars().any(char::is_control))
        && !text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}', '\r'])
}

/// A string in one line: as it stands where nobody could take it for something else, in quotes otherwise.
fn scalar(text: &str) -> String {
    let plain = text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
