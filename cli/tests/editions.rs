//! What the command says of the modules is what they are built with.

use sluice_cli::check::EDITIONS;
use sluice_core::decision::follow_up::Phase;
use sluice_trim::edition;

#[test]
fn the_command_knows_the_whole_modules_and_their_callbacks() {
    let whole: Vec<_> = edition::EDITIONS
        .iter()
        .filter(|built| built.sections == sluice_pipeline::SECTIONS && built.own_signatures)
        .map(|built| built.name)
        .collect();
    assert_eq!(whole.len(), EDITIONS.len(), "{whole:?}");
    for (name, phases) in EDITIONS {
        let built = edition::EDITIONS.iter().find(|built| built.name == name).unwrap();
        for phase in Phase::ALL {
            assert_eq!(built.callbacks.contains(&phase.export()), phases.has(phase), "{name}: {phase:?}");
        }
    }
}
