//! Decisions out of the journal.

use thalweg_core::ids::{Epoch, Offset};

use crate::error::{JobError, Result};
use crate::journal::{EpochEntry, JournalReader, Record};

/// The entries behind a snapshot, one at a time.
pub(crate) struct Replay {
    reader: JournalReader,
    /// The last one.
    last: Epoch,
}

impl Replay {
    /// From where the reader stands to the entry of `last`.
    pub(crate) fn new(reader: JournalReader, last: Epoch) -> Self {
        Self { reader, last }
    }

    /// The next entry, and the offset behind it.
    pub(super) fn next(&mut self) -> Result<Option<(EpochEntry, Offset)>> {
        loop {
            match self.reader.next()? {
                Some((_, Record::Epoch(entry))) if entry.input.epoch <= self.last => {
                    return Ok(Some((*entry, self.reader.offset())));
                }
                Some((_, Record::Epoch(entry))) => {
                    let epoch = entry.input.epoch;
                    let detail = format!("the journal has an epoch {epoch} behind its last one");
                    return Err(JobError::Corrupt(detail));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}
