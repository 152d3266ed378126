//! What the tests share: batches, options, reading everything.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{Isolation, LogError, LogOffsets, PartitionLog};
use thalweg_core::record_batch::{self, BatchBuilder, Compression, NewRecord};
use thalweg_log::LogOptions;

/// Options for a log that does nothing by itself.
pub(crate) fn manual() -> LogOptions {
    LogOptions {
        background: false,
        index_interval_bytes: 512,
        reserve_bytes: 0,
        ..LogOptions::default()
    }
}

/// A batch of values with timestamps that count up from `time`.
pub(crate) fn batch_at(time: i64, values: &[&[u8]]) -> Bytes {
    build(BatchBuilder::new(Compression::None), time, values)
}

/// A batch of values.
pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    batch_at(1_000, values)
}

/// A batch of an idempotent producer.
pub(crate) fn batch_of(producer: i64, epoch: i16, sequence: i32, values: &[&[u8]]) -> Bytes {
    build(BatchBuilder::new(Compression::None).producer(producer, epoch, sequence), 1_000, values)
}

/// Fills a builder.
pub(crate) fn build(mut builder: BatchBuilder, time: i64, values: &[&[u8]]) -> Bytes {
    for (index, value) in values.iter().enumerate() {
        let timestamp = time + index as i64;
        builder.push(&NewRecord { timestamp, value: Some(value), ..NewRecord::default() }).unwrap();
    }
    builder.build().unwrap()
}

/// All batches from an offset to the high watermark, with their offsets.
pub(crate) fn read_from(
    partition: &dyn PartitionLog,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<(Offset, Bytes)>, LogError> {
    let mut out = Vec::new();
    let mut next = from;
    loop {
        let bytes = partition.read(next, max_bytes, Isolation::ReadUncommitted)?;
        if bytes.is_empty() {
            return Ok(out);
        }
        let mut at = 0;
        for batch in record_batch::split(&bytes) {
            let header = *batch.unwrap().header();
            out.push((header.base_offset, bytes.slice(at..at + header.size)));
            at += header.size;
            next = header.next_offset();
        }
    }
}

/// The values of all records from an offset on.
pub(crate) fn values(partition: &Arc<dyn PartitionLog>, from: Offset) -> Vec<Vec<u8>> {
    let mut scratch = Vec::new();
    let mut out = Vec::new();
    for (_, bytes) in read_from(&**partition, from, 1 << 20).unwrap() {
        let batch = record_batch::RecordBatch::parse(&bytes).unwrap();
        for record in batch.records(&mut scratch, &Default::default()).unwrap() {
            let record = record.unwrap();
            if record.offset >= from {
                out.push(record.value.unwrap_or_default().to_vec());
            }
        }
    }
    out
}

/// start, last stable, high watermark, end.
pub(crate) fn limits(offsets: LogOffsets) -> (Offset, Offset, Offset, Offset) {
    (offsets.start, offsets.last_stable, offsets.high_watermark, offsets.end)
}
