"""The recurrent benchmark network, as it is also given to brian2-loihi and nengo-loihi (numpy only, seeded).

N CUBA LIF neurons; 100 recurrent synapses out of each neuron to distinct random targets (first 80 % excitatory, mantissa even
in 2..24; last 20 % inhibitory, -10..-120); N/10 input axons with 20 synapses of mantissa 200 each, Bernoulli p = 0.1 per step.
decay_u register 1023, decay_v 256, threshold mantissa 2000, refractory 1, no bias, no delay, exponent 0.

Usage: python make_recurrent.py N [seed] -> recurrent_N.npz
  tgt[N,100], w[N,100]: targets (ascending) and mantissas by source; itgt[N/10,20]: targets of the inputs;
  raster[T,N/10]: row t = input spikes of step t (row 0 is empty)
"""
import sys

import numpy as np

FAN_OUT, INPUT_FAN_OUT, INPUT_PROBABILITY = 100, 20, 0.1


def make(neurons, steps=1000, seed=1):
    random = np.random.default_rng(seed)
    targets = np.empty((neurons, FAN_OUT), np.int32)
    for source in range(neurons):
        targets[source] = np.sort(random.choice(neurons, FAN_OUT, replace=False))
    weights = 2 * random.integers(1, 13, (neurons, FAN_OUT), dtype=np.int32)
    weights[np.arange(neurons) >= int(0.8 * neurons)] *= -5
    inputs = neurons // 10
    input_targets = np.empty((inputs, INPUT_FAN_OUT), np.int32)
    for source in range(inputs):
        input_targets[source] = np.sort(random.choice(neurons, INPUT_FAN_OUT, replace=False))
    raster = random.random((steps, inputs)) < INPUT_PROBABILITY
    raster[0] = False
    return dict(N=neurons, T=steps, tgt=targets, w=weights, itgt=input_targets, raster=raster)


if __name__ == "__main__":
    count = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    np.savez_compressed(f"recurrent_{count}.npz", **make(count, seed=seed))
