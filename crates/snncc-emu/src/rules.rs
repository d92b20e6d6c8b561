//! The arithmetic of one compartment (docs/CHIP_SEMANTICS.md, "Update"), in 64 bits and for every profile.
//!
//! The wide path calls it for each compartment; the narrow path, which computes 64 compartments at a time in 32 bits, calls
//! it to name the registers that overflowed, so that both report alike.

use snncc_chip::Overflow;

/// Where a value left its register, as bits of [`Integrated::left`].
pub(crate) const INPUT: u8 = 1;
pub(crate) const CURRENT: u8 = 2;
pub(crate) const BIASED_CURRENT: u8 = 4;
pub(crate) const V_HIGH: u8 = 8;
pub(crate) const V_LOW: u8 = 16;

/// Rules of a core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// `F`.
    pub(crate) fraction_bits: u32,
    /// `S`.
    pub(crate) weight_shift: u32,
    pub(crate) input: Overflow,
    pub(crate) current: Overflow,
    pub(crate) biased_current: Overflow,
    /// Clips; the ends of `i64` where there is no register.
    pub(crate) v_min: i64,
    pub(crate) v_max: i64,
}

/// Current and voltage after integration, before the refractory period and the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Integrated {
    pub(crate) u: i64,
    pub(crate) v: i64,
    pub(crate) left: u8,
}

/// `shift(x, e)`: `x << e`, or `x >> −e` rounded down; 0 or −1 where everything is shifted out.
pub(crate) fn shift(x: i64, exponent: i32) -> i64 {
    if exponent >= 0 { x << exponent.min(63) } else { x >> exponent.unsigned_abs().min(63) }
}

/// `tdiv(x, k)`: `x · k / 2^F`, rounded toward zero. For `0 ≤ k ≤ 2^F` the product is taken in two parts that cannot
/// overflow: `|x| · k >> F = (|x| >> F) · k + ((|x| mod 2^F) · k >> F)`.
#[inline]
fn tdiv(x: i64, k: i64, fraction_bits: u32) -> i64 {
    let magnitude = x.unsigned_abs();
    let kept = if k >= 0 {
        let low = magnitude & ((1 << fraction_bits) - 1);
        ((magnitude >> fraction_bits) * k as u64 + ((low * k as u64) >> fraction_bits)) as i64
    } else {
        ((i128::from(magnitude) * i128::from(k)) >> fraction_bits) as i64
    };
    if x < 0 { kept.wrapping_neg() } else { kept }
}

/// `overflow(x, rule)`, and whether `x` did not fit. Sums that leave 64 bits arrive here saturated and count as not fitting.
#[inline]
fn hold(x: i64, rule: Overflow) -> (i64, bool) {
    match rule {
        Overflow::Unbounded => (x, x == i64::MAX || x == i64::MIN),
        Overflow::Wrap(bits) => {
            let unused = 63 - u32::from(bits);
            let held = x << unused >> unused;
            (held, held != x)
        }
        Overflow::WrapOnce(bits) => {
            let edge = 1_i64 << bits;
            if x > edge {
                (x - 2 * edge, true)
            } else if x <= -edge {
                (x.saturating_add(2 * edge), true)
            } else {
                (x, false)
            }
        }
    }
}

impl Rules {
    /// From the dendritic input (noise included) to the clipped voltage.
    #[inline]
    pub(crate) fn integrate(
        &self,
        (u, v): (i64, i64),
        (ku, kv): (i64, i64),
        input: i64,
        bias: i64,
        membrane_noise: i64,
    ) -> Integrated {
        let (input, input_left) = hold(input, self.input);
        let (u, u_left) = hold(tdiv(u, ku, self.fraction_bits).saturating_add(input), self.current);
        let biased = u.saturating_add(bias).saturating_add(membrane_noise);
        let (biased, biased_left) = hold(biased, self.biased_current);
        let v = tdiv(v, kv, self.fraction_bits).saturating_add(biased);
        let bit = |left: bool, bit: u8| if left { bit } else { 0 };
        let left = bit(input_left, INPUT)
            | bit(u_left, CURRENT)
            | bit(biased_left, BIASED_CURRENT)
            | bit(v > self.v_max, V_HIGH)
            | bit(v < self.v_min, V_LOW);
        // The text's clip; `clamp` would assert an order that v_max < v_min (a register of 0 and 0) breaks.
        Integrated { u, v: v.max(self.v_min).min(self.v_max), left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tdiv_rounds_toward_zero_and_never_overflows() {
        for (x, k, expected) in [(7, 2048, 3), (-7, 2048, -3), (4095, 1, 0), (-4096, 1, -1), (i64::MAX, 4096, i64::MAX)]
        {
            assert_eq!(tdiv(x, k, 12), expected, "tdiv({x}, {k})");
        }
        assert_eq!(tdiv(1 << 60, 4095, 12), (((1_i128 << 60) * 4095) >> 12) as i64);
        // A register at its maximum with offset 1 can make k = −1; the text's formula still holds.
        assert_eq!((tdiv(5000, -1, 12), tdiv(-5000, -1, 12)), (-2, 2));
    }

    #[test]
    fn registers_wrap_at_their_edges() {
        let edge = 1_i64 << 21;
        assert_eq!(hold(edge - 1, Overflow::Wrap(21)), (edge - 1, false));
        assert_eq!(hold(edge, Overflow::Wrap(21)), (-edge, true));
        assert_eq!(hold(-edge, Overflow::Wrap(21)), (-edge, false));
        assert_eq!(hold(-edge - 1, Overflow::Wrap(21)), (edge - 1, true));
        assert_eq!(hold(7 * edge + 3, Overflow::Wrap(21)), (-edge + 3, true));
        assert_eq!(hold(edge, Overflow::WrapOnce(21)), (edge, false));
        assert_eq!(hold(edge + 1, Overflow::WrapOnce(21)), (1 - edge, true));
        assert_eq!(hold(-edge, Overflow::WrapOnce(21)), (edge, true));
        assert_eq!(hold(7 * edge, Overflow::WrapOnce(21)), (5 * edge, true));
        assert_eq!(hold(1 << 62, Overflow::Unbounded), (1 << 62, false));
    }

    #[test]
    fn shifts_round_down() {
        assert_eq!((shift(-3, -1), shift(3, -1), shift(-3, 2), shift(-1, -70)), (-2, 1, -12, -1));
    }
}
