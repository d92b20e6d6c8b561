//! How a Loihi-like core computes: the rules in which public emulators of the chip differ, as data.
//!
//! docs/CHIP_SEMANTICS.md is the contract; the integer reference and the emulator implement it independently and share only
//! these values.

use serde::{Deserialize, Serialize};

/// Arithmetic rules of a Loihi-like core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArithmeticProfile {
    /// The kept part of a state is `(2^bits − offset − register) / 2^bits`, rounded toward zero.
    pub decay_fraction_bits: u8,
    /// Offset of the current's decay.
    pub decay_u_offset: u16,
    /// Offset of the voltage's decay.
    pub decay_v_offset: u16,
    /// A weight of mantissa `m` and exponent 0 adds `m << weight_shift` to the current.
    pub weight_shift: u8,
    /// Where a synapse's exponent is applied.
    pub exponent_rule: ExponentRule,
    /// The effective weight is clipped to `±(2^bits − 2^weight_shift)`, if given.
    pub effective_weight_clip_bits: Option<u8>,
    /// What happens to the dendritic input of a step when it leaves its register.
    pub input_overflow: Overflow,
    /// What happens to the current.
    pub current_overflow: Overflow,
    /// What happens to the sum of current and bias before it enters the voltage.
    pub biased_current_overflow: Overflow,
    /// A threshold of mantissa `m` is `m << threshold_shift`.
    pub threshold_shift: u8,
    /// The upper clip of the voltage is `2^(v_max_base_bits + v_max_bits_per_unit · register) − 1`.
    pub v_max_base_bits: u8,
    /// See `v_max_base_bits`.
    pub v_max_bits_per_unit: u8,
}

/// Where a synapse's exponent is applied. Where it is negative, bits are lost by rounding down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExponentRule {
    /// To each weight.
    PerWeight,
    /// To the sum of the weights of one synapse format that arrive at a compartment in one step from one delay slot.
    PerSum,
}

/// What a register does with a value it cannot hold. `bits` is the width without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overflow {
    /// It holds any value (64-bit).
    Unbounded,
    /// Two's complement: range `[−2^bits, 2^bits)`.
    Wrap(u8),
    /// One conditional wrap: above `2^bits` subtract `2^(bits+1)`; at or below `−2^bits` add it. Range `(−2^bits, 2^bits]`
    /// for values within one turn.
    WrapOnce(u8),
}
