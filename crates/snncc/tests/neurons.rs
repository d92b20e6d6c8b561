//! Neurons of a conversion, on the digit network of `examples/digits-mlp`.

mod support;

use support::Place;

/// Leaky neurons go to the chip as they are, and lose less than two points (the network has 554 of 597).
#[test]
fn leaky_neurons_run_on_the_chip() {
    let place = Place::example("digits-mlp");
    let convert = "convert digits-mlp.onnx --calibrate digits-train.npy --target loihi-emu --steps 64 --dt 1ms";
    place.run(&format!("{convert} --neuron lif:20ms:1ms -o lif.ron")).exits(0);
    place.run("compile lif.ron --target loihi-emu -o lif").exits(0);
    let emulate = "emulate lif --input digits-test.npy --labels digits-test-labels.npy --steps 64 --json";
    let correct = place.run(emulate).exits(0).json()["correct"].as_u64().unwrap();
    assert!(correct >= 542, "{correct}");
    place.run("verify lif --steps 64 --input digits-test.npy --samples 5").exits(0);

    let refused = place.run(&format!("{convert} --neuron lif:20ms --neuron-reset subtract -o no.ron")).exits(3);
    assert!(refused.stderr.contains("lif` neurons reset to a value"), "{}", refused.stderr);
}

/// What only the float reference runs says so, and runs there.
#[test]
fn neurons_that_follow_a_rate_run_in_floats() {
    let place = Place::example("digits-mlp");
    let data = "digits-mlp.onnx --calibrate digits-train.npy --dt 1ms";
    let convert = format!("convert {data} --neuron regular --signed-spikes --filter lowpass:5ms --firing-rate 2");
    place.run(&format!("{convert} -o rate.ron")).exits(0);
    let refused = place.run("compile rate.ron --target loihi-emu -o rate").says("SNN0205");
    assert!(refused.stderr.contains("--neuron lif:TAU_RC"), "{}", refused.stderr);
    let sweep = format!("sweep {data} --input digits-test.npy --labels digits-test-labels.npy --float --json");
    for neuron in ["regular", "stochastic"] {
        let run =
            format!("{sweep} --neuron {neuron} --filter lowpass:5ms --firing-rate 4 --vary steps=64 --samples 150");
        let rows = place.run(&run).exits(0).json();
        let accuracy = rows["rows"][0]["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.9, "{neuron}: {accuracy}");
        assert_eq!(place.run(&format!("{run} --jobs 1")).exits(0).json(), rows);
    }
    place.run(&format!("convert {data} --signed-spikes -o no.ron")).exits(3).says("SNN0203");
    place.run(&format!("convert {data} --firing-rate 2 -o no.ron")).exits(3).says("SNN0203");
}
