//! Smooth activations as sums of piecewise linear units.
//!
//! A function `f` is followed from 0 to both sides, by `g(t) = f(±t) − f(0)`. Each side is a polygon from `(0, 0)` that ends in
//! a straight line with the slope of `f` at infinity, so that the error is bounded over all numbers and 0 stays exact. The
//! knots are those of the smallest tolerance for which the polygon, drawn segment after segment as far as it stays within the
//! tolerance, needs no more segments than there are: the error is the same in all of them, and nearly the least possible.
//!
//! A segment of width `w` and height `h` that begins at `b` is the saturating unit `h · Clip₀₁((x − b) / w)`: unlike differences
//! of rectifiers, units of a monotone function all have the same sign, and nothing large cancels in the tails. A unit fires
//! only if `x` is beyond its segment's end that lies towards 0, and at `x = 0` none does. The tail is a rectifier.
//!
//! Sides are measured on a grid over `t = scale · u / (1 − u)`, `0 ≤ u < 1`, and at infinity: no range needs to be chosen.

use snncc_ir::ann::Activation;

/// Points of the grid of a side.
const POINTS: usize = 2048;

/// More units than this gain nothing that spikes could show.
pub(super) const MAX_UNITS: usize = 64;

/// A unit `coefficient · φ(scale · x + shift)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) scale: f64,
    pub(super) shift: f64,
    pub(super) coefficient: f64,
}

impl Unit {
    fn argument(&self, x: f64) -> f64 {
        self.scale * x + self.shift
    }
}

/// A sum of units.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polygon {
    /// Units with `φ = min(max(x, 0), 1)`.
    pub(super) clips: Vec<Unit>,
    /// Units with `φ = max(x, 0)`.
    pub(super) tails: Vec<Unit>,
    /// Largest difference from the function, over all numbers.
    pub(super) error: f64,
}

impl Polygon {
    /// Number of units.
    pub(super) fn units(&self) -> usize {
        self.clips.len() + self.tails.len()
    }

    fn value(&self, x: f64) -> f64 {
        let clips = self.clips.iter().map(|unit| unit.coefficient * unit.argument(x).clamp(0.0, 1.0));
        let tails = self.tails.iter().map(|unit| unit.coefficient * unit.argument(x).max(0.0));
        clips.chain(tails).sum()
    }
}

/// What a function does towards one infinity: `g(t) = slope · t + limit` there.
#[derive(Clone, Copy, Debug)]
struct Tail {
    slope: f64,
    limit: f64,
    /// Whether the polygon must reach the limit: `f` vanishes there, and the units of this side are turned around so that
    /// their sum has no constant.
    exact: bool,
}

impl Tail {
    fn new(slope: f64, limit: f64) -> Self {
        Self { slope, limit, exact: false }
    }
}

/// The tails to the left and to the right, and a length over which the function bends; `None` for functions that are no smooth
/// ones or have parameters out of their range.
fn tails(activation: &Activation) -> Option<([Tail; 2], f64)> {
    let tail = Tail::new;
    let flat = tail(0.0, 0.0);
    let vanishing = |limit: f64| Tail { exact: true, ..tail(0.0, limit) };
    let ln_2 = std::f64::consts::LN_2;
    Some(match activation {
        Activation::Sigmoid => ([vanishing(-0.5), tail(0.0, 0.5)], 2.0),
        Activation::Tanh | Activation::Softsign => ([tail(0.0, -1.0), tail(0.0, 1.0)], 1.0),
        Activation::Silu | Activation::Mish => ([flat, tail(1.0, 0.0)], 2.0),
        // Its bends at ±3 are points of the grid.
        Activation::HardSwish => ([flat, tail(1.0, 0.0)], 3.0),
        Activation::Gelu { .. } => ([flat, tail(1.0, 0.0)], 1.0),
        Activation::Elu { alpha } => ([tail(0.0, -f64::from(*alpha)), tail(1.0, 0.0)], 1.0),
        Activation::Selu { alpha, gamma } => {
            let (alpha, gamma) = (f64::from(*alpha), f64::from(*gamma));
            ([tail(0.0, -alpha * gamma), tail(gamma, 0.0)], 1.0)
        }
        Activation::Celu { alpha } if *alpha > 0.0 => {
            ([tail(0.0, -f64::from(*alpha)), tail(1.0, 0.0)], (*alpha).into())
        }
        Activation::Softplus => ([vanishing(-ln_2), tail(1.0, -ln_2)], 2.0),
        _ => return None,
    })
}

