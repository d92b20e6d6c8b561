//! What the tests of conversion share.

#![allow(dead_code)]

use snncc_ir::ann::AnnTensor;

/// Values from −1 to 1 that look random, and are the same everywhere.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1_u64 << 23) as f32) - 1.0
    }

    pub(crate) fn tensor(&mut self, shape: &[usize], size: f32) -> AnnTensor {
        let len: usize = shape.iter().product();
        AnnTensor::new(shape.to_vec(), (0..len).map(|_| self.next() * size).collect::<Vec<_>>())
    }
}
