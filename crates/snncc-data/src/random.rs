//! The random streams: the only source of randomness in snncc.
//!
//! A stream is a PCG64 generator (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
//! Random Number Generation", 2014; variant XSL-RR 128/64) named by (seed, purpose, sample, port). The four are mixed into
//! 256 bits with SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), so that neighbouring samples and seeds give unrelated
//! streams. Draws are made in (step, neuron) order, one for each pair.
//!
//! **Invariant:** a stream depends on its four names alone: not on threads, on other samples, or on the data.

use rand_core::Rng;
use rand_pcg::Pcg64;

/// What a stream is for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Spikes of the Poisson coding.
    PoissonCoding,
    /// Noise added to neurons.
    NeuronNoise,
    /// Choice of samples, such as a calibration subset.
    SampleChoice,
    /// Random networks and data of tests and benchmarks.
    Generation,
}

impl Purpose {
    /// The number that enters the seed. Never reused or changed: it would change results.
    fn number(self) -> u64 {
        match self {
            Self::PoissonCoding => 1,
            Self::NeuronNoise => 2,
            Self::SampleChoice => 3,
            Self::Generation => 4,
        }
    }
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct RandomStream(Pcg64);

impl RandomStream {
    /// The stream of this seed, purpose, sample and port (or any other name).
    pub fn new(seed: u64, purpose: Purpose, sample: u64, port: &str) -> Self {
        let mut mixed = 0;
        for word in [seed, purpose.number(), sample, fnv1a(port)] {
            mixed = splitmix64(mixed ^ word);
        }
        let mut next_word = || {
            mixed = splitmix64(mixed);
            u128::from(mixed)
        };
        let state = next_word() << 64 | next_word();
        let stream = next_word() << 64 | next_word();
        Self(Pcg64::new(state, stream))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0 .. bound`, from one draw: the upper half of `draw · bound`, whose probabilities are exact to
    /// `bound / 2⁶⁴`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (-53_f64).exp2()
    }
}

/// Fowler–Noll–Vo hash, variant 1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of SplitMix64 from state 0, and FNV-1a of "a": the published test values.
    #[test]
    fn mixers_are_the_published_ones() {
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn each_name_gives_its_own_stream_and_the_same_name_the_same() {
        let first = |seed, purpose, sample, port| RandomStream::new(seed, purpose, sample, port).next_u64();
        let base = first(1, Purpose::PoissonCoding, 0, "input");
        assert_eq!(base, first(1, Purpose::PoissonCoding, 0, "input"));
        let others = [
            first(2, Purpose::PoissonCoding, 0, "input"),
            first(1, Purpose::NeuronNoise, 0, "input"),
            first(1, Purpose::PoissonCoding, 1, "input"),
            first(1, Purpose::PoissonCoding, 0, "input2"),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    /// From an independent computation of the same definition. A change here would change every seeded run.
    #[test]
    fn stream_is_pinned() {
        let mut stream = RandomStream::new(1, Purpose::PoissonCoding, 0, "input");
        let draws: Vec<u64> = (0..2).map(|_| stream.next_u64()).collect();
        assert_eq!(draws, [0xe759_af2f_f5dc_5c2d, 0x8f47_8489_913b_3cfa]);
    }

    #[test]
    fn draws_stay_in_range_and_spread() {
        let mut stream = RandomStream::new(7, Purpose::Generation, 0, "");
        let mut counts = [0; 5];
        let mut sum = 0.0;
        for _ in 0..5000 {
            counts[stream.below(5) as usize] += 1;
            let unit = stream.unit();
            assert!((0.0..1.0).contains(&unit));
            sum += unit;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert!((sum / 5000.0 - 0.5).abs() < 0.02);
    }
}
