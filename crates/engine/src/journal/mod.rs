//! The journal of a job: its header and epochs, on an internal topic.
//!
//! The format is specified in `docs/spec/epochs.md`, section 2: one record a record
//! batch, one entry a record.

mod codec;
mod entry;
mod header;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use codec::{Decoder, Encoder};
pub(crate) use entry::{
    ChunkPlace, ChunkRecord, EpochEntry, StagedFile, ViewRecord, decode_totals, encode_totals,
};
pub(crate) use header::{Header, RESULT_VERSION, SinkPin};
pub(crate) use record::{EndState, Progress, Record};
pub(crate) use store::{JournalReader, JournalWriter, TOPIC_PREFIX, open, topic_name};
