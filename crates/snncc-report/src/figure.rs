//! One number of a report: its value, its unit, what it rests on, where it comes from.
//!
//! **Invariant:** JSON numbers are exact: integers beyond 2⁵³ are written as strings, and read back from both.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Integers up to this magnitude are exact in every JSON reader.
const EXACT_IN_JSON: u128 = 1 << 53;

/// A number: exact integer or float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An exact integer.
    Integer(i128),
    /// A float; may be infinite, not NaN.
    Real(f64),
}

impl Value {
    /// As a float, rounded if need be.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Real(value) => value,
        }
    }

    /// The integer, if it is one.
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Self::Integer(value) => Some(value),
            Self::Real(_) => None,
        }
    }
}

macro_rules! from_integers {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Integer(value as i128)
            }
        }
    )*};
}

from_integers!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

impl From<u128> for Value {
    fn from(value: u128) -> Self {
        i128::try_from(value).map_or(Self::Real(value as f64), Self::Integer)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Integer(value) if value.unsigned_abs() <= EXACT_IN_JSON => serializer.serialize_i64(value as i64),
            Self::Integer(value) => serializer.collect_str(&value),
            Self::Real(value) if value.is_finite() => serializer.serialize_f64(value),
            Self::Real(value) => serializer.serialize_str(if value > 0.0 { "inf" } else { "-inf" }),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or an integer as a string")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                match text {
                    "inf" => Ok(Value::Real(f64::INFINITY)),
                    "-inf" => Ok(Value::Real(f64::NEG_INFINITY)),
                    _ => text.parse().map(Value::Integer).map_err(|_| E::custom(format!("`{text}` is no integer"))),
                }
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// What a number rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Follows from the network, the image or the definition.
    Exact,
    /// Counted by the emulator in the run reported.
    Counted,
    /// Published by the chip's makers or users.
    Literature,
    /// Calculated with a model from counted events.
    Modelled,
    /// Chosen where nothing is published.
    Assumed,
    /// Not known.
    Unavailable,
}

impl Basis {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Counted => "counted",
            Self::Literature => "literature",
            Self::Modelled => "modelled",
            Self::Assumed => "assumed",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A number of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The number.
    pub value: Value,
    /// Its unit: `neurons`, `fJ`, `ps`, `dB`, …
    pub unit: String,
    /// What it rests on.
    pub basis: Basis,
    /// Where it comes from: `image`, `emulator`, a cost table, …
    pub source: String,
}

impl Figure {
    /// A figure.
    pub fn new(value: impl Into<Value>, unit: &str, basis: Basis, source: &str) -> Self {
        Self { value: value.into(), unit: unit.to_owned(), basis, source: source.to_owned() }
    }

    /// A figure that follows exactly from `source`.
    pub fn exact(value: impl Into<Value>, unit: &str, source: &str) -> Self {
        Self::new(value, unit, Basis::Exact, source)
    }

    /// A figure that the emulator counted.
    pub fn counted(value: impl Into<Value>, unit: &str) -> Self {
        Self::new(value, unit, Basis::Counted, "emulator")
    }

    /// The value and unit for people: `1 234 neurons`; times and energies in a unit of their size.
    pub fn text(&self) -> String {
        match self.unit.as_str() {
            "ps" => return time_text(self.value.as_f64()),
            "fJ" => return energy_text(self.value.as_f64()),
            _ => {}
        }
        count_text(self.value, &self.unit).trim_end().to_owned()
    }
}

/// A number with its unit for people; of 1 the unit is singular: `1 core`, `2 cores`.
pub fn count_text(value: Value, unit: &str) -> String {
    let one = matches!(value, Value::Integer(1));
    let unit = unit.strip_suffix('s').filter(|unit| one && unit.len() > 1).unwrap_or(unit);
    format!("{} {unit}", number_text(value))
}

/// A number for people: integers in groups of three, floats with four significant digits.
pub fn number_text(value: Value) -> String {
    match value {
        Value::Integer(value) => grouped(value),
        Value::Real(value) if !value.is_finite() => if value > 0.0 { "∞" } else { "−∞" }.to_owned(),
        Value::Real(0.0) => "0".to_owned(),
        Value::Real(value) => {
            let magnitude = value.abs().log10().floor() as i32;
            if (3..9).contains(&magnitude) {
                grouped(value.round() as i128)
            } else if (-4..3).contains(&magnitude) {
                format!("{value:.*}", (3 - magnitude) as usize)
            } else {
                format!("{value:.3e}")
            }
        }
    }
}

/// Picoseconds for people.
pub fn time_text(time_ps: f64) -> String {
    scaled(time_ps, &[("s", 1e12), ("ms", 1e9), ("µs", 1e6), ("ns", 1e3), ("ps", 1.0)])
}

/// Femtojoules for people.
pub fn energy_text(energy_fj: f64) -> String {
    scaled(energy_fj, &[("J", 1e15), ("mJ", 1e12), ("µJ", 1e9), ("nJ", 1e6), ("pJ", 1e3), ("fJ", 1.0)])
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    let (unit, size) = units.iter().copied().find(|(_, size)| value >= *size).unwrap_or(units[units.len() - 1]);
    format!("{} {unit}", number_text((value / size).into()))
}

fn grouped(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_integers_travel_as_strings_and_come_back() {
        let json = |value: Value| serde_json::to_string(&value).unwrap();
        assert_eq!(json((1_u64 << 53).into()), "9007199254740992");
        assert_eq!(json(((1_u64 << 53) + 1).into()), "\"9007199254740993\"");
        assert_eq!(json(Value::Real(f64::INFINITY)), "\"inf\"");
        for value in [Value::Integer(i128::MAX), Value::Integer(-5), Value::Real(3.0), Value::Real(f64::NEG_INFINITY)] {
            assert_eq!(serde_json::from_str::<Value>(&json(value)).unwrap(), value);
        }
        assert!(serde_json::from_str::<Value>("\"many\"").is_err());
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number_text(1_234_567_u32.into()), "1 234 567");
        assert_eq!(number_text((-1000_i32).into()), "-1 000");
        assert_eq!(number_text(999_u32.into()), "999");
        assert_eq!(number_text(38.52817.into()), "38.53");
        assert_eq!(number_text(798_408.3.into()), "798 408");
        assert_eq!(number_text(0.00123456.into()), "0.001235");
        assert_eq!(number_text(1.5e12.into()), "1.500e12");
        assert_eq!([1_u32, 2].map(|cores| count_text(cores.into(), "cores")), ["1 core", "2 cores"]);
        assert_eq!(time_text(1_234_000.0), "1.234 µs");
        assert_eq!(energy_text(0.0), "0 fJ");
        assert_eq!(Figure::counted(2_500_000_000_u64, "fJ").text(), "2.500 µJ");
    }
}
