//! What the suites share: networks, vectors, and the road from a network to an image.

pub mod golden;
pub mod recurrent;
pub mod road;
