//! The project's golden vectors of a SpiNNaker program are whole, and tell two kinds of arithmetic apart: otherwise equality in the
//! golden suite would say little.

use snncc_tests::spinnaker_golden::{VARIANTS, compare, own_vectors, run_emulator, run_reference};

#[test]
fn the_variants_differ() {
    let [trunc, round] = VARIANTS.map(|(variant, _)| own_vectors(variant));
    assert_eq!((trunc.len(), round.len()), (7, 7));
    let differing = trunc.iter().zip(&round).filter(|(trunc, round)| trunc.rows != round.rows).count();
    assert!(differing >= 5, "{differing} of 7");
    // The other arithmetic is noticed on both ways.
    let noticed = trunc.iter().filter(|vector| {
        let ways = [run_reference(vector, true).unwrap(), run_emulator(vector, true).unwrap()];
        assert_eq!(ways[0], ways[1]);
        compare(vector, &ways[0]).is_err()
    });
    assert_eq!(noticed.count(), differing);
}
