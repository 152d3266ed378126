//! Connectors and formats: how rows come in and go out.
//!
//! A connector says how a system is reached, a format how the bytes of a record are a row;
//! any format goes with any connector that moves bytes. `registry.rs` lists all of them.
//!
//! What is not here: no epoch, no SQL, no socket. Sources and sinks are what
//! `thalweg_stream` says they are; times and files come through `thalweg_core::env`.

pub mod format;
mod options;
