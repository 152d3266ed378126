//! The ground floor of Thalweg: the small types that every layer shares, and the
//! environment through which all code reaches time, randomness, disk and threads.
//!
//! What is not here: nothing that knows Arrow, SQL, sockets or the Kafka protocol.
//! A type moves here only when a second crate needs it.

pub mod authorizer;
pub mod env;
pub mod ids;
pub mod key_group;
pub mod partition_log;
pub mod record_batch;
pub mod refused_records;
pub mod time;
