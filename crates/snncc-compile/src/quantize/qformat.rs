//! Fields of a chip: ranges of integers, and fixed-point formats over them.
//!
//! A [`Field`] is what a register holds; a [`QFormat`] reads such a register as a number with a binary point whose place is
//! known only at run time (widths come from the target). **Invariant:** rounding is to nearest, ties to even, and where the
//! `fixed` crate has the same format in its types both give the same bits (held by a property test).

use crate::OverflowPolicy;

/// The integers from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Smallest value.
    pub low: i64,
    /// Largest value.
    pub high: i64,
}

impl Field {
    /// The integers from `low` to `high`.
    pub fn new(low: i64, high: i64) -> Self {
        assert!(low <= high, "bug in snncc: an empty field, {low} to {high}");
        Self { low, high }
    }

    /// Whether the field holds `value`.
    pub fn contains(self, value: i64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The value of the field nearest to `value`.
    pub fn saturate(self, value: i64) -> i64 {
        value.clamp(self.low, self.high)
    }

    /// The value of the field that is equal to `value` modulo the number of its values (two's complement for a signed
    /// field of whole bits).
    pub fn wrap(self, value: i64) -> i64 {
        let count = i128::from(self.high) - i128::from(self.low) + 1;
        ((i128::from(value) - i128::from(self.low)).rem_euclid(count) + i128::from(self.low)) as i64
    }

    /// `value` rounded to nearest, ties to even, and whether it had to be changed to fit: saturated, or wrapped under
    /// [`OverflowPolicy::Wrap`]. NaN becomes the value nearest to 0 and counts as changed.
    pub fn fit(self, value: f64, policy: OverflowPolicy) -> (i64, bool) {
        if value.is_nan() {
            return (self.saturate(0), true);
        }
        // `as` saturates at the ends of i64, so wrapping is meaningful for |value| < 2^63 only, which is beyond any field.
        let rounded = value.round_ties_even() as i64;
        if self.contains(rounded) {
            return (rounded, false);
        }
        match policy {
            OverflowPolicy::Wrap => (self.wrap(rounded), true),
            OverflowPolicy::Error | OverflowPolicy::Saturate => (self.saturate(rounded), true),
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.low, self.high)
    }
}

/// A fixed-point format chosen at run time: an integer of `bits` bits, divided by `2^fraction_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QFormat {
    /// Bits of the integer, with sign; 1 to 63.
    pub bits: u8,
    /// Bits behind the binary point; negative for a grid coarser than 1.
    pub fraction_bits: i8,
    /// Whether the integer is two's complement.
    pub signed: bool,
}

impl QFormat {
    /// The raw integers of the format.
    ///
    /// # Panics
    /// If `bits` is not 1 to 63: a bug, since widths are validated with the hardware model.
    pub fn field(self) -> Field {
        assert!((1..=63).contains(&self.bits), "bug in snncc: a format of {} bits", self.bits);
        if self.signed {
            let half = 1_i64 << (self.bits - 1);
            Field::new(-half, half - 1)
        } else {
            Field::new(0, ((1_u64 << self.bits) - 1) as i64)
        }
    }

    /// Value of one unit in the last place: `2^−fraction_bits`.
    pub fn unit(self) -> f64 {
        (-f64::from(self.fraction_bits)).exp2()
    }

    /// Raw integer nearest to `value`, and whether it had to be saturated or wrapped.
    pub fn to_raw(self, value: f64, policy: OverflowPolicy) -> (i64, bool) {
        // Dividing by a power of two is exact, so there is one rounding only.
        self.field().fit(value / self.unit(), policy)
    }

    /// The number a raw integer stands for.
    pub fn to_value(self, raw: i64) -> f64 {
        raw as f64 * self.unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixed::types::{I4F12, I17F15, U9F7};
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_even_and_ends_saturate_or_wrap() {
        let format = QFormat { bits: 8, fraction_bits: 2, signed: true };
        assert_eq!(format.to_raw(0.625, OverflowPolicy::Error), (2, false));
        assert_eq!(format.to_raw(0.875, OverflowPolicy::Error), (4, false));
        assert_eq!(format.to_raw(40.0, OverflowPolicy::Saturate), (127, true));
        assert_eq!(format.to_raw(40.0, OverflowPolicy::Wrap), (160 - 256, true));
        assert_eq!(format.to_value(-5), -1.25);
        assert_eq!(Field::new(0, 4095).wrap(-1), 4095);
    }

    proptest! {
        #[test]
        fn equals_the_fixed_crate_where_both_apply(value in -2e5..2e5_f64, small in -20.0..20.0_f64, up in 0.0..600.0_f64) {
            let s16_15 = QFormat { bits: 32, fraction_bits: 15, signed: true };
            prop_assert_eq!(s16_15.to_raw(value, OverflowPolicy::Saturate).0, i64::from(I17F15::saturating_from_num(value).to_bits()));
            prop_assert_eq!(s16_15.to_raw(value, OverflowPolicy::Wrap).0, i64::from(I17F15::wrapping_from_num(value).to_bits()));
            let (raw, changed) = s16_15.to_raw(value, OverflowPolicy::Error);
            prop_assert_eq!(changed, I17F15::checked_from_num(value).is_none());
            if !changed {
                prop_assert_eq!(s16_15.to_value(raw), I17F15::from_bits(raw as i32).to_num::<f64>());
            }
            let s3_12 = QFormat { bits: 16, fraction_bits: 12, signed: true };
            prop_assert_eq!(s3_12.to_raw(small, OverflowPolicy::Saturate).0, i64::from(I4F12::saturating_from_num(small).to_bits()));
            prop_assert_eq!(s3_12.to_raw(small, OverflowPolicy::Wrap).0, i64::from(I4F12::wrapping_from_num(small).to_bits()));
            let u9_7 = QFormat { bits: 16, fraction_bits: 7, signed: false };
            prop_assert_eq!(u9_7.to_raw(up, OverflowPolicy::Saturate).0, i64::from(U9F7::saturating_from_num(up).to_bits()));
            prop_assert_eq!(u9_7.to_raw(up, OverflowPolicy::Wrap).0, i64::from(U9F7::wrapping_from_num(up).to_bits()));
        }

        #[test]
        fn wrapping_stays_in_the_field_and_keeps_the_remainder(low in -5000_i64..1, span in 1_i64..9000, value in any::<i32>()) {
            let field = Field::new(low, low + span);
            let wrapped = field.wrap(i64::from(value));
            prop_assert!(field.contains(wrapped));
            prop_assert_eq!((wrapped - i64::from(value)).rem_euclid(span + 1), 0);
        }
    }
}
