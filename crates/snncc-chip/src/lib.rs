//! Chips as data: hardware models (what silicon has), targets (what we compile for), arithmetic profiles.
//!
//! A hardware model is a RON file in `hardware-models/`, a target one in `targets/`; both are read strictly, validated once
//! ([`validate`]) and then trusted. **Invariant:** no number of a chip stands in Rust.

mod built_in;
mod host;
mod model;
mod profile;
mod spinnaker;
mod target;
mod validate;

pub use built_in::{HARDWARE_MODELS, TARGETS, hardware_model, target};
pub use host::{HOST_COSTS, HostCost, HostCosts};
pub use model::{
    Barrier, Basis, CoreKind, Cost, CostTable, HardwareModel, Limit, LoihiCore, LoihiFormats, LoihiLimits, Mesh,
    NetworkTiming, Routing, Sourced, StaticPower, UpdateRule, WeightCode,
};
pub use profile::{ArithmeticProfile, ExponentRule, Overflow};
pub use spinnaker::{
    Cycles, Product, SpinnakerArithmetic, SpinnakerCore, SpinnakerCosts, SpinnakerFormats, SpinnakerLimits,
    SpinnakerTimeline,
};
pub use target::{ChipGrid, Defaults, Hop, MachineShape, Target, TargetFile};
pub use validate::validate;
