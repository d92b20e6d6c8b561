//! `Resize` and `Upsample` of the nearest kind: source positions along every dimension.
//!
//! Positions are computed in `f32` as onnxruntime does, since the operator's definition leaves the width open and halves
//! decide.

use super::constant::{BATCH, FREE_VALUES, Positions};
use super::graph::{Call, Reader, Value};
use super::node::{Reading, axis, broken, length, unsupported};
use snncc_ir::ann::AnnOp;

/// What one dimension becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scaling {
    /// Ratio of sizes as the file or its sizes say.
    scale: f32,
    size: usize,
}

impl Reader<'_, '_> {
    /// `Resize`, `Upsample`.
    pub(super) fn resize(&mut self, call: &Call) -> Reading<Vec<Value>> {
        let x = call.live(0)?;
        self.needs_batch(x)?;
        let full = self.full_shape(call.value(0)?)?;
        let scalings = self.scalings(call, &full)?;
        let own = self.shape(x).to_vec();
        let unchanged = |(scaling, length): (&Scaling, &usize)| scaling.size == *length && scaling.scale == 1.0;
        if scalings.iter().zip(&own).all(unchanged) {
            return Ok(vec![Value::Live(self.layer_of(call, AnnOp::Identity, &[x], None)?)]);
        }
        let mode = call.node.text("mode", "nearest")?;
        if mode != "nearest" {
            return unsupported(format!(
                "interpolation of mode `{mode}` is not supported; train with nearest-neighbour resizing or a transposed convolution"
            ));
        }
        // Before operator set 11 there was one way.
        let old = self.opset < 11;
        let coordinates =
            if old { "asymmetric" } else { call.node.text("coordinate_transformation_mode", "half_pixel")? };
        let rounding = if old { "simple" } else { call.node.text("nearest_mode", "round_prefer_floor")? };
        let mut positions = Vec::with_capacity(own.len());
        for (scaling, length) in scalings.iter().zip(&own) {
            self.budget.take(&[scaling.size])?;
            positions.push(if unchanged((scaling, length)) {
                Positions::All
            } else {
                Positions::List(nearest(coordinates, rounding, *scaling, *length)?)
            });
        }
        Ok(vec![Value::Live(self.resample(call, x, &positions)?)])
    }

    /// Scalings of all dimensions but the batch, from `scales` or `sizes`.
    fn scalings(&mut self, call: &Call, full: &[Option<usize>]) -> Reading<Vec<Scaling>> {
        let node = call.node;
        // Operator set 11 put the region of interest before the scales.
        let at = if self.opset >= 11 && node.kind == "Resize" { 2 } else { 1 };
        let axes: Vec<usize> = match node.ints("axes")? {
            Some(axes) => axes.iter().map(|value| axis(*value, full.len())).collect::<Reading<_>>()?,
            None => (0..full.len()).collect(),
        };
        let scales = match node.floats("scales")? {
            Some(scales) => Some(scales.to_vec()),
            None => match self.optional_parameter(call, at, "scales")? {
                Some(tensor) if tensor.len() > full.len() => {
                    return broken(format!("{} scales are given for {} dimensions", tensor.len(), full.len()));
                }
                tensor => tensor.map(|tensor| tensor.iter().collect()),
            },
        };
        let mut scalings: Vec<Option<Scaling>> =
            full.iter().map(|length| length.map(|size| Scaling { scale: 1.0, size })).collect();
        if let Some(scales) = scales.filter(|scales| !scales.is_empty()) {
            if scales.len() != axes.len() {
                return broken(format!("{} scales are given for {} dimensions", scales.len(), axes.len()));
            }
            for (d, scale) in axes.iter().zip(scales) {
                if !(scale.is_finite() && scale > 0.0) {
                    return broken(format!("{scale} is not a scale"));
                }
                match full[*d] {
                    Some(length) if *d > 0 => scalings[*d] = Some(scaled(length, scale)?),
                    _ if scale == 1.0 => {}
                    _ => return unsupported("it resizes the batch"),
                }
            }
        } else {
            if call.optional(at + 1).is_none() {
                return broken("neither scales nor sizes are given");
            }
            let sizes = self.integers(call, at + 1, "sizes")?.values;
            if sizes.len() != axes.len() {
                return broken(format!("{} sizes are given for {} dimensions", sizes.len(), axes.len()));
            }
            let mut pairs = Vec::new();
            for (d, size) in axes.iter().zip(sizes.iter()) {
                let same = |length: usize| usize::try_from(*size) == Ok(length);
                match full[*d] {
                    Some(length_now) if *d > 0 => pairs.push((*d, length_now, length("sizes", *size, 1)?)),
                    Some(length_now) if same(length_now) || *size == BATCH || *size == 1 => {}
                    None if *size == BATCH || *size == 1 => {}
                    _ => return unsupported("it resizes the batch"),
                }
            }
            let ratio = |(_, from, to): &(usize, usize, usize)| *to as f32 / *from as f32;
            let policy = match node.text("keep_aspect_ratio_policy", "stretch")? {
                "stretch" => None,
                "not_larger" => Some(pairs.iter().map(ratio).fold(f32::INFINITY, f32::min)),
                "not_smaller" => Some(pairs.iter().map(ratio).fold(0.0, f32::max)),
                other => return broken(format!("`keep_aspect_ratio_policy` is `{other}`")),
            };
            for pair in pairs {
                let (d, from, to) = pair;
                scalings[d] = Some(match policy {
                    None => Scaling { scale: ratio(&pair), size: to },
                    Some(scale) => Scaling { scale, size: (scale * from as f32).round() as usize },
                });
            }
        }
        let scalings: Vec<Scaling> = scalings.into_iter().skip(1).flatten().collect();
        match scalings.iter().find(|scaling| scaling.size == 0 || scaling.size > FREE_VALUES) {
            Some(scaling) => broken(format!("a size of {} is not possible", scaling.size)),
            None => Ok(scalings),
        }
    }
}

