//! Signs the demo's tokens, as `sluice-tour token` does: what the tour of the demo in kind calls where its image can't be run.

use std::io::Write;

use sluice_integration::Result;
use sluice_integration::tokens::TokenArguments;

fn main() -> Result<()> {
    let arguments: Vec<String> =
        std::env::args().skip_while(|argument| argument != "token").skip(1).collect();
    let token = TokenArguments::read(&arguments.join(" "))?.mint()?;
    writeln!(std::io::stdout(), "{token}").map_err(|error| format!("can't write: {error}").into())
}
