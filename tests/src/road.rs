//! The whole road: network → image bytes → emulator.

use snncc_chip::Target;
use snncc_compile::{Calibration, Compiled, Ctx, NoObserver, Options, compile};
use snncc_emu::Program;
use snncc_ids::Diagnostics;
use snncc_image::Image;
use snncc_ir::Network;

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
