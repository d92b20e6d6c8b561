//! What the suites share: networks, chips, vectors, and the road from a network to an image.

pub mod case;
pub mod golden;
pub mod observed;
pub mod random;
pub mod random_chip;
pub mod random_network;
pub mod recount;
pub mod recurrent;
pub mod road;
pub mod spinnaker_golden;
pub mod suite;

/// Says that a test is skipped, and why. Written to the stream itself: the harness hides what the print macros say in a test
/// that passes.
pub fn say_skipped(why: &str) {
    use std::io::Write;
    // A closed standard error is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
