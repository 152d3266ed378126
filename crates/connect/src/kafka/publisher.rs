//! Publishes chunks as record batches, each record once.
//!
//! A sink is an idempotent producer of its own for ever, and counts the records of each
//! partition. So after a crash the log itself says how much of a chunk is there already,
//! to the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::{Bytes, BytesMut};
use thalweg_core::env::Clock;
use thalweg_core::ids::{Epoch, Offset};
use thalweg_core::partition_log::{LogError, LogStore, PartitionLog, ProducerPosition};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, HEADER_BYTES, NewRecord, last_sequence_of,
};
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::sink::{Delivery, OutputChunk, Publication, SinkPublisher};

use super::chunk::{AT_PUBLICATION, ChunkReader, ChunkRecord};
use super::topic::max_message_bytes;

/// Epoch of the internal producers: they are fenced by the job's incarnation instead.
const PRODUCER_EPOCH: i16 = 0;
/// Bytes that are appended at once at most (about).
const APPEND_BYTES: usize = 8 << 20;

/// The number of a record among all of its producer and partition, as the log counts.
fn sequence(count: u64) -> i32 {
    (count & i32::MAX as u64) as i32
}

/// How many of a chunk's `count` records, the first of which has number `first`, are in the
/// log already; `None` where records before it are missing.
fn already_there(known: Option<ProducerPosition>, first: u64, count: u32) -> Option<u32> {
    let Some(known) = known.filter(|known| known.last_sequence >= 0) else { return Some(0) };
    let next = last_sequence_of(known.last_sequence, 1);
    // Sequence numbers wrap, so the distance is counted around the circle.
    let ahead = next.wrapping_sub(sequence(first)) & i32::MAX;
    match ahead as u32 {
        ahead if ahead <= count => Some(ahead),
        ahead if ahead < 1 << 30 => Some(count),
        _ => None,
    }
}

/// Writes to the partitions of one topic.
pub(crate) struct LogPublisher {
    log: Arc<dyn LogStore>,
    topic: String,
    compression: Compression,
    /// Stamps records that have no time; without one they have none (the topic stamps them).
    clock: Option<Arc<dyn Clock>>,
    partitions: BTreeMap<i32, Target>,
}

struct Target {
    log: Arc<dyn PartitionLog>,
    /// The end of what was appended and is not yet known to be durable.
    appended: Option<Offset>,
}

impl LogPublisher {
    pub(crate) fn new(
        log: Arc<dyn LogStore>,
        topic: &str,
        compression: Compression,
        clock: Option<Arc<dyn Clock>>,
    ) -> Self {
        Self { log, topic: topic.to_owned(), compression, clock, partitions: BTreeMap::new() }
    }

    fn target(&mut self, partition: i32) -> Result<&mut Target> {
        use std::collections::btree_map::Entry;
        Ok(match self.partitions.entry(partition) {
            Entry::Occupied(target) => target.into_mut(),
            Entry::Vacant(place) => {
                let log = self.log.partition(&self.topic, partition)?;
                place.insert(Target { log, appended: None })
            }
        })
    }

    fn max_message_bytes(&self) -> Result<usize> {
        let meta = self.log.topic(&self.topic).ok_or_else(|| {
            StreamError::External(format!("topic '{}' is not there any more", self.topic))
        })?;
        Ok(max_message_bytes(&*self.log, &meta))
    }

    fn incompatible(&self, partition: i32, what: &str) -> StreamError {
        StreamError::Incompatible(format!("{}-{partition}: {what}", self.topic))
    }
}

impl SinkPublisher for LogPublisher {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    /// Appends the chunk. That it is durable is waited for at the end of the epoch, so that
    /// all its partitions share the wait.
    fn publish(&mut self, publication: Publication, chunk: &OutputChunk) -> Result<()> {
        let limit = self.max_message_bytes()?;
        let known = self.target(chunk.partition)?.log.producer(publication.producer);
        let done = already_there(known, publication.first_sequence, chunk.count);
        let done = done.ok_or_else(|| {
            self.incompatible(
                chunk.partition,
                "the log lacks records that the job has published there",
            )
        })?;
        let mut batches = Batches {
            publication,
            next: publication.first_sequence + u64::from(done),
            limit,
            compression: self.compression,
            now: self.clock.as_ref().map_or(AT_PUBLICATION, |clock| clock.wall_ms()),
            builder: None,
            ready: BytesMut::new(),
        };
        let reader = ChunkReader::new(&chunk.bytes).map_err(StreamError::Incompatible)?;
        for record in reader.skip(done as usize) {
            batches.push(&record.map_err(StreamError::Incompatible)?)?;
            if batches.ready.len() >= APPEND_BYTES {
                self.append(chunk.partition, batches.take_ready())?;
            }
        }
        batches.end_batch()?;
        self.append(chunk.partition, batches.take_ready())
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        let waits: Vec<Receiver<Result<(), LogError>>> = self
            .partitions
            .values_mut()
            .filter_map(|target| {
                let offset = target.appended.take()?;
                let (sender, receiver) = sync_channel(1);
                let done = Box::new(move |outcome| {
                    let _ = sender.send(outcome);
                });
                target.log.when_durable(offset, done);
                Some(receiver)
            })
            .collect();
        for wait in waits {
            wait.recv().unwrap_or(Err(LogError::Stopped))?;
        }
        Ok(())
    }
}

