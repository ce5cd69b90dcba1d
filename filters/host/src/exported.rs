//! How a module knows which callbacks it exports.
//!
//! It can't look at its own exports, and they are cut after the build: editions of one build differ in nothing else. So the names of the
//! callbacks that a document may need stand in the module as text, each with `1`, and whatever cuts exports (`tools/trim`) writes `0` behind
//! those that it cuts, in the same step. A module that nothing was cut from has them all, and says so. Cargo features instead would
//! mean a build of many minutes for each edition, and could say something else than the exports.

use sluice_core::decision::follow_up::{Phase, Phases};

/// The text as it is built; `tools/trim` finds it by its beginning.
pub const AS_BUILT: [u8; 83] =
    *b"sluice.exported;proxy_on_request_body=1;proxy_on_response_headers=1;proxy_on_log=1;";

/// The phases that a module with this text is told of.
pub fn phases(text: &[u8]) -> Phases {
    let mut phases = Phases::NONE;
    for phase in Phase::ALL {
        let says_so =
            |entry: &[u8]| entry.strip_prefix(phase.export().as_bytes()).is_some_and(|rest| rest == b"=1");
        if text.split(|byte| *byte == b';').any(says_so) {
            phases.insert(phase);
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_told_of_what_its_text_says_with_a_one() {
        assert_eq!(phases(&AS_BUILT), Phases::ALL, "every phase stands there");
        let cut = String::from_utf8_lossy(&AS_BUILT).replace("body=1", "body=0").replace("log=1", "log=0");
        assert_eq!(phases(cut.as_bytes()), Phases::of(&[Phase::Response]));
        assert_eq!(phases(b""), Phases::NONE);
    }
}