/// Size after scaling, rounded down.
fn scaled(length: usize, scale: f32) -> Reading<Scaling> {
    Ok(Scaling { scale, size: (length as f32 * scale).floor() as usize })
}

/// The source positions along a dimension of this length.
fn nearest(coordinates: &str, rounding: &str, scaling: Scaling, length: usize) -> Reading<Vec<usize>> {
    let Scaling { scale, size } = scaling;
    let half_pixel = |k: f32| (k + 0.5) / scale - 0.5;
    let coordinate: Box<dyn Fn(f32) -> f32> = match coordinates {
        "half_pixel" => Box::new(half_pixel),
        "pytorch_half_pixel" if size > 1 => Box::new(half_pixel),
        "pytorch_half_pixel" => Box::new(|_| 0.0),
        "half_pixel_symmetric" => {
            let adjustment = size as f32 / (scale * length as f32);
            let offset = length as f32 / 2.0 * (1.0 - adjustment);
            Box::new(move |k| offset + half_pixel(k))
        }
        "align_corners" if size == 1 => Box::new(|_| 0.0),
        "align_corners" => Box::new(|k| k * (length - 1) as f32 / (size - 1) as f32),
        "asymmetric" => Box::new(|k| k / scale),
        "tf_half_pixel_for_nn" => Box::new(|k| (k + 0.5) / scale),
        other => {
            return unsupported(format!("the coordinates `{other}` are not supported; use half_pixel or asymmetric"));
        }
    };
    let round: fn(f32, f32) -> f32 = match rounding {
        "round_prefer_floor" => |x, _| if x == x.floor() + 0.5 { x.floor() } else { x.round() },
        "round_prefer_ceil" => |x, _| x.round(),
        "floor" => |x, _| x.floor(),
        "ceil" => |x, _| x.ceil(),
        // Operator sets before 11, as onnxruntime reads them.
        "simple" => |x, scale| if scale < 1.0 { x.ceil() } else { x.floor() },
        other => return broken(format!("`nearest_mode` is `{other}`")),
    };
    let last = (length - 1) as f32;
    Ok((0..size).map(|k| round(coordinate(k as f32), scale).clamp(0.0, last) as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_decide_as_the_mode_says() {
        let of = |coordinates, rounding, scale: f32, size| {
            nearest(coordinates, rounding, Scaling { scale, size }, 4).unwrap()
        };
        assert_eq!(of("asymmetric", "floor", 2.0, 8), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(of("asymmetric", "ceil", 2.0, 8), [0, 1, 1, 2, 2, 3, 3, 3]);
        assert_eq!(of("half_pixel", "round_prefer_floor", 0.5, 2), [0, 2]);
        assert_eq!(of("half_pixel", "round_prefer_ceil", 0.5, 2), [1, 3]);
        assert_eq!(of("align_corners", "round_prefer_floor", 2.0, 7), [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(of("pytorch_half_pixel", "floor", 0.25, 1), [0]);
    }
}