/// A sum of at most `units` units (at least 2, at most 64) for a smooth activation, or for the jump of a ThresholdedRelu. `None`
/// for other functions and for parameters for which there is none.
pub(super) fn polygon(activation: &Activation, units: usize) -> Option<Polygon> {
    if let Activation::ThresholdedRelu { threshold } = activation {
        return jump((*threshold).into());
    }
    let (tails, length) = tails(activation)?;
    let f = |x: f64| activation.value(x, 0.0);
    let sides = [-1.0, 1.0].map(|sign: f64| {
        let tail = tails[usize::from(sign > 0.0)];
        Side::new(|t| f(sign * t) - f(0.0), tail, length)
    });
    if sides.iter().any(|side| side.values.iter().any(|value| !value.is_finite())) {
        return None;
    }
    let units = units.clamp(2, MAX_UNITS);
    let available = units - tails.iter().filter(|tail| tail.slope != 0.0).count().min(units - 1);
    let fits = |tolerance: f64| -> Option<[Vec<[f64; 2]>; 2]> {
        let left = sides[0].draw(tolerance, available)?;
        let right = sides[1].draw(tolerance, available - (left.len() - 1))?;
        Some([left, right])
    };
    let size =
        |side: &Side| side.values.iter().zip(&side.t).map(|(g, t)| (g - side.tail.slope * t).abs()).fold(0.0, f64::max);
    let (mut low, mut high) = (0.0, 2.0 * sides.iter().map(size).fold(1e-9, f64::max));
    let mut knots = fits(high)?;
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        match fits(middle) {
            Some(found) => (knots, high) = (found, middle),
            None => low = middle,
        }
    }
    let mut polygon = Polygon { clips: Vec::new(), tails: Vec::new(), error: 0.0 };
    for ((knots, tail), sign) in knots.iter().zip(tails).zip([-1.0, 1.0]) {
        for pair in knots.windows(2) {
            let [[start, from], [end, to]] = [pair[0], pair[1]];
            let (width, height) = (end - start, to - from);
            polygon.clips.push(match tail.exact {
                false => Unit { scale: sign / width, shift: -start / width, coefficient: height },
                true => Unit { scale: -sign / width, shift: end / width, coefficient: -height },
            });
        }
        if tail.slope != 0.0 {
            let start = knots[knots.len() - 1][0];
            polygon.tails.push(Unit { scale: sign, shift: -start, coefficient: tail.slope });
        }
    }
    polygon.clips.retain(|unit| unit.coefficient != 0.0);
    polygon.clips.sort_by(|a, b| (-a.shift / a.scale).total_cmp(&(-b.shift / b.scale)));
    polygon.error = error(&polygon, f, &sides, tails);
    Some(polygon)
}

/// `x` beyond the threshold, 0 before: the jump becomes a segment as wide as an eighth of it, and its error is half the jump.
fn jump(threshold: f64) -> Option<Polygon> {
    if !threshold.is_finite() || threshold == 0.0 {
        return None;
    }
    let width = threshold.abs() / 8.0;
    let clip = Unit { scale: 1.0 / width, shift: 0.5 - threshold / width, coefficient: threshold };
    let tail = Unit { scale: 1.0, shift: -threshold, coefficient: 1.0 };
    Some(Polygon { clips: vec![clip], tails: vec![tail], error: threshold.abs() / 2.0 })
}

/// The largest error, on a grid four times as fine and at infinity.
fn error(polygon: &Polygon, f: impl Fn(f64) -> f64, sides: &[Side; 2], tails: [Tail; 2]) -> f64 {
    let mut worst = 0.0_f64;
    for ((side, tail), sign) in sides.iter().zip(tails).zip([-1.0, 1.0]) {
        for step in 0..4 * POINTS {
            let t = sign * side.length * place(step, 4 * POINTS);
            worst = worst.max((polygon.value(t) - f(t)).abs());
        }
        let end = *side.t.last().expect("bug in snncc: a grid has points");
        let at_infinity = polygon.value(sign * end) - f(0.0) - tail.slope * end;
        worst = worst.max((at_infinity - tail.limit).abs());
    }
    worst
}

/// `u / (1 − u)` for `u = step / points`.
fn place(step: usize, points: usize) -> f64 {
    step as f64 / (points - step) as f64
}

/// One side of a function.
struct Side {
    length: f64,
    tail: Tail,
    t: Vec<f64>,
    values: Vec<f64>,
    /// Smallest and largest `g(t) − slope · t` from each point on, the limit included.
    beyond: Vec<[f64; 2]>,
}

impl Side {
    fn new(g: impl Fn(f64) -> f64, tail: Tail, length: f64) -> Self {
        let t: Vec<f64> = (0..POINTS).map(|step| length * place(step, POINTS)).collect();
        let values: Vec<f64> = t.iter().map(|t| g(*t)).collect();
        let mut beyond = vec![[tail.limit; 2]; POINTS];
        let mut range = [tail.limit; 2];
        for index in (0..POINTS).rev() {
            let offset = values[index] - tail.slope * t[index];
            range = [range[0].min(offset), range[1].max(offset)];
            beyond[index] = range;
        }
        Self { length, tail, t, values, beyond }
    }

    /// Offsets `y − slope · t` at which the tail may begin at a point.
    fn tail_offsets(&self, index: usize, tolerance: f64) -> [f64; 2] {
        let [smallest, largest] = self.beyond[index];
        let [low, high] = [largest - tolerance, smallest + tolerance];
        match self.tail.exact {
            true => [low.max(self.tail.limit), high.min(self.tail.limit)],
            false => [low, high],
        }
    }

