//! The random numbers of the suites: a case is one seed, the same on every machine.

use snncc_ir::Param;

/// splitmix64: enough for test cases.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `bound − 1`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// From `low` to `high`, both included.
    pub fn from(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// From `low` to `high`, both included.
    pub fn integer(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// True in so many of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A multiple of `range / 64` between −range and range.
    pub fn dyadic(&mut self, range: f64) -> f64 {
        ((self.next() % 129) as f64 - 64.0) / 64.0 * range
    }

    /// Values of [`Random::dyadic`].
    pub fn values(&mut self, len: usize, range: f64) -> Vec<f64> {
        (0..len).map(|_| self.dyadic(range)).collect()
    }

    /// One of the items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// One value for all, or one per neuron.
    pub fn param<T>(&mut self, len: usize, mut value: impl FnMut(&mut Self) -> T) -> Param<T> {
        match self.chance(60) {
            true => Param::Uniform(value(self)),
            false => Param::PerNeuron((0..len).map(|_| value(self)).collect()),
        }
    }

    /// Some of `0 .. count`, each with so many percent, ascending.
    pub fn some(&mut self, count: u32, percent: usize) -> Vec<u32> {
        (0..count).filter(|_| self.chance(percent)).collect()
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
