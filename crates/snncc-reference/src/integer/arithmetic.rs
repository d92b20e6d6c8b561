//! The number rules of docs/CHIP_SEMANTICS.md ("Notation").

use snncc_chip::Overflow;

/// `x · k / 2^fraction_bits`, rounded toward zero: `tdiv`.
pub(super) fn keep(x: i64, k: i64, fraction_bits: u8) -> i64 {
    let magnitude = (i128::from(x).abs() * i128::from(k)) >> fraction_bits.min(100);
    if x < 0 { -magnitude as i64 } else { magnitude as i64 }
}

/// `x · 2^exponent`, rounded down.
pub(super) fn shift(x: i64, exponent: i64) -> i64 {
    if exponent >= 0 { x.wrapping_shl(exponent.min(63) as u32) } else { x >> exponent.unsigned_abs().min(63) }
}

/// What a register holds after `x` was written to it.
pub(super) fn overflow(x: i64, rule: Overflow) -> i64 {
    match rule {
        Overflow::Unbounded => x,
        Overflow::Wrap(bits) => {
            let unused = 63_u32.saturating_sub(bits.into());
            x << unused >> unused
        }
        Overflow::WrapOnce(bits) => {
            let limit = 1_i64 << bits.min(61);
            if x > limit {
                x - 2 * limit
            } else if x <= -limit {
                x + 2 * limit
            } else {
                x
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_rounds_toward_zero() {
        // 1000 · 3000 / 4096 = 732.4
        assert_eq!((keep(1000, 3000, 12), keep(-1000, 3000, 12)), (732, -732));
        assert_eq!((keep(-1, 4095, 12), keep(-5, 4096, 12), keep(7, 0, 12)), (0, -5, 0));
        // Beyond 64 bits on the way.
        assert_eq!(keep(1 << 60, 2048, 12), 1 << 59);
    }

    #[test]
    fn shifts_round_down() {
        assert_eq!((shift(-5, -1), shift(5, -1), shift(-5, 3), shift(-1, -80)), (-3, 2, -40, -1));
    }

    #[test]
    fn registers_wrap_at_their_ends() {
        let wrap = |x| overflow(x, Overflow::Wrap(3));
        assert_eq!([7, 8, -8, -9, 24].map(wrap), [7, -8, -8, 7, -8]);
        let once = |x| overflow(x, Overflow::WrapOnce(3));
        assert_eq!([8, 9, -7, -8, 24].map(once), [8, -7, -7, 8, 8]);
        assert_eq!(overflow(1 << 40, Overflow::Unbounded), 1 << 40);
    }
}
