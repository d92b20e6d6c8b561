//! What stands in the memories of the machine.

use super::machine::{machine, working_core};
use super::split::{Block, Slice, Split, bits_for, global_core};
use snncc_chip::{SpinnakerCore, Target};
use snncc_image::spinnaker::SpinnakerImage;
use snncc_ir::spinnaker::SpinnakerIr;
use snncc_multicast::Mapping;

/// Lays a mapped network out.
pub(super) fn emit(_ir: &SpinnakerIr, _split: &Split, _mapping: &Mapping, _target: &Target) -> SpinnakerImage {
    todo!()
}
