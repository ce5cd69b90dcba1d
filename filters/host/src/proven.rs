//! Which documents have been compiled without a problem: written down in the memory that all workers of a proxy share.
//!
//! Envoy's main thread tries each configuration in a VM of its own before any worker gets it (`WasmHandleBase::canary` of
//! proxy-wasm-cpp-host). What it has found right the workers need not look through again for what is wrong.

use crate::calls;
use siphasher::sip128::{Hasher128, SipHasher13};
use sluice_pipeline::SECTIONS;
use std::hash::Hasher;

/// Where in shared data the proofs stand, the newest first.
const KEY: &str = "sluice/proven/1";

/// So many documents are remembered. One that is forgotten is looked through again.
const MOST: usize = 64;

/// How often it is tried to write a proof down, where others write theirs at the same time.
const TRIES: usize = 4;

/// What stands for a document: a hash of its bytes, of the module's version and of what this edition can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof([u8; 16]);

// === impl Proof ===

impl Proof {
    /// The proof that this module has compiled this document.
    pub fn of(configuration: &[u8]) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes());
        for section in SECTIONS {
            hasher.write(section.as_bytes());
            hasher.write(b"\n");
        }
        hasher.write(format!("{:?}\n", calls::told_of()).as_bytes());
        hasher.write(configuration);
        Self(hasher.finish128().as_bytes())
    }

    /// Whether it is written down. Without shared data none is.
    pub fn is_known(self) -> bool {
        matches!(calls::shared_data(KEY), Ok(Some((proofs, _))) if self.stands_in(&proofs))
    }

    /// Writes it down, if it can be. Where it can't, the workers do what has been done here once more.
    pub fn write(self) {
        for _ in 0..TRIES {
            let Ok(found) = calls::shared_data(KEY) else { return };
            let (proofs, version) = found.unwrap_or_default();
            if self.stands_in(&proofs) {
                return;
            }
            let mut all = self.0.to_vec();
            all.extend(proofs.chunks_exact(self.0.len()).take(MOST.saturating_sub(1)).flatten());
            if calls::set_shared_data(KEY, &all, version).is_ok() {
                return;
            }
        }
    }

    fn stands_in(self, proofs: &[u8]) -> bool {
        proofs.chunks_exact(self.0.len()).any(|proof| proof == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};
    use sluice_core::decision::follow_up::Phase;

    #[test]
    fn what_is_written_down_is_known_and_nothing_else() {
        stand_in::install(StandIn::default());
        let (one, other) = (Proof::of(b"one"), Proof::of(b"other"));
        assert!(!one.is_known());
        one.write();
        one.write();
        assert!(one.is_known() && !other.is_known());
        other.write();
        assert!(one.is_known() && other.is_known());
        assert_eq!(stand_in::with(|host| host.shared.get(KEY)).unwrap().0.len(), 32);
    }

    #[test]
    fn another_edition_has_proven_nothing() {
        stand_in::install(StandIn::default());
        Proof::of(b"one").write();
        stand_in::with(|host| host.untold = vec![Phase::End]);
        assert!(!Proof::of(b"one").is_known());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        stand_in::install(StandIn::default());
        (0..=MOST).for_each(|number| Proof::of(&number.to_le_bytes()).write());
        let known = (0..=MOST).filter(|number| Proof::of(&number.to_le_bytes()).is_known());
        assert_eq!(known.collect::<Vec<_>>(), (1..=MOST).collect::<Vec<_>>());
    }

    #[test]
    fn without_shared_data_nothing_is_known() {
        stand_in::install(StandIn::default());
        for failing in ["shared_data", "set_shared_data"] {
            stand_in::with(|host| host.failing = [failing].into());
            Proof::of(b"one").write();
            assert!(!Proof::of(b"one").is_known(), "{failing}");
        }
    }
}
