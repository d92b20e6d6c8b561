//! Neuron parameters as users of sPyNNaker give them, turned into the constants of its program `IF_curr_exp`, bit for bit.
//!
//! The host writes parameters in decimal, rounded half to even to s16.15. The chip divides and exponentiates them once, at the
//! start, with integer methods that are not correctly rounded; decay and averaging of sPyNNaker 1!7.4.1 are only had by going
//! the same way. The method is written from its description (tests/golden/spinnaker/README.md), the tables are values of the
//! exponential function.
//!
//! **Invariant:** a constant that comes out is what the chip computes; where the chip would leave its 32 bits, nothing does.

use snncc_ir::spinnaker::SYNAPSE_TYPES;

/// Fraction bits of s16.15: the tables below are for these alone.
const FRACTION_BITS: u32 = 15;

/// Parameters of a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeuronParameters {
    /// Membrane before the start.
    pub v_initial_mv: f64,
    /// Where the membrane decays to.
    pub v_rest_mv: f64,
    /// Membrane after a spike.
    pub v_reset_mv: f64,
    /// A membrane of at least this spikes.
    pub v_threshold_mv: f64,
    /// Capacitance of the membrane.
    pub capacitance_nf: f64,
    /// Time constant of the membrane.
    pub tau_membrane_ms: f64,
    /// Refractory period.
    pub tau_refractory_ms: f64,
    /// Time constants of the currents, excitatory and inhibitory.
    pub tau_synapse_ms: [f64; SYNAPSE_TYPES],
    /// Constant current.
    pub i_offset_na: f64,
    /// Step.
    pub dt_ms: f64,
}

/// Constants of a neuron: fields of [`snncc_ir::spinnaker::SpinnakerNeurons`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeuronConstants {
    /// Membrane before the start.
    pub v_initial: i32,
    /// Where the membrane decays to.
    pub v_rest: i32,
    /// Membrane after a spike.
    pub v_reset: i32,
    /// A membrane of at least this spikes.
    pub v_threshold: i32,
    /// Factor from current to membrane, in megohm.
    pub resistance: i32,
    /// Part of the membrane's distance from its goal that is kept.
    pub membrane_keep: i32,
    /// Steps after a spike in which the membrane is not updated.
    pub refractory_steps: i32,
    /// Constant current.
    pub i_offset: i32,
    /// Parts of the currents that are kept, and parts of the input that enter them.
    pub synapse_types: [SynapseConstants; SYNAPSE_TYPES],
}

/// Constants of a synapse type, both of 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynapseConstants {
    /// Part of the current that is kept.
    pub decay: u32,
    /// Part of the input that enters it: the mean of what decays over a step.
    pub init: u32,
}

/// A parameter, or what the chip makes of it, is not held in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotHeld {
    /// Field of [`NeuronParameters`].
    pub parameter: &'static str,
    /// Its value.
    pub value: f64,
}

impl NeuronConstants {
    /// What the chip computes with.
    ///
    /// # Errors
    /// The first parameter that does not fit s16.15, is no positive number there where it must be one (capacitance, time
    /// constants, step), is a negative refractory period, or gives a quotient beyond s16.15.
    pub fn new(p: &NeuronParameters) -> Result<Self, NotHeld> {
        let held = |parameter, value| s1615(value).ok_or(NotHeld { parameter, value });
        let positive = |parameter, value| match held(parameter, value)? {
            fixed if fixed > 0 => Ok(fixed),
            _ => Err(NotHeld { parameter, value }),
        };
        let divided = |parameter, value, a, b| quotient(a, b).ok_or(NotHeld { parameter, value });
        let dt = positive("dt_ms", p.dt_ms)?;
        let tau = positive("tau_membrane_ms", p.tau_membrane_ms)?;
        let capacitance = positive("capacitance_nf", p.capacitance_nf)?;
        let refractory = match held("tau_refractory_ms", p.tau_refractory_ms)? {
            period if period < 0 => {
                return Err(NotHeld { parameter: "tau_refractory_ms", value: p.tau_refractory_ms });
            }
            period => divided("tau_refractory_ms", p.tau_refractory_ms, period, dt)?,
        };
        let whole_steps = refractory >> FRACTION_BITS;
        let mut synapse_types = [SynapseConstants { decay: 0, init: 0 }; SYNAPSE_TYPES];
        for (constants, value) in synapse_types.iter_mut().zip(p.tau_synapse_ms) {
            let tau = positive("tau_synapse_ms", value)?;
            let decay = exponential_fraction(-divided("tau_synapse_ms", value, dt, tau)?);
            let steps = divided("tau_synapse_ms", value, tau, dt)?;
            let init = ((steps as u64 * u64::from(u32::MAX - decay)) >> FRACTION_BITS) as u32;
            *constants = SynapseConstants { decay, init };
        }
        Ok(Self {
            v_initial: held("v_initial_mv", p.v_initial_mv)?,
            v_rest: held("v_rest_mv", p.v_rest_mv)?,
            v_reset: held("v_reset_mv", p.v_reset_mv)?,
            v_threshold: held("v_threshold_mv", p.v_threshold_mv)?,
            resistance: divided("capacitance_nf", p.capacitance_nf, tau, capacitance)?,
            membrane_keep: exponential(-divided("tau_membrane_ms", p.tau_membrane_ms, dt, tau)?),
            refractory_steps: whole_steps + i32::from(refractory > whole_steps << FRACTION_BITS),
            i_offset: held("i_offset_na", p.i_offset_na)?,
            synapse_types,
        })
    }
}

