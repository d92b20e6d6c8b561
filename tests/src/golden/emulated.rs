//! Golden cases on the whole road, and the compiler's block quantizer on the quantizer cases.

use super::{Case, QuantizerCase};
use crate::observed::{self, Observed};
use crate::road;
use snncc_compile::quantize::nengo_loihi::{FloatBlock, FloatSynapse, discretize};

impl Case {
    /// Compiles the case for the target of its engine, and runs the image's bytes on the emulator.
    ///
    /// # Errors
    /// What keeps it from running.
    pub fn run_emulator(&self) -> Result<Vec<Observed>, String> {
        let target = snncc_chip::target(&format!("{}-emu", self.model)).map_err(|fault| fault.to_string())?;
        let (_, program) =
            road::program(&self.network, &target, &road::plain_timing()).map_err(|fault| fault.to_string())?;
        observed::on_emulator(&program, &self.stimulus, self.steps).map_err(|fault| fault.to_string())
    }
}

impl QuantizerCase {
    /// Whether the block quantizer makes the integers of the case.
    ///
    /// # Errors
    /// The first array that differs.
    pub fn compare_quantizer(&self) -> Result<(), String> {
        let single = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<f32>>();
        let synapses = self.conns.iter().map(|connection| FloatSynapse {
            weights: connection.weights_float32.iter().flat_map(|row| single(row)).collect(),
            targets: connection.weights_float32.iter().flat_map(|row| 0..row.len() as u32).collect(),
        });
        let block = FloatBlock {
            decay_u: single(&self.float.decay_u),
            decay_v: single(&self.float.decay_v),
            threshold: single(&self.float.vth),
            bias: single(&self.float.bias),
            scale_u: self.float.scale_u,
            scale_v: self.float.scale_v,
            v_min: self.float.vmin,
            v_max: f64::INFINITY,
            weight_bits: self.conns.first().map_or(8, |connection| connection.weight_bits),
            synapses: synapses.collect(),
        };
        let model = snncc_chip::hardware_model(&self.engine).map_err(|fault| fault.to_string())?;
        // The strict chip: its fields are those that nengo-loihi quantizes for.
        let strict = snncc_chip::hardware_model("loihi1").map_err(|fault| fault.to_string())?;
        assert_eq!(model.loihi().arithmetic, strict.loihi().arithmetic, "the quantizer's arithmetic");
        let core = strict.loihi();
        let made = discretize(&block, core)?;
        let check = |name: &str, ours: &[i64], theirs: &[i64]| match ours.iter().zip(theirs).position(|(a, b)| a != b) {
            Some(at) => Err(format!("{name}[{at}] is {}, expected {}", ours[at], theirs[at])),
            None if ours.len() != theirs.len() => Err(format!("{name} has {} values of {}", ours.len(), theirs.len())),
            None => Ok(()),
        };
        check("decay_u", &made.decay_u, &self.int.decay_u)?;
        check("decay_v", &made.decay_v, &self.int.decay_v)?;
        check("vth", &made.threshold, &self.int.vth)?;
        check("bias", &made.bias(), &self.int.bias)?;
        check("vmin", &[made.v_min()], &[self.int.vmin])?;
        check("vmax", &[made.v_max(core)], &[self.int.vmax])?;
        for (at, (ours, theirs)) in made.synapses.iter().zip(&self.conns).enumerate() {
            check(&format!("conns[{at}].weight_exp"), &[i64::from(ours.exponent)], &[i64::from(theirs.weight_exp)])?;
            check(&format!("conns[{at}].weights"), &ours.effective(core), &theirs.weights_int.concat())?;
        }
        Ok(())
    }
}
