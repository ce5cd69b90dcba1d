//! What docs/adding-a-policy.md says is done in a copy of the checkout, and run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sluice_integration::repository_root;

/// A fenced block of the page: what stands behind the fence, and the lines within.
struct Block<'p> {
    language: &'p str,
    file: Option<&'p str>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let (language, file) =
            info.split_once(' ').map_or((info, None), |(language, file)| (language, Some(file)));
        let text = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        blocks.push(Block { language, file, text });
    }
    blocks
}

/// A copy of all that belongs to the checkout.
fn copy_of_the_checkout(root: &Path, copy: &Path) {
    let listed =
        Command::new("git").args(["ls-files", "-co", "--exclude-standard", "-z"]).current_dir(root).output();
    let listed = listed.expect("git").stdout;
    for file in String::from_utf8(listed).expect("names").split_terminator('\0') {
        let (from, to) = (root.join(file), copy.join(file));
        // One that is deleted and not committed yet is still listed.
        if from.is_file() {
            write(&to, &fs::read(from).expect(file));
        }
    }
}

/// Writes a file where something changes: cargo builds what is newer.
fn write(file: &Path, text: &[u8]) {
    if fs::read(file).ok().as_deref() != Some(text) {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    }
}

/// Adds the lines with `+` behind the line before them, which stands once in the file.
fn apply(diff: &str, text: &str) -> String {
    let context: Vec<&str> = diff.lines().filter_map(|line| line.strip_prefix(' ')).collect();
    let added: String =
        diff.lines().filter_map(|line| line.strip_prefix('+')).map(|line| format!("{line}\n")).collect();
    let [before] = context[..] else { panic!("one line of context:\n{diff}") };
    assert_eq!(text.lines().filter(|line| *line == before).count(), 1, "{before:?} stands once");
    text.lines()
        .map(|line| if line == before { format!("{line}\n{added}") } else { format!("{line}\n") })
        .collect()
}

fn run(copy: &Path, arguments: &[&str]) -> String {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").to_owned();
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .expect("cargo");
    let (output, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{output}{errors}")
}

/// Whether `text` is what `pattern` shows, in which a line `…` stands for any lines.
fn shows(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split("…\n").all(|piece| match rest.find(piece) {
        Some(start) => {
            rest = &rest[start + piece.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn the_page_on_adding_a_policy_adds_one() {
    let root = repository_root();
    let page = fs::read_to_string(root.join("docs/adding-a-policy.md")).expect("the page");
    // Within the target folder, where a second run finds what the first has built.
    let copy = &Path::new(env!("CARGO_TARGET_TMPDIR")).join("adding-a-policy");
    copy_of_the_checkout(&root, copy);
    let mut console = String::new();
    let mut written = BTreeMap::new();
    for Block { language, file, text } in blocks(&page) {
        match (language, file) {
            ("diff", Some(file)) => {
                let old = fs::read_to_string(copy.join(file)).expect(file);
                write(&copy.join(file), apply(&text, &old).as_bytes());
            }
            (_, Some(file)) => {
                write(&copy.join(file), text.as_bytes());
                assert_eq!(written.insert(file, text), None, "{file} stands twice");
            }
            ("console", None) => console = text,
            _ => panic!("a block that nothing is done with:\n{text}"),
        }
    }

    let tested = run(copy, &["test", "--profile", "tool", "-p", "sluice-maintenance"]);
    assert!(tested.contains("test result: ok. 2 passed"), "{tested}");
    assert!(!tested.contains("warning:"), "{tested}");
    let (command, shown) = console.split_once('\n').expect("a command");
    let command = command.strip_prefix("$ cargo ").expect("a command of cargo");
    let output = run(copy, &command.split(' ').collect::<Vec<_>>());
    assert!(shows(shown, &output), "the page shows\n{shown}\nand there is\n{output}");
    // It is told of responses: the command knows a module that is.
    let output =
        run(copy, &["run", "-q", "--profile", "tool", "-p", "sluice-cli", "--", "check", "maintenance.yaml"]);
    assert!(output.contains("needs sluice-headers.wasm, for maintenance.rules[2].do.announce"), "{output}");
}