/// A number in s16.15 as the host writes it: its shortest decimal form (which is Python's too), times 2^15, rounded half to
/// even. `None` if it is not held.
pub fn s1615(value: f64) -> Option<i32> {
    if !value.is_finite() {
        return None;
    }
    // `digits · 10^exponent`, with at most 17 digits.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e')?;
    let fraction_digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits: u128 = mantissa.replace('.', "").parse().ok()?;
    let exponent = exponent.parse::<i32>().ok()? - fraction_digits as i32;
    let scaled = digits << FRACTION_BITS;
    let rounded = if exponent >= 0 {
        scaled.checked_mul(10_u128.checked_pow(exponent as u32)?)?
    } else {
        // A power of ten beyond 128 bits is larger than anything here, and makes 0.
        10_u128.checked_pow(exponent.unsigned_abs()).map_or(0, |divisor| {
            let (whole, rest) = (scaled / divisor, scaled % divisor);
            let up = rest > divisor - rest || (rest == divisor - rest && whole % 2 == 1);
            whole + u128::from(up)
        })
    };
    let magnitude = i64::try_from(rounded).ok()?;
    i32::try_from(if value < 0.0 { -magnitude } else { magnitude }).ok()
}

/// `a / b` in s16.15, rounded down, of a number that is not negative and a positive one; `None` if it is not held.
fn quotient(a: i32, b: i32) -> Option<i32> {
    i32::try_from((i64::from(a) << FRACTION_BITS) / i64::from(b)).ok()
}

/// `e^n · 2^32` for `n` from −13 to 12.
const WHOLE: [u64; 26] = [
    9_708,
    26_389,
    71_733,
    194_991,
    530_041,
    1_440_801,
    3_916_503,
    10_646_160,
    28_939_262,
    78_665_070,
    213_833_830,
    581_260_615,
    1_580_030_169,
    1 << 32,
    11_674_931_555,
    31_735_754_293,
    86_266_724_208,
    234_497_268_814,
    637_429_664_642,
    1_732_713_474_316,
    4_710_003_551_159,
    12_803_117_065_094,
    34_802_480_465_680,
    94_602_950_235_157,
    257_157_480_542_844,
    699_026_506_411_923,
];

/// Where `e^0` stands in [`WHOLE`].
const ZERO: i32 = 13;

/// `(1 − e^(−k/16)) · 2^32`.
const SIXTEENTHS: [u32; 16] = [
    0,
    260_218_914,
    504_671_961,
    734_314_346,
    950_043_403,
    1_152_702_096,
    1_343_082_321,
    1_521_927_990,
    1_689_937_949,
    1_847_768_698,
    1_996_036_966,
    2_135_322_113,
    2_266_168_400,
    2_389_087_112,
    2_504_558_555,
    2_613_033_936,
];

/// `1 − e^(−x) ≈ (c_0 + x (c_1 − x c_2))` for `x` below 1/16, in fractions of 2^32.
const REMAINDER: [u32; 3] = [5_294, 4_293_434_720, 2_081_624_032];

