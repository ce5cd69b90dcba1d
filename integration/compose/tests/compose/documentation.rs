//! The lines of docs/compose.md, run as they stand.

use std::process::Command;

use sluice_compose_test::run;
use sluice_integration::{Error, Result, repository_root};

use crate::{Demo, must};

/// Separates the output of one line from that of the next.
const MARK: &str = "@@@ line";

/// A line of the page: the command, and the statuses that its comment promises.
struct Line {
    command: String,
    promised: Vec<String>,
}

pub(crate) fn check(demo: &Demo) -> Result<()> {
    let file = repository_root().join("docs/compose.md");
    let page = std::fs::read_to_string(&file).map_err(|e| Error::file("can't read", &file, e))?;
    let lines = lines(&page);
    must(format!("the page has {} lines to run", lines.len()), lines.len() > 10)?;
    // The page is for who has just started all this. (The edge's own limits are fresh: it was killed in the part before.)
    demo.project.done(&["exec", "-T", "redis", "redis-cli", "flushall"])?;
    // `docker compose` as it is called here.
    let mut script = format!(
        "docker() {{ if [ \"$1\" = compose ]; then shift; {} \"$@\"; else command docker \"$@\"; fi; }}\n",
        demo.project.program()
    );
    for line in &lines {
        script.push_str(&format!("echo '{MARK}'\n{}\n", line.command));
    }
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(repository_root());
    shell.envs(demo.project.environment().iter().map(|(name, value)| (name, value)));
    let output = run(&mut shell)?;
    let parts: Vec<&str> = output.stdout.split(&format!("{MARK}\n")).skip(1).collect();
    must(format!("all were run {}", output.stderr.trim()), parts.len() == lines.len())?;
    for (line, said) in lines.iter().zip(parts) {
        // An answer without a line break at its end is followed by the next one's head on the same line.
        let heads = said.split("HTTP/1.1 ").skip(1);
        let statuses: Vec<&str> = heads.filter_map(|head| head.split_whitespace().next()).collect();
        must(format!("{} → {statuses:?}", line.command), statuses == line.promised).map_err(|e| {
            Error::Other(format!("{e}, but {:?} is promised; it said:\n{said}", line.promised))
        })?;
        if line.command.contains("x-version: v2") {
            must("version v2 answered", said.contains("\"version\":\"v2\""))?;
        }
        if line.command.contains("with=stock") {
            must("with the stock", said.contains("\"count\":42"))?;
        }
    }
    Ok(())
}

/// The lines that ask something, and those that these need. A comment begins with statuses: `# 200 429: why`.
fn lines(page: &str) -> Vec<Line> {
    let code = page.lines().filter_map(|line| line.strip_prefix("    "));
    let asking = code.filter(|line| ["curl ", "for ", "TOKEN="].iter().any(|start| line.starts_with(start)));
    asking
        .map(|line| {
            let (command, comment) = line.rsplit_once(" # ").unwrap_or((line, ""));
            let statuses = comment.split(':').next().unwrap_or_default().split_whitespace();
            Line { command: command.trim_end().to_owned(), promised: statuses.map(str::to_owned).collect() }
        })
        .collect()
}
