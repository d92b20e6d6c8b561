//! The whole road: network → image bytes → emulator, and the side road through RON.

use snncc_chip::Target;
use snncc_compile::{Compiled, Ctx, NoObserver, Options, compile};
use snncc_emu::Program;
use snncc_formats::ron_network::{read_network, write_network};
use snncc_ids::Diagnostics;
use snncc_image::Image;
use snncc_ir::{Calibration, Network};

/// Compiles a network.
///
/// # Errors
/// What the compiler says.
pub fn compiled(
    network: &Network,
    target: &Target,
    options: &Options,
    calibration: Option<&Calibration>,
) -> Result<Compiled, Diagnostics> {
    let mut observer = NoObserver;
    compile(network, &mut Ctx { target, options, calibration, observer: &mut observer })
}

/// Options of plain chip behaviour: no alignment of paths.
pub fn plain_timing() -> Options {
    Options { align: false, ..Options::default() }
}

/// Compiles a network to bytes, reads the bytes back and loads them.
///
/// # Errors
/// What compiler, image reader or emulator say.
pub fn program(network: &Network, target: &Target, options: &Options) -> Result<(Vec<u8>, Program), Diagnostics> {
    let bytes = compiled(network, target, options, None)?.image.to_bytes();
    let program = Program::load(&Image::from_bytes(&bytes)?, target)?;
    Ok((bytes, program))
}

/// A network after it was written as RON and read back. Tensors of more than `inline_limit` values go through a file.
///
/// # Errors
/// What the reader says.
pub fn written_and_read(network: &Network, inline_limit: usize) -> Result<Network, Diagnostics> {
    let written = write_network(network, "tensors.npz", inline_limit);
    let mut files = |name: &str| {
        let found = written.files.iter().find(|(file, _)| file == name);
        found.map(|(_, bytes)| bytes.clone()).ok_or_else(|| "no such file".to_string())
    };
    Ok(read_network(&written.text, &mut files)?.network)
}

/// Whether two populations or more lie in a loop.
pub fn has_long_loop(network: &Network) -> bool {
    let count = network.nodes.len();
    let mut reaches = vec![vec![false; count]; count];
    for edge in &network.edges {
        reaches[edge.source.0 as usize][edge.target.0 as usize] = true;
    }
    for middle in 0..count {
        let row = reaches[middle].clone();
        for from in reaches.iter_mut().filter(|from| from[middle]) {
            from.iter_mut().zip(&row).for_each(|(to, through)| *to |= through);
        }
    }
    let populations: Vec<usize> =
        network.nodes.ids().filter(|id| network.nodes[*id].node.is_population()).map(|id| id.0 as usize).collect();
    populations.iter().any(|a| populations.iter().any(|b| a != b && reaches[*a][*b] && reaches[*b][*a]))
}