/// The high half of a product of fractions.
fn fraction_product(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `x · y / 2^32`, the low half rounded: up from just below one half, as the chip does it.
fn scaled(x: u64, y: u32) -> u64 {
    let low = (x & u64::from(u32::MAX)) * u64::from(y);
    let up = (low & u64::from(u32::MAX)) >= (1 << 31) - 1;
    ((low >> 32) + u64::from(up)).wrapping_add((x >> 32).wrapping_mul(u64::from(y)))
}

/// `e^n · 2^32` of a number in s16.15 that is not positive and not below −13.
fn exponential_wide(n: i32) -> u64 {
    let whole = n >> FRACTION_BITS;
    let above = n - (whole << FRACTION_BITS);
    if above == 0 {
        return WHOLE[(ZERO + whole) as usize];
    }
    // From the next whole number down: by sixteenths, then by the rest of less than a sixteenth.
    let below = (1 << FRACTION_BITS) - above;
    let mut value = WHOLE[(ZERO + whole + 1) as usize];
    value -= scaled(value, SIXTEENTHS[(below >> 11) as usize]);
    let rest = ((below & ((1 << 11) - 1)) << 17) as u32;
    let slope = REMAINDER[1].wrapping_sub(fraction_product(REMAINDER[2], rest));
    value - scaled(value, REMAINDER[0].wrapping_add(fraction_product(slope, rest)))
}

/// Below this the chip gives 0: ln 2^-15, in s16.15.
const VANISHES: i32 = -340_695;

/// `e^n` in s16.15 of one that is not positive.
fn exponential(n: i32) -> i32 {
    if n < VANISHES { 0 } else { (exponential_wide(n) >> (32 - FRACTION_BITS)) as i32 }
}

/// `e^n` as a fraction of 2^32, of a number in s16.15 that is not positive. Of 0 it is 0, as on the chip: the 1 is cut off.
fn exponential_fraction(n: i32) -> u32 {
    if n < VANISHES { 0 } else { exponential_wide(n) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn float(value: &Value) -> f64 {
        value.as_f64().unwrap()
    }

    /// Parameters, what they are in s16.15, and constants, as the program computed them on an emulated processor.
    #[test]
    fn constants_are_those_of_the_vectors() {
        let mut seen = 0;
        for variant in ["trunc", "round"] {
            let path = format!("{}/../../tests/golden/spinnaker/{variant}/index.json", env!("CARGO_MANIFEST_DIR"));
            let index: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            for entry in index {
                let (name, p) = (&entry["name"], &entry["params"]);
                let fixed: Vec<(&String, i64)> = (entry["params_s1615"].as_object().unwrap().iter())
                    .map(|(key, value)| (key, value.as_i64().unwrap()))
                    .collect();
                for (key, value) in &fixed {
                    assert_eq!(s1615(float(&p[key.as_str()])).map(i64::from), Some(*value), "{name} {key}");
                }
                let constants = NeuronConstants::new(&NeuronParameters {
                    v_initial_mv: float(&p["V"]),
                    v_rest_mv: float(&p["Vrest"]),
                    v_reset_mv: float(&p["Vreset"]),
                    v_threshold_mv: float(&p["Vth"]),
                    capacitance_nf: float(&p["cm"]),
                    tau_membrane_ms: float(&p["tau_m"]),
                    tau_refractory_ms: float(&p["Trefr"]),
                    tau_synapse_ms: [float(&p["tsE"]), float(&p["tsI"])],
                    i_offset_na: float(&p["Ioff"]),
                    dt_ms: float(&p["dt"]),
                })
                .unwrap();
                let wanted = |key: &str| entry["constants"][key].as_i64().unwrap();
                let raw = |key: &str| entry["params_s1615"][key].as_i64().unwrap();
                let [excitatory, inhibitory] = constants.synapse_types;
                for (ours, theirs) in [
                    (constants.resistance.into(), wanted("R")),
                    (constants.membrane_keep.into(), wanted("expTC")),
                    (constants.refractory_steps.into(), wanted("Trefract")),
                    (excitatory.decay.into(), wanted("decE")),
                    (excitatory.init.into(), wanted("initE")),
                    (inhibitory.decay.into(), wanted("decI")),
                    (inhibitory.init.into(), wanted("initI")),
                    (constants.v_initial.into(), raw("V")),
                    (constants.v_rest.into(), raw("Vrest")),
                    (constants.v_reset.into(), raw("Vreset")),
                    (constants.v_threshold.into(), raw("Vth")),
                    (constants.i_offset.into(), raw("Ioff")),
                ] {
                    let ours: i64 = ours;
                    assert_eq!(ours, theirs, "{variant} {name}");
                }
                seen += 1;
            }
        }
        assert_eq!(seen, 14);
    }

    #[test]
    fn parameters_are_rounded_half_to_even_in_decimal() {
        let half = 0.5 / f64::from(1 << FRACTION_BITS);
        assert_eq!(s1615(half), Some(0));
        assert_eq!(s1615(3.0 * half), Some(2));
        assert_eq!(s1615(-3.0 * half), Some(-2));
        assert_eq!(s1615(5.0 * half), Some(2));
        assert_eq!(s1615(0.1), Some(3277)); // 3276.8
        assert_eq!(s1615(-65.0), Some(-65 << 15));
        // The float next to a half and its decimal form lie on the same side of it.
        assert_eq!(s1615(half.next_up()), Some(1));
        assert_eq!(s1615(5e-324), Some(0));
        assert_eq!(s1615(-65_536.0), Some(i32::MIN));
        for beyond in [65_536.0, -65_536.1, 1e300, f64::NAN, f64::INFINITY] {
            assert_eq!(s1615(beyond), None, "{beyond}");
        }
    }

    #[test]
    fn tables_hold_the_exponential_function() {
        for (value, n) in WHOLE.iter().zip(-ZERO..) {
            let exact = f64::from(n).exp() * f64::from(1_u32 << 31) * 2.0;
            assert!((*value as f64 - exact).abs() <= 1.0, "e^{n}: {value} and {exact}");
        }
        for (value, k) in SIXTEENTHS.iter().zip(0_i32..) {
            let exact = -(f64::from(-k) / 16.0).exp_m1() * f64::from(1_u32 << 31) * 2.0;
            assert!((f64::from(*value) - exact).abs() <= 1.0, "{k}/16: {value} and {exact}");
        }
    }

    #[test]
    fn exponentials_are_near_and_never_leave_their_range() {
        for n in (VANISHES - 100..=0).step_by(7).chain([0, -1, VANISHES, i32::MIN]) {
            let exact = (f64::from(n) / f64::from(1 << FRACTION_BITS)).exp();
            let (keep, wide) = (exponential(n), f64::from(exponential_fraction(n)));
            assert!((f64::from(keep) - exact * 32_768.0).abs() < 1.1, "{n}: {keep}");
            if n < 0 {
                // Within 2^-15 where the chip gives 0, else within the error of the quadratic rest.
                let error = (wide - exact * 4_294_967_296.0).abs();
                assert!(error <= if n < VANISHES { 131_200.0 } else { 8_000.0 }, "{n}: {wide}, off by {error}");
            }
        }
        assert_eq!(exponential_fraction(0), 0);
    }

    #[test]
    fn what_the_chip_cannot_hold_is_named() {
        let sound = NeuronParameters {
            v_initial_mv: -65.0,
            v_rest_mv: -65.0,
            v_reset_mv: -65.0,
            v_threshold_mv: -50.0,
            capacitance_nf: 1.0,
            tau_membrane_ms: 20.0,
            tau_refractory_ms: 2.0,
            tau_synapse_ms: [5.0, 5.0],
            i_offset_na: 0.0,
            dt_ms: 1.0,
        };
        let fault = |changed: NeuronParameters| NeuronConstants::new(&changed).unwrap_err().parameter;
        assert!(NeuronConstants::new(&sound).is_ok());
        assert_eq!(fault(NeuronParameters { v_rest_mv: 1e6, ..sound }), "v_rest_mv");
        assert_eq!(fault(NeuronParameters { dt_ms: 1e-9, ..sound }), "dt_ms");
        assert_eq!(fault(NeuronParameters { capacitance_nf: 1e-4, ..sound }), "capacitance_nf"); // 20 / 3·2^-15
        assert_eq!(fault(NeuronParameters { tau_synapse_ms: [5.0, 0.0], ..sound }), "tau_synapse_ms");
        assert_eq!(fault(NeuronParameters { tau_refractory_ms: -1.0, ..sound }), "tau_refractory_ms");
        // 2 ms are 19.999 steps of what 0.1 ms is in s16.15, and 0.1 ms is a started step of 1 ms.
        for (tau_refractory_ms, dt_ms, steps) in [(2.0, 1.0, 2), (0.1, 1.0, 1), (0.0, 1.0, 0), (2.0, 0.1, 20)] {
            let constants = NeuronConstants::new(&NeuronParameters { tau_refractory_ms, dt_ms, ..sound }).unwrap();
            assert_eq!(constants.refractory_steps, steps, "{tau_refractory_ms} of {dt_ms}");
        }
    }
}
