//! Integers that a network brings along: passed unchanged, or refused with all that is wrong.

use super::*;
use snncc_ir::network::Compartments;
use snncc_ir::{IntWeights, ResetModel, SignMode};

fn compartments() -> Compartments {
    Compartments {
        shape: vec![2],
        decay_u: Param::Uniform(409),
        decay_v: Param::PerNeuron(vec![0, 4095]),
        threshold_mantissa: Param::Uniform(131_071),
        bias_mantissa: Param::PerNeuron(vec![-4096, 4095]),
        bias_exponent: Param::Uniform(7),
        refractory: Param::Uniform(63),
        v_min_exponent: Some(23),
        v_max_exponent: Some(7),
        u_initial: Param::Uniform(-(1 << 23)),
        v_initial: Param::Uniform((1 << 23) - 1),
        reset: ResetModel::Lif,
        noise: None,
    }
}

fn weights(mantissas: Vec<i32>, sign_mode: SignMode) -> IntWeights {
    IntWeights { mantissas, exponent: 7, weight_bits: 8, sign_mode }
}

fn given(compartments: Compartments, weights: IntWeights, delay: u32) -> Ir {
    let sources = weights.mantissas.len() / 2;
    let mut ir = dense(sources, vec![0.0; weights.mantissas.len()], integrators(1.0));
    let mut projections = ir.graph.projections.as_slice().to_vec();
    projections[0].delays = Delays::Uniform(delay);
    ir.graph.projections = projections.into();
    ir.neurons = vec![None, Some(IrNeurons::Integer(compartments))].into();
    ir.weights = vec![IrWeights::Integer(weights)].into();
    ir
}

#[test]
fn integers_at_the_ends_of_their_fields_pass_unchanged() {
    let target = target("loihi-emu");
    for (mantissas, mode) in [
        (vec![-256, 254], SignMode::Mixed),
        (vec![0, 255], SignMode::Excitatory),
        (vec![-255, 0], SignMode::Inhibitory),
    ] {
        let weights = weights(mantissas, mode);
        let (result, warnings) = run(given(compartments(), weights.clone(), 63), &target, &Options::default(), None);
        let ir = result.unwrap();
        assert!(warnings.0.is_empty());
        assert_eq!(ir.weights.as_slice(), [weights]);
        let neurons = ir.neurons[PopulationId(1)].as_ref().unwrap();
        assert_eq!(neurons.threshold_mantissa, Param::Uniform(131_071));
        assert_eq!(neurons.bias_mantissa, Param::PerNeuron(vec![-4096, 4095]));
        assert_eq!((neurons.start_step, neurons.units_per_volt.clone()), (1, Param::Uniform(1.0)));
        assert!(ir.population_quality[PopulationId(1)].is_none());
    }
}

#[test]
fn every_field_out_of_range_is_named() {
    let wrong = Compartments {
        decay_u: Param::Uniform(4096),
        decay_v: Param::Uniform(-1),
        threshold_mantissa: Param::PerNeuron(vec![5, 131_072]),
        bias_mantissa: Param::Uniform(4096),
        bias_exponent: Param::Uniform(8),
        refractory: Param::Uniform(0),
        v_min_exponent: Some(32),
        v_max_exponent: None,
        u_initial: Param::Uniform(1 << 23),
        ..compartments()
    };
    let (result, _) =
        run(given(wrong, weights(vec![1, 258], SignMode::Mixed), 64), &target("loihi-emu"), &Options::default(), None);
    let problems = result.unwrap_err();
    let items: Vec<&str> = problems.0.iter().map(|problem| problem.item.as_deref().unwrap()).collect();
    let fields = [
        "out/decay_u",
        "out/decay_v",
        "out/threshold_mantissa",
        "out/bias_mantissa",
        "out/bias_exponent",
        "out/refractory",
        "out/u_initial",
        "out/v_min_exponent",
        "out/v_max_exponent",
        "w0/weight",
        "w0/delay",
    ];
    assert_eq!(items, fields.map(|field| format!("nodes/{field}")));
    assert_eq!(problems.0[10].code.number(), "SNN0404");
    assert!(problems.0[2].message.contains("131072") && problems.0[2].message.contains("0 to 131071"));
    assert!(problems.0[9].message.contains("mantissa 1 (weight 0)"), "{}", problems.0[9].message);
}

#[test]
fn weights_must_be_of_a_width_the_chip_has_and_an_exponent_it_holds() {
    let mut bad = weights(vec![0, 0], SignMode::Mixed);
    (bad.weight_bits, bad.exponent) = (7, 8);
    let (result, _) = run(given(compartments(), bad.clone(), 1), &target("loihi-emu"), &Options::default(), None);
    assert!(result.unwrap_err().0[0].message.contains("7 bits"));
    bad.weight_bits = 6;
    let (result, _) = run(given(compartments(), bad, 1), &target("loihi-emu"), &Options::default(), None);
    assert!(result.unwrap_err().0[0].message.contains("-8 to 7"));
    // Emulator-only models hold more.
    let wide = IntWeights { mantissas: vec![8_388_607, -3], exponent: -8, weight_bits: 24, sign_mode: SignMode::Mixed };
    let (result, _) = run(given(compartments(), wide, 200), &target("nengo-loihi-emu"), &Options::default(), None);
    assert!(result.is_ok(), "{:?}", result.err());
}
