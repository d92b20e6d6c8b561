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
pub mod suite;
