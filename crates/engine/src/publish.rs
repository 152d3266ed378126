//! The publisher: makes committed epochs visible, in order, and never anything else.

use std::path::Path;

use thalweg_core::env::Env;
use thalweg_core::ids::Epoch;
use thalweg_stream::sink::{OutputChunk, Publication, SinkPublisher};
use thalweg_stream::view::ViewRef;

use crate::commit::CommittedEpoch;
use crate::error::Result;
use crate::journal::{ChunkPlace, EpochEntry, SinkPin};
use crate::staging;

/// Hands chunks to sinks and changes to views.
pub(crate) struct Publisher {
    /// By sink number.
    pub sinks: Vec<Box<dyn SinkPublisher>>,
    /// By sink number.
    pub pins: Vec<SinkPin>,
    /// By view number.
    pub views: Vec<ViewRef>,
}

impl Publisher {
    /// Publishes an epoch whose entry is durable. Of a replayed one only the views change.
    ///
    /// # Errors
    /// What a sink or view says. The job stops, and publishes the epoch again at its start.
    pub(crate) fn publish(&mut self, committed: &CommittedEpoch) -> Result<()> {
        if !committed.replayed {
            for chunk in &committed.chunks {
                let bytes = chunk.body.read()?;
                let output = OutputChunk { partition: chunk.partition, count: chunk.count, bytes };
                self.chunk(committed.epoch, chunk.sink, chunk.first_sequence, &output)?;
            }
            self.finish(committed.epoch)?;
        }
        // All views of a job show the same epoch, those without a change too.
        for (view, changes) in self.views.iter().zip(&committed.views) {
            view.commit(committed.epoch, changes)?;
        }
        Ok(())
    }

    /// Publishes an epoch out of its entry and its staged files.
    pub(crate) fn publish_entry(
        &mut self,
        env: &Env,
        dir: &Path,
        entry: &EpochEntry,
    ) -> Result<()> {
        let epoch = entry.input.epoch;
        for chunk in &entry.chunks {
            let bytes = match &chunk.place {
                ChunkPlace::Inline(bytes) => bytes.clone(),
                ChunkPlace::Staged { file, offset } => {
                    let name = &entry.staged[*file].name;
                    staging::read_chunk(env, dir, name, *offset, chunk.len, chunk.hash)?
                }
            };
            let output = OutputChunk { partition: chunk.partition, count: chunk.count, bytes };
            self.chunk(epoch, chunk.sink, chunk.first_sequence, &output)?;
        }
        self.finish(epoch)
    }

    fn chunk(
        &mut self,
        epoch: Epoch,
        sink: usize,
        first_sequence: u64,
        output: &OutputChunk,
    ) -> Result<()> {
        let producer = self.pins[sink].producer;
        let publication = Publication { producer, epoch, first_sequence };
        Ok(self.sinks[sink].publish(publication, output)?)
    }

    fn finish(&mut self, epoch: Epoch) -> Result<()> {
        for sink in &mut self.sinks {
            sink.finish_epoch(epoch)?;
        }
        Ok(())
    }
}