impl LogPublisher {
    fn append(&mut self, partition: i32, batches: Bytes) -> Result<()> {
        let target = self.target(partition)?;
        if batches.is_empty() {
            // All is there, but perhaps not yet durable: the process before may have died.
            target.appended = target.appended.or(Some(target.log.offsets().end));
            return Ok(());
        }
        target.appended = Some(target.log.append(batches)?.next_offset);
        Ok(())
    }
}

/// Record batches under construction.
struct Batches {
    publication: Publication,
    /// Number of the next record.
    next: u64,
    limit: usize,
    compression: Compression,
    now: Millis,
    builder: Option<BatchBuilder>,
    ready: BytesMut,
}

/// At most so many bytes a record takes beyond its contents.
const RECORD_OVERHEAD: usize = 40;
/// And each header.
pub(crate) const HEADER_OVERHEAD: usize = 10;

/// Bytes that a record takes in a batch at most.
pub(crate) fn record_bytes(key: usize, value: usize, headers: &[(&str, Option<&[u8]>)]) -> usize {
    let headers: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len) + HEADER_OVERHEAD)
        .sum();
    RECORD_OVERHEAD + key + value + headers
}

/// The largest record that fits into a batch of `limit` bytes.
pub(crate) fn max_record_bytes(limit: usize) -> usize {
    limit.saturating_sub(HEADER_BYTES)
}

impl Batches {
    fn push(&mut self, record: &ChunkRecord<'_>) -> Result<()> {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let size = record_bytes(len(record.key), len(record.value), &record.headers);
        let full = |builder: &BatchBuilder| builder.size_bytes() + size > self.limit;
        if self.builder.as_ref().is_some_and(full) {
            self.end_batch()?;
        }
        let next = self.next;
        let builder = self.builder.get_or_insert_with(|| {
            let producer = self.publication.producer.0;
            BatchBuilder::new(self.compression).producer(producer, PRODUCER_EPOCH, sequence(next))
        });
        let timestamp =
            if record.timestamp == AT_PUBLICATION { self.now } else { record.timestamp };
        builder
            .push(&NewRecord {
                timestamp,
                key: record.key,
                value: record.value,
                headers: &record.headers,
            })
            .map_err(|error| StreamError::Invalid(error.to_string()))?;
        self.next += 1;
        Ok(())
    }

    fn end_batch(&mut self) -> Result<()> {
        if let Some(builder) = self.builder.take() {
            let batch =
                builder.build().map_err(|error| StreamError::Internal(error.to_string()))?;
            self.ready.extend_from_slice(&batch);
        }
        Ok(())
    }

    fn take_ready(&mut self) -> Bytes {
        self.ready.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_counted_to_the_record() {
        let known = |last_sequence| {
            Some(ProducerPosition {
                epoch: 0,
                last_sequence,
                last_offset: 99,
                open_since: None,
                coordinator_epoch: -1,
                last_timestamp: -1,
            })
        };
        assert_eq!(already_there(None, 0, 5), Some(0));
        assert_eq!(already_there(known(9), 10, 5), Some(0));
        assert_eq!(already_there(known(11), 10, 5), Some(2));
        assert_eq!(already_there(known(14), 10, 5), Some(5));
        assert_eq!(already_there(known(500), 10, 5), Some(5));
        assert_eq!(already_there(known(8), 10, 5), None);
        // Where sequence numbers begin anew.
        let wrap = 1 << 31;
        assert_eq!(already_there(known(i32::MAX), wrap, 5), Some(0));
        assert_eq!(already_there(known(1), wrap - 2, 6), Some(4));
        assert_eq!(already_there(known(i32::MAX), wrap - 2, 6), Some(2));
        assert_eq!(sequence(wrap + 7), 7);
    }
}
