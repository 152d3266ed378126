//! Sinks: where the changes of an epoch go.
//!
//! A writer turns change batches into *output chunks* while the epoch is processed;
//! nothing is visible yet. When the journal entry of the epoch is durable, the
//! publisher makes the chunks visible. After a crash it is asked again for epochs whose
//! publication may have been interrupted, and must then add nothing twice (unless it
//! says that it is at least once).

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::ids::{Epoch, ProducerId};

use crate::change_batch::ChangeBatch;
use crate::error::Result;

/// How often a row can appear outside after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Once.
    ExactlyOnce,
    /// Once, or again after a crash.
    AtLeastOnce,
}

/// What one subtask has for one partition of a sink in one epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputChunk {
    /// Partition of the sink; 0 where it has none.
    pub partition: i32,
    /// Number of rows or records.
    pub count: u32,
    /// The bytes that publication needs, in the sink's own form. They stand in the
    /// journal and are hashed; the same rows must give the same bytes.
    pub bytes: Bytes,
}

/// Turns change batches into output chunks. One for each subtask.
pub trait SinkWriter: Send {
    /// Takes a batch of the current epoch.
    ///
    /// # Errors
    /// A row that the sink cannot take.
    fn write(&mut self, batch: &ChangeBatch) -> Result<()>;

    /// Bytes held for the current epoch.
    fn buffered_bytes(&self) -> usize;

    /// Ends the epoch and gives its chunks, sorted by partition.
    ///
    /// # Errors
    /// As [`SinkWriter::write`].
    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>>;
}

/// Who publishes: identifies a job's output in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publication {
    /// Producer id of this sink of this job, for ever.
    pub producer: ProducerId,
    /// The epoch.
    pub epoch: Epoch,
    /// Sequence number of the chunk's first record in its partition: the count of all
    /// records published there before, over all epochs.
    pub first_sequence: u64,
}

/// Makes committed chunks visible, in order of epochs.
pub trait SinkPublisher: Send {
    /// How often a row can appear after a crash.
    fn delivery(&self) -> Delivery;

    /// Makes a chunk visible and durable unless it already is. Blocks until then.
    ///
    /// # Errors
    /// Whatever keeps it from being visible; the job stops and publishes again later.
    fn publish(&mut self, publication: Publication, chunk: &OutputChunk) -> Result<()>;

    /// Called after all chunks of an epoch.
    ///
    /// # Errors
    /// As [`SinkPublisher::publish`].
    fn finish_epoch(&mut self, epoch: Epoch) -> Result<()>;
}

/// A sink.
pub trait Sink: Send + Sync {
    /// Number of partitions that chunks may name, pinned when a job starts.
    fn partitions(&self) -> i32;

    /// Whether retractions can be written. Otherwise a changelog is refused at planning.
    fn accepts_updates(&self) -> bool;

    /// A writer for one of `parallelism` subtasks.
    ///
    /// # Errors
    /// Options that cannot work.
    fn writer(&self, subtask: usize, parallelism: usize) -> Result<Box<dyn SinkWriter>>;

    /// The publisher; one for the job.
    ///
    /// # Errors
    /// Whatever keeps the outside from being reached.
    fn publisher(&self) -> Result<Box<dyn SinkPublisher>>;
}

/// A shared sink.
pub type SinkRef = Arc<dyn Sink>;