    /// The knots of a polygon from `(0, 0)` that stays within the tolerance with at most `segments` segments before its tail.
    fn draw(&self, tolerance: f64, segments: usize) -> Option<Vec<[f64; 2]>> {
        let mut knots = vec![[0.0, 0.0]];
        let [low, high] = self.tail_offsets(0, tolerance);
        if low <= 0.0 && 0.0 <= high {
            return Some(knots);
        }
        let (mut index, mut y) = (0, 0.0);
        for _ in 0..segments {
            let start = self.t[index];
            // Slopes with which the segment stays within the tolerance up to a point.
            let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
            let mut reached = index;
            for next in index + 1..POINTS {
                let width = self.t[next] - start;
                let next_low = low.max((self.values[next] - tolerance - y) / width);
                let next_high = high.min((self.values[next] + tolerance - y) / width);
                if next_low > next_high {
                    break;
                }
                (low, high, reached) = (next_low, next_high, next);
                let [least, most] = self.tail_offsets(next, tolerance);
                let at_tail = |offset: f64| (offset + self.tail.slope * self.t[next] - y) / width;
                let (least, most) = (low.max(at_tail(least)), high.min(at_tail(most)));
                if least <= most {
                    let end = match self.tail.exact {
                        true => self.tail.limit + self.tail.slope * self.t[next],
                        false => y + 0.5 * (least + most) * width,
                    };
                    knots.push([self.t[next], end]);
                    return Some(knots);
                }
            }
            if reached == index {
                return None;
            }
            y += 0.5 * (low + high) * (self.t[reached] - start);
            index = reached;
            knots.push([self.t[index], y]);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smooth() -> Vec<Activation> {
        vec![
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Softsign,
            Activation::HardSwish,
            Activation::Silu,
            Activation::Mish,
            Activation::Gelu { tanh: false },
            Activation::Gelu { tanh: true },
            Activation::Elu { alpha: 1.0 },
            Activation::Selu { alpha: 1.673_263_2, gamma: 1.050_701 },
            Activation::Celu { alpha: 0.5 },
            Activation::Softplus,
        ]
    }

    /// 8 units are within 0.03 of every function that does not creep to its limits, and the stated error holds on numbers that are
    /// not on the grid, far ones too.
    #[test]
    fn errors_are_small_and_true() {
        for activation in smooth() {
            let polygon = polygon(&activation, 8).unwrap();
            assert!(polygon.units() <= 8, "{activation:?}: {}", polygon.units());
            let is_slow = activation == Activation::Softsign;
            assert!(polygon.error < if is_slow { 0.05 } else { 0.03 }, "{activation:?}: {}", polygon.error);
            for step in -40_000..40_000 {
                let x = f64::from(step) * 0.000_731 * if step % 7 == 0 { 100.0 } else { 1.0 };
                let difference = (polygon.value(x) - activation.value(x, 0.0)).abs();
                assert!(difference <= polygon.error * 1.0001 + 1e-9, "{activation:?} at {x}: {difference}");
            }
        }
    }

    /// The best polygon of `n` segments has an error that falls as `1/n²`.
    #[test]
    fn errors_fall_with_the_square_of_the_units() {
        for activation in smooth() {
            let error = |units: usize| polygon(&activation, units).unwrap().error;
            let ratio = error(9) / error(33);
            assert!((9.0..30.0).contains(&ratio), "{activation:?}: {ratio}");
        }
    }

    /// Hard swish is the same parabola on both sides of 0, up to a linear function, so the units are shared evenly.
    #[test]
    fn units_are_shared_between_the_sides() {
        let polygon = polygon(&Activation::HardSwish, 9).unwrap();
        assert_eq!((polygon.clips.len(), polygon.tails.len()), (8, 1));
        assert_eq!(polygon.clips.iter().filter(|unit| unit.scale < 0.0).count(), 4);
    }

    #[test]
    fn zero_stays_zero_and_no_constant_is_needed() {
        for activation in smooth() {
            let polygon = polygon(&activation, 6).unwrap();
            let expected = activation.value(0.0, 0.0);
            let tolerance = if expected == 0.0 { 1e-12 } else { polygon.error };
            assert!((polygon.value(0.0) - expected).abs() <= tolerance, "{activation:?}: {}", polygon.value(0.0));
        }
        assert!(polygon(&Activation::Sigmoid, 4).unwrap().clips.iter().all(|unit| unit.coefficient > 0.0));
    }

    #[test]
    fn jumps_and_functions_without_units() {
        let polygon_of = |activation| polygon(&activation, 8);
        let jump = polygon_of(Activation::ThresholdedRelu { threshold: 2.0 }).unwrap();
        assert_eq!([jump.value(1.8), jump.value(2.0), jump.value(2.5)], [0.0, 1.0, 2.5]);
        assert_eq!(jump.error, 1.0);
        assert!(polygon_of(Activation::Celu { alpha: -1.0 }).is_none());
        assert!(polygon_of(Activation::Relu).is_none());
        assert!(polygon_of(Activation::Elu { alpha: f32::NAN }).is_none());
    }
}
