//! Connectors and formats: how rows come in and go out.
//!
//! A connector says how a system is reached, a format how the bytes of a record are a row;
//! any format goes with any connector that moves bytes. `registry.rs` lists all of them.
//!
//! What is not here: no epoch, no SQL, no socket. Sources and sinks are what
//! `thalweg_stream` says they are; times and files come through `thalweg_core::env`.

mod batch;
mod blackhole;
mod datagen;
mod dead_letter;
mod file;
pub mod format;
mod kafka;
mod options;
mod print;
mod registry;
mod side_topic;

pub use dead_letter::{JOB_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER};
pub use print::LineWriter;
pub use registry::{CommittedOffsets, ConnectorRegistry, PositionPublisher};
pub use side_topic::{bad_sink, bad_table, late_sink, late_table, log_sink};
