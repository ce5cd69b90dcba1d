//! What `docs/command.md` shows is what the command prints. `SLUICE_BLESS=1 cargo test -p sluice-cli --test page` writes it anew.

mod command;
use command::sluice;
use std::path::Path;

/// The arguments of a line as a shell would split it; only single quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (position, part) in line.split('\'').enumerate() {
        if position % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for (position, word) in part.split(' ').enumerate() {
            if position > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(word);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn what_the_page_shows_is_what_the_command_prints() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = repository.join("docs/command.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut made = String::new();
    let mut count = 0;
    for (position, part) in page.split("```").enumerate() {
        if position > 0 {
            made.push_str("```");
        }
        let Some(block) = part.strip_prefix("console\n$ sluice ").filter(|_| position % 2 == 1) else {
            made.push_str(part);
            continue;
        };
        let line = block.lines().next().unwrap();
        let arguments = split(line);
        let ran = sluice(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "", &repository);
        assert!(ran.errors.is_empty() && ran.code < 2, "{line}: {}", ran.errors);
        made.push_str(&format!("console\n$ sluice {line}\n{}", ran.output));
        count += 1;
    }
    assert!(count >= 4, "{count} examples");
    if std::env::var_os("SLUICE_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    } else {
        assert!(made == page, "docs/command.md is out of date; SLUICE_BLESS=1 writes it anew:\n{made}");
    }
}
