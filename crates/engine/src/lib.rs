//! The epoch engine: runs dataflow graphs as deterministic functions of their journals.
//!
//! What is not here: no SQL, no connector, no socket; rows arrive through
//! `thalweg_stream::source` and leave through `thalweg_stream::sink`.

pub mod key;
pub mod operator;
