//! Report data and its views.
//!
//! The command fills a [`ReportData`] from the compile summary, the image, runs and verifications; `report.json` is that
//! value. **Invariant:** the views read nothing else, so that any report can be shown again from its file.

mod data;
mod figure;
mod table;
pub mod views;

pub use data::{
    ChipRow, CoreRow, DiagnosticRow, HostRow, HostRun, LayerRow, LinkRow, LossRow, NetworkInfo, PlacementRow,
    QuantizationRow, ReportData, ResourceUse, RunSection, SCHEMA_VERSION, Status, TargetInfo, Totals,
    VerificationSection,
};
pub use figure::{Basis, Figure, Value, count_text, energy_text, number_text, time_text};
pub use table::Table;
