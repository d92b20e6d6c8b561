//! The container of all images: header, section table, sections with their CRCs; and the sections that all families share.

use crate::bytes::{Fault, Reader, Writer};
use crate::image::{Location, OutputPort, PopulationSymbol, Readout, VERSION_MAJOR, VERSION_MINOR};
use snncc_ids::{Diagnostic, Diagnostics, code};

const MAGIC: &[u8; 4] = b"SNNB";

/// A kind of machine that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Loihi-like: [`crate::Image`].
    Loihi,
    /// SpiNNaker-like: [`crate::spinnaker::SpinnakerImage`].
    Spinnaker,
}

impl Family {
    /// Tag of the section that holds the cores, which tells the families apart.
    fn tag(self) -> &'static [u8; 4] {
        match self {
            Self::Loihi => b"CORE",
            Self::Spinnaker => b"SPIN",
        }
    }

    /// The family that an image is for, from its header.
    ///
    /// # Errors
    /// `SNN0108` for a newer major version, `SNN0109` if the bytes are no image: header and section table are checked, what is
    /// in the sections is not.
    pub fn of(bytes: &[u8]) -> Result<Family, Diagnostics> {
        Container::open(bytes).and_then(|container| container.family()).map_err(Diagnostics::from)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Loihi => "a Loihi-like chip",
            Self::Spinnaker => "a SpiNNaker-like machine",
        }
    }

    /// Tags of the sections, in order: chip, cores, ports, symbols, notes.
    fn sections(self) -> [&'static [u8; 4]; 5] {
        [b"CHIP", self.tag(), b"PORT", b"SYMB", b"NOTE"]
    }
}

/// Header and sections (chip, cores, ports, symbols, notes) as bytes; `capacity` is about how many.
pub(crate) fn write_container(family: Family, capacity: usize, sections: [&dyn Fn(&mut Writer); 5]) -> Vec<u8> {
    let tags = family.sections();
    let header_len = 12 + 24 * tags.len() + 4;
    // Sections are written where they stay; the header is known when they are.
    let mut out = Writer { bytes: Vec::with_capacity(header_len + capacity) };
    out.bytes.resize(header_len, 0);
    let mut header = Writer::default();
    header.bytes.extend_from_slice(MAGIC);
    header.u16(VERSION_MAJOR);
    header.u16(VERSION_MINOR);
    header.u32(tags.len() as u32);
    for (tag, section) in tags.iter().zip(sections) {
        let start = out.bytes.len();
        section(&mut out);
        let body = &out.bytes[start..];
        header.bytes.extend_from_slice(*tag);
        header.u64(start as u64);
        header.u64(body.len() as u64);
        header.u32(crc32fast::hash(body));
    }
    let header_crc = crc32fast::hash(&header.bytes);
    header.u32(header_crc);
    out.bytes[..header_len].copy_from_slice(&header.bytes);
    out.bytes
}

/// Why bytes are not taken.
pub(crate) enum Refusal {
    Damaged(String),
    Version(u16),
    Family { wanted: Family, found: Family },
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Damaged(fault.0)
    }
}

impl From<Refusal> for Diagnostics {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Damaged(what) => {
                Diagnostic::error(code::IMAGE_DAMAGED, format!("not a sound placement image: {what}"))
                    .help("compile the network again")
            }
            Refusal::Version(version) => Diagnostic::error(
                code::UNSUPPORTED_VERSION,
                format!("the image has format version {version}; this snncc reads {VERSION_MAJOR}"),
            )
            .help("compile the network again, or use the snncc that wrote the image"),
            Refusal::Family { wanted, found } => Diagnostic::error(
                code::WRONG_CHIP,
                format!("the image is one for {}, not for {}", found.name(), wanted.name()),
            ),
        }
        .into()
    }
}

pub(crate) fn damaged<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(what.into()))
}

struct Section {
    tag: [u8; 4],
    offset: u64,
    length: u64,
    crc: u32,
}

/// Bytes whose header and section table are sound.
pub(crate) struct Container<'a> {
    bytes: &'a [u8],
    sections: Vec<Section>,
}

impl<'a> Container<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut header = Reader::new(bytes);
        if header.take(4)? != MAGIC {
            return Err(Refusal::Damaged("it does not begin with `SNNB`".into()));
        }
        let major = header.u16()?;
        if major > VERSION_MAJOR {
            return Err(Refusal::Version(major));
        }
        header.u16()?;
        let sections = header.list(24, |header| {
            Ok(Section {
                tag: header.take(4)?.try_into().expect("bug in snncc: length"),
                offset: header.u64()?,
                length: header.u64()?,
                crc: header.u32()?,
            })
        })?;
        let covered = header.position();
        if header.u32()? != crc32fast::hash(&bytes[..covered]) {
            return Err(Refusal::Damaged("the header's CRC does not match".into()));
        }
        Ok(Self { bytes, sections })
    }

    fn family(&self) -> Result<Family, Refusal> {
        let has = |family: &Family| self.sections.iter().any(|section| section.tag == *family.tag());
        match [Family::Loihi, Family::Spinnaker].into_iter().find(has) {
            Some(family) => Ok(family),
            None => Err(Refusal::Damaged("it has no section with cores".into())),
        }
    }

    /// The sections of an image of this family: chip, cores, ports, symbols, notes.
    pub(crate) fn sections(&self, wanted: Family) -> Result<[Reader<'a>; 5], Refusal> {
        let found = self.family()?;
        if found != wanted {
            return Err(Refusal::Family { wanted, found });
        }
        let [chip, cores, ports, symbols, notes] = wanted.sections();
        Ok([
            self.section(chip)?,
            self.section(cores)?,
            self.section(ports)?,
            self.section(symbols)?,
            self.section(notes)?,
        ])
    }

    fn section(&self, tag: &[u8; 4]) -> Result<Reader<'a>, Fault> {
        let name = String::from_utf8_lossy(tag);
        let Some(section) = self.sections.iter().find(|section| section.tag == *tag) else {
            return damaged(format!("section {name} is missing"));
        };
        let body = usize::try_from(section.offset)
            .ok()
            .zip(usize::try_from(section.length).ok())
            .and_then(|(offset, length)| self.bytes.get(offset..offset.checked_add(length)?));
        match body {
            Some(body) if crc32fast::hash(body) == section.crc => Ok(Reader::new(body)),
            Some(_) => damaged(format!("the CRC of section {name} does not match")),
            None => damaged(format!("section {name} lies beyond the end of the file: it is truncated")),
        }
    }
}

