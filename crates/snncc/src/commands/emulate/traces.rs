//! `emulate --trace`: what single samples did, for either family of chips.

use crate::args::Trace as TraceKind;
use crate::chip::Recording;
use crate::output::write_file;
use crate::running::Running;
use snncc_data::SpikeTrain;
use snncc_emu::Selection;
use snncc_formats::data_files::write_spikes;
use snncc_formats::tensor_files::write_npz;
use snncc_ir::Tensor;
use std::path::Path;

/// The spikes of network steps 1 to `steps`: those of the chip steps `1 + latency` to `steps + latency`.
pub(crate) fn in_network_steps(train: &SpikeTrain, latency: u32, steps: u32) -> SpikeTrain {
    let mut cut = SpikeTrain::new(train.neurons);
    let mut payloads = train.payloads.as_ref().map(|_| Vec::new());
    for chip_step in latency + 1..=latency.saturating_add(steps) {
        cut.push_step(train.at(chip_step).iter().copied());
        if let Some((all, step)) = payloads.as_mut().zip(train.payloads_at(chip_step)) {
            all.extend_from_slice(step);
        }
    }
    cut.payloads = payloads;
    cut
}

/// Runs a sample again with everything recorded that is asked for.
///
/// # Errors
/// What the coding says of the data; what the system says.
pub(crate) fn write(
    running: &Running,
    kinds: &[TraceKind],
    sample: usize,
    chip_steps: u32,
    folder: &Path,
) -> Result<(), String> {
    if kinds.is_empty() {
        return Ok(());
    }
    let wants = |kind| kinds.contains(&kind);
    let all = |wanted: bool| if wanted { Selection::All } else { Selection::None };
    let recording = Recording {
        spikes: all(wants(TraceKind::Spikes)),
        states: all(wants(TraceKind::Membrane)),
        threads: true,
        timing: running.timing,
    };
    let input = running.sample(sample).map_err(|problems| problems.to_string())?;
    let run = running.program.emulator().run(&input.stimulus, chip_steps, &recording);
    let run = run.map_err(|problems| problems.to_string())?;
    let populations = || running.program.populations().zip(run.populations());
    if wants(TraceKind::Spikes) {
        let mut trains: Vec<(&str, SpikeTrain)> =
            input.stimulus.ports.iter().map(|port| (port.port.as_str(), port.spikes.clone())).collect();
        for ((name, latency), population) in populations() {
            let train = population.spikes.as_ref().expect("bug in snncc: spikes were asked for");
            trains.push((name, in_network_steps(train, latency, running.data.steps)));
        }
        let trains: Vec<(&str, &SpikeTrain)> = trains.iter().map(|(name, train)| (*name, train)).collect();
        write_file(&folder.join(format!("spikes-{sample:05}.npz")), &write_spikes(&trains))?;
    }
    if wants(TraceKind::Membrane) {
        let mut arrays = Vec::new();
        for ((name, _), population) in populations() {
            let Some(states) = &population.states else { continue };
            let shape = vec![chip_steps as usize, population.counts.len()];
            for (kind, values) in [("u", &states.u), ("v", &states.v)] {
                arrays.push((format!("{name}/{kind}"), Tensor::new(shape.clone(), values.clone()).into()));
            }
        }
        write_file(&folder.join(format!("membrane-{sample:05}.npz")), &write_npz(&arrays))?;
    }
    if wants(TraceKind::Timing) {
        let table = run.step_table(&running.program);
        write_file(&folder.join(format!("timing-{sample:05}.csv")), table.csv().as_bytes())?;
        if let Some(table) = run.network_table(&running.opened.target) {
            write_file(&folder.join(format!("network-{sample:05}.csv")), table.csv().as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_cut_to_network_steps() {
        let mut train = SpikeTrain::from_events(3, 5, &[(1, 0), (3, 1), (4, 2), (5, 0)]).unwrap();
        assert_eq!(in_network_steps(&train, 2, 2).events().collect::<Vec<_>>(), [(1, 1, 1), (2, 2, 1)]);
        train.payloads = Some(vec![7, -1, 2, 3]);
        let cut = in_network_steps(&train, 2, 9);
        assert_eq!((cut.steps(), cut.payloads), (9, Some(vec![-1, 2, 3])));
    }
}
