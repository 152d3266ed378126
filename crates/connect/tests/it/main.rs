//! Connectors as the engine sees them: sources and sinks behind the registry.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod datagen;
mod files;
mod kafka_sink;
mod kafka_source;
mod options;
mod print;
mod side_topics;
mod support;
