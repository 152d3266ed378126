//! Reading the journal at a start: where it ends, and what may not be published.

use thalweg_core::ids::{Epoch, Incarnation, Offset};

use crate::error::{JobError, Result};
use crate::journal::{EpochEntry, Header, JournalReader, Record};
use crate::snapshot::SnapshotMeta;

/// What the journal says.
pub(super) struct Found {
    /// The last header.
    pub(super) header: Option<Header>,
    /// Highest incarnation.
    pub(super) incarnation: Option<Incarnation>,
    /// Last epoch of the snapshot, and of the journal.
    pub(super) restored: Epoch,
    pub(super) last: Epoch,
    pub(super) published: Epoch,
    /// Entries that may not be published, oldest first.
    pub(super) unpublished: Vec<EpochEntry>,
}

impl Found {
    pub(super) fn new(meta: Option<&SnapshotMeta>) -> Self {
        let restored = meta.map_or(Epoch(0), |meta| meta.ledger.epoch);
        Self {
            header: meta.map(|meta| meta.header.clone()),
            incarnation: meta.map(|meta| meta.header.incarnation),
            restored,
            last: restored,
            // A snapshot is taken of what is published.
            published: restored,
            unpublished: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, reader: &mut JournalReader) -> Result<()> {
        while let Some((offset, record)) = reader.next()? {
            match record {
                Record::Header(header) => {
                    self.incarnation = self.incarnation.max(Some(header.incarnation));
                    self.header = Some(*header);
                }
                Record::Fence(incarnation) => {
                    self.incarnation = self.incarnation.max(Some(incarnation));
                }
                Record::Progress(progress) => self.publish_through(progress.published_through),
                Record::Epoch(entry) => self.entry(offset, *entry)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, offset: Offset, entry: EpochEntry) -> Result<()> {
        if entry.input.epoch != self.last.next() {
            return Err(JobError::Corrupt(format!(
                "journal at offset {offset}: epoch {} follows epoch {}",
                entry.input.epoch, self.last
            )));
        }
        self.last = entry.input.epoch;
        self.publish_through(entry.published_through);
        self.unpublished.push(entry);
        Ok(())
    }

    fn publish_through(&mut self, epoch: Epoch) {
        self.published = self.published.max(epoch);
        self.unpublished.retain(|entry| entry.input.epoch > self.published);
    }
}

/// Refuses a journal whose beginning is gone.
pub(super) fn check_start(wanted: Offset, there: Offset) -> Result<()> {
    if there > wanted {
        return Err(JobError::Incompatible(format!(
            "the journal starts at offset {there}, but its entries from {wanted} on are \
             needed: something deleted them"
        )));
    }
    Ok(())
}