/// Section CHIP.
pub(crate) fn write_chip(out: &mut Writer, model_name: &str, model_hash: &[u8; 32], target_name: &str) {
    out.text(model_name);
    out.bytes.extend_from_slice(model_hash);
    out.text(target_name);
}

/// Model name, model hash and target name.
pub(crate) fn read_chip(reader: &mut Reader<'_>) -> Result<(String, [u8; 32], String), Fault> {
    let name = reader.text()?;
    let hash = reader.take(32)?.try_into().expect("bug in snncc: length");
    Ok((name, hash, reader.text()?))
}

pub(crate) fn write_shape(out: &mut Writer, shape: &[u32]) {
    out.count(shape.len());
    for len in shape {
        out.u32(*len);
    }
}

pub(crate) fn check_shape(name: &str, shape: &[u32], len: usize) -> Result<(), Fault> {
    let product = shape.iter().try_fold(1_usize, |product, len| product.checked_mul(*len as usize));
    if product == Some(len) { Ok(()) } else { damaged(format!("`{name}` has shape {shape:?} but {len} elements")) }
}

pub(crate) fn write_outputs(out: &mut Writer, outputs: &[OutputPort]) {
    out.count(outputs.len());
    for port in outputs {
        out.text(&port.name);
        out.u32(port.population);
        out.u8(match port.readout {
            Readout::Spikes => 0,
            Readout::Membrane => 1,
        });
    }
}

pub(crate) fn read_outputs(reader: &mut Reader<'_>) -> Result<Vec<OutputPort>, Fault> {
    reader.list(9, |reader| {
        Ok(OutputPort {
            name: reader.text()?,
            population: reader.u32()?,
            readout: match reader.u8()? {
                0 => Readout::Spikes,
                1 => Readout::Membrane,
                other => return damaged(format!("unknown readout {other}")),
            },
        })
    })
}

/// Section SYMB.
pub(crate) fn write_symbols(out: &mut Writer, populations: &[PopulationSymbol]) {
    out.count(populations.len());
    for population in populations {
        out.text(&population.name);
        write_shape(out, &population.shape);
        out.u32(population.latency_steps);
        out.count(population.locations.len());
        for location in &population.locations {
            out.u32(location.core);
            out.u32(location.compartment);
        }
        out.count(population.units_per_volt.len());
        for units in &population.units_per_volt {
            out.f64(*units);
        }
    }
}

pub(crate) fn read_symbols(reader: &mut Reader<'_>) -> Result<Vec<PopulationSymbol>, Fault> {
    reader.list(20, |reader| {
        Ok(PopulationSymbol {
            name: reader.text()?,
            shape: reader.list(4, Reader::u32)?,
            latency_steps: reader.u32()?,
            locations: reader.list(8, |reader| Ok(Location { core: reader.u32()?, compartment: reader.u32()? }))?,
            units_per_volt: reader.list(8, Reader::f64)?,
        })
    })
}

/// Whether outputs name populations that exist, and populations sit on neurons that exist.
pub(crate) fn check_symbols(
    outputs: &[OutputPort],
    populations: &[PopulationSymbol],
    neurons_of_core: impl Fn(u32) -> Option<usize>,
) -> Result<(), Fault> {
    for port in outputs {
        if port.population as usize >= populations.len() {
            return damaged(format!("output `{}` reads an unknown population", port.name));
        }
    }
    for population in populations {
        check_shape(&population.name, &population.shape, population.locations.len())?;
        let lost = population
            .locations
            .iter()
            .any(|place| neurons_of_core(place.core).is_none_or(|neurons| place.compartment as usize >= neurons));
        if lost {
            return damaged(format!("a neuron of `{}` sits on a compartment that does not exist", population.name));
        }
        if ![1, population.locations.len()].contains(&population.units_per_volt.len()) {
            return damaged(format!("population `{}` has {} scales", population.name, population.units_per_volt.len()));
        }
    }
    Ok(())
}

/// Section NOTE.
pub(crate) fn write_notes(out: &mut Writer, notes: &[(String, String)]) {
    out.count(notes.len());
    for (key, value) in notes {
        out.text(key);
        out.text(value);
    }
}

pub(crate) fn read_notes(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, Fault> {
    reader.list(8, |reader| Ok((reader.text()?, reader.text()?)))
}
