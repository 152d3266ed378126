//! The sinks of `kafka` and `upsert-kafka` tables: rows as records of a topic.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use thalweg_core::env::Clock;
use thalweg_core::partition_log::LogStore;
use thalweg_core::record_batch::Compression;
use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::sink::{OutputChunk, Sink, SinkPublisher, SinkWriter};
use thalweg_stream::{ChangeBatch, RowKind, StreamError};

use super::chunk::{AT_PUBLICATION, ChunkBuilder};
use super::columns::{Layout, Part};
use super::options::Partitioner;
use super::partitioner::partition_of;
use super::publisher::{LogPublisher, max_record_bytes, record_bytes};
use crate::format::cells::{Cells, Values};
use crate::format::datetime::DayTime;
use crate::format::{RowEncoder, Text};

/// Rows as records of a topic.
pub(crate) struct KafkaSink {
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) topic: String,
    pub(crate) partitions: i32,
    pub(crate) layout: Layout,
    pub(crate) partitioner: Partitioner,
    pub(crate) compression: Compression,
    /// Deletes become records without a value.
    pub(crate) upsert: bool,
    /// Column with the records' timestamps, if there is one.
    pub(crate) timestamp: Option<usize>,
    /// Limit of the topic for a record batch.
    pub(crate) max_message_bytes: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Sink for KafkaSink {
    fn partitions(&self) -> i32 {
        self.partitions
    }

    fn accepts_updates(&self) -> bool {
        self.upsert
    }

    fn writer(&self, subtask: usize, _parallelism: usize) -> Result<Box<dyn SinkWriter>> {
        let encoder = |part: &Part| part.format.encoder(&part.fields);
        Ok(Box::new(KafkaWriter {
            topic: self.topic.clone(),
            key: self.layout.key.as_ref().map(&encoder).transpose()?,
            value: encoder(&self.layout.value)?,
            layout: self.layout.clone(),
            upsert: self.upsert,
            timestamp: self.timestamp,
            max_record_bytes: max_record_bytes(self.max_message_bytes),
            partitioner: self.partitioner,
            subtask,
            turn: subtask,
            chunks: (0..self.partitions).map(|_| ChunkBuilder::default()).collect(),
            key_bytes: Text::new(),
            value_bytes: Text::new(),
        }))
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        let clock = Some(self.clock.clone());
        let log = self.log.clone();
        Ok(Box::new(LogPublisher::new(log, &self.topic, self.compression, clock)))
    }
}

struct KafkaWriter {
    topic: String,
    layout: Layout,
    key: Option<Box<dyn RowEncoder>>,
    value: Box<dyn RowEncoder>,
    upsert: bool,
    timestamp: Option<usize>,
    max_record_bytes: usize,
    partitioner: Partitioner,
    subtask: usize,
    /// For round-robin: where the next record goes.
    turn: usize,
    chunks: Vec<ChunkBuilder>,
    key_bytes: Text,
    value_bytes: Text,
}

impl KafkaWriter {
    fn partition(&mut self, has_key: bool) -> usize {
        let partitions = self.chunks.len().max(1);
        match self.partitioner {
            Partitioner::ByKey if has_key => {
                partition_of(&self.key_bytes, partitions as i32) as usize
            }
            Partitioner::ByKey | Partitioner::Fixed => self.subtask % partitions,
            Partitioner::RoundRobin => {
                self.turn = (self.turn + 1) % partitions;
                self.turn
            }
        }
    }

    fn row(&mut self, row: usize, kind: RowKind, timestamp: Millis) -> Result<()> {
        self.key_bytes.clear();
        self.value_bytes.clear();
        let mut has_key = false;
        if let Some(key) = &mut self.key {
            has_key = !key.is_null(row);
            key.encode(row, &mut self.key_bytes)?;
        }
        let has_value = kind.is_addition() && !self.value.is_null(row);
        if has_value {
            self.value.encode(row, &mut self.value_bytes)?;
        }
        let size = record_bytes(self.key_bytes.len(), self.value_bytes.len(), &[]);
        if size > self.max_record_bytes {
            return Err(StreamError::Invalid(format!(
                "a row of {size} bytes is too large for topic '{}': its 'max.message.bytes' \
                 leaves {} for a record",
                self.topic, self.max_record_bytes
            )));
        }
        let partition = self.partition(has_key);
        if let Some(chunk) = self.chunks.get_mut(partition) {
            let key = has_key.then_some(&self.key_bytes[..]);
            let value = has_value.then_some(&self.value_bytes[..]);
            chunk.push(timestamp, key, value, &[]);
        }
        Ok(())
    }
}

impl SinkWriter for KafkaWriter {
    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        if let (Some(key), Some(part)) = (&mut self.key, &self.layout.key) {
            key.begin(&renamed(&batch.rows, part)?)?;
        }
        self.value.begin(&renamed(&batch.rows, &self.layout.value)?)?;
        let timestamps = match self.timestamp {
            Some(column) => Some(Cells::new(batch.rows.column(column))?),
            None => None,
        };
        for row in 0..batch.num_rows() {
            let kind = batch.kind(row);
            match kind {
                // The new values under the same key say it all.
                RowKind::UpdateBefore if self.upsert => continue,
                RowKind::Insert => {}
                _ if self.upsert => {}
                kind => {
                    return Err(StreamError::Internal(format!(
                        "a change {} for topic '{}', which takes inserts only",
                        kind.short(),
                        self.topic
                    )));
                }
            }
            let timestamp = timestamps.as_ref().map_or(AT_PUBLICATION, |cells| millis(cells, row));
            self.row(row, kind, timestamp)?;
        }
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.chunks.iter().map(ChunkBuilder::len).sum()
    }

    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>> {
        // What was written must depend on this epoch alone.
        self.turn = self.subtask;
        Ok(take_chunks(&mut self.chunks))
    }
}

/// The chunks that have records, by partition.
pub(crate) fn take_chunks(chunks: &mut [ChunkBuilder]) -> Vec<OutputChunk> {
    chunks
        .iter_mut()
        .enumerate()
        .filter(|(_, chunk)| chunk.count() > 0)
        .map(|(partition, chunk)| {
            let (count, bytes) = chunk.take();
            OutputChunk { partition: partition as i32, count, bytes: Bytes::from(bytes) }
        })
        .collect()
}

/// The columns of one half of a record, under their names there.
fn renamed(rows: &RecordBatch, part: &Part) -> Result<RecordBatch> {
    let columns: Vec<_> = part.columns.iter().map(|&at| rows.column(at).clone()).collect();
    // The rows' own types: they may say less about nulls than the table does.
    let fields: Vec<_> = part
        .fields
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| {
            let field = field.as_ref().clone().with_nullable(true);
            field.with_data_type(column.data_type().clone())
        })
        .collect();
    let schema = Arc::new(arrow_schema::Schema::new(fields));
    crate::batch::record_batch(&schema, columns, rows.num_rows())
}

fn millis(cells: &Cells, row: usize) -> Millis {
    if cells.is_null(row) {
        return AT_PUBLICATION;
    }
    let millis = match &cells.values {
        Values::Timestamp { values, unit, .. } => DayTime::of_unit(values[row], *unit)
            .in_unit(arrow_schema::TimeUnit::Millisecond)
            .unwrap_or(AT_PUBLICATION),
        Values::Int64(values) => values[row],
        _ => AT_PUBLICATION,
    };
    // Times before 1970 cannot be said in a record.
    millis.max(AT_PUBLICATION)
}
