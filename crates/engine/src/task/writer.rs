//! The outputs of a subtask, and taking what they hold.

use std::sync::Arc;

use thalweg_stream::ChangeBatch;
use thalweg_stream::sink::SinkWriter;
use xxhash_rust::xxh3::xxh3_64;

use super::output::{ChunkBody, UnitChunk};
use crate::error::Result;
use crate::staging::Staging;

/// How much output may stand where.
#[derive(Clone)]
pub(super) struct OutputLimits {
    pub(super) staging: Arc<Staging>,
    pub(super) writer_bytes: usize,
    pub(super) inline_bytes: usize,
}

/// One output of a subtask, with what it wrote in this epoch.
pub(super) struct Writer {
    pub(super) sink: usize,
    pub(super) subtask: usize,
    pub(super) writer: Box<dyn SinkWriter>,
}

impl Writer {
    /// Writes a batch, and takes the chunks where the writer holds too much. It depends on
    /// rows alone when this happens, so replay gives the same chunks.
    pub(super) fn write(
        &mut self,
        batch: &ChangeBatch,
        limits: &OutputLimits,
        chunks: &mut Vec<UnitChunk>,
    ) -> Result<()> {
        self.writer.write(batch)?;
        if self.writer.buffered_bytes() > limits.writer_bytes {
            self.take_chunks(limits, true, chunks)?;
        }
        Ok(())
    }

    /// Takes the chunks; `stage` where they are to stand in a file whatever their size.
    pub(super) fn take_chunks(
        &mut self,
        limits: &OutputLimits,
        mut stage: bool,
        chunks: &mut Vec<UnitChunk>,
    ) -> Result<()> {
        let taken = self.writer.finish_epoch()?;
        let total: usize = taken.iter().map(|chunk| chunk.bytes.len()).sum();
        stage |= total > limits.inline_bytes;
        for chunk in taken {
            let body = if stage {
                ChunkBody::Staged(limits.staging.append(&chunk.bytes)?)
            } else {
                ChunkBody::Memory(chunk.bytes.clone())
            };
            chunks.push(UnitChunk {
                sink: self.sink,
                subtask: self.subtask,
                partition: chunk.partition,
                count: chunk.count,
                len: chunk.bytes.len() as u64,
                hash: xxh3_64(&chunk.bytes),
                body,
            });
        }
        Ok(())
    }
}
