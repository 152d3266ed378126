//! The journal on its topic: one writer, fenced by its incarnation, and readers.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::ids::{Incarnation, Offset, ProducerId};
use thalweg_core::partition_log::{
    DurableCallback, Isolation, LogError, LogStore, PartitionLog, append_durably,
};
use thalweg_core::record_batch::{
    BatchBuilder, BatchError, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_core::time::Millis;

use super::Record;
use crate::error::{JobError, Result};
use crate::job::JobId;

/// Producer id of the first 32767 incarnations on a journal. Only journals use it, and a
/// journal has one writer, so it can be the same for all of them.
const JOURNAL_PRODUCER: i64 = ProducerId::FIRST_INTERNAL;
/// Producer epochs that incarnations use of one id. The one above is for the fence.
const EPOCHS_A_PRODUCER: u32 = i16::MAX as u32;
/// Largest entry: `max.message.bytes` of the topic.
const MAX_ENTRY_BYTES: usize = 64 << 20;
/// Size of its segments: what is released is deleted in these steps.
const SEGMENT_BYTES: usize = 64 << 20;
/// Bytes asked for at once when reading.
const READ_BYTES: usize = 1 << 20;

/// How the names of journal topics begin.
pub(crate) const TOPIC_PREFIX: &str = "__journal.";

/// Name of a job's journal topic.
pub(crate) fn topic_name(job: JobId) -> String {
    format!("{TOPIC_PREFIX}{job}")
}

/// Opens the journal's partition; creates the topic for a new job.
pub(crate) fn open(log: &dyn LogStore, job: JobId) -> Result<Arc<dyn PartitionLog>> {
    let name = topic_name(job);
    if log.topic(&name).is_none() {
        let config = [
            ("cleanup.policy".to_owned(), "delete".to_owned()),
            ("max.message.bytes".to_owned(), MAX_ENTRY_BYTES.to_string()),
            ("segment.bytes".to_owned(), SEGMENT_BYTES.to_string()),
            ("retention.bytes".to_owned(), "-1".to_owned()),
            ("retention.ms".to_owned(), "-1".to_owned()),
        ];
        match log.create_topic(&name, 1, &config) {
            Ok(_) | Err(LogError::TopicExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(log.partition(&name, 0)?)
}

/// Reads entries in order, without holding more than one chunk of the log.
pub(crate) struct JournalReader {
    log: Arc<dyn PartitionLog>,
    next: Offset,
    /// Stops before this offset.
    end: Offset,
    chunk: Bytes,
}

impl JournalReader {
    /// From an offset, or from the start of the journal where that was moved up, to
    /// everything that is durable now.
    pub(crate) fn new(log: Arc<dyn PartitionLog>, from: Offset) -> Self {
        let offsets = log.offsets();
        let next = from.max(offsets.start);
        Self { log, next, end: offsets.last_stable, chunk: Bytes::new() }
    }

    /// The same, up to `end` only.
    pub(crate) fn until(log: Arc<dyn PartitionLog>, from: Offset, end: Offset) -> Self {
        Self { end, ..Self::new(log, from) }
    }

    /// Offset of the entry that comes next.
    pub(crate) fn offset(&self) -> Offset {
        self.next
    }

    /// The next record with its offset.
    pub(crate) fn next(&mut self) -> Result<Option<(Offset, Record)>> {
        while self.next < self.end {
            if self.chunk.is_empty() {
                self.chunk = self.log.read(self.next, READ_BYTES, Isolation::ReadCommitted)?;
                if self.chunk.is_empty() {
                    return Ok(None);
                }
            }
            let chunk = self.chunk.clone();
            let Some(batch) = split(&chunk).next() else { return Err(no_batch(self.next)) };
            let batch = batch.map_err(|error| damaged(self.next, &error))?;
            self.chunk = chunk.slice(batch.header().size..);
            if batch.header().last_offset() < self.next {
                // What was asked for is in the chunk, or asking again would not help.
                if self.chunk.is_empty() {
                    return Err(no_batch(self.next));
                }
                continue;
            }
            batch.verify_crc().map_err(|error| damaged(self.next, &error))?;
            self.next = batch.header().next_offset();
            let mut scratch = Vec::new();
            let limits = DecompressionLimits { max_output: MAX_ENTRY_BYTES, ..Default::default() };
            let mut records =
                batch.records(&mut scratch, &limits).map_err(|error| damaged(self.next, &error))?;
            let Some(record) = records.next() else { continue };
            let record = record.map_err(|error| damaged(self.next, &error))?;
            let value = record.value.unwrap_or_default();
            return Ok(Some((record.offset, Record::decode(value)?)));
        }
        Ok(None)
    }
}

fn no_batch(offset: Offset) -> JobError {
    JobError::Corrupt(format!("journal at offset {offset}: no record batch where one has to be"))
}

fn damaged(offset: Offset, error: &BatchError) -> JobError {
    JobError::Corrupt(format!("journal at offset {offset}: {error}"))
}

/// Appends entries on behalf of one incarnation.
pub(crate) struct JournalWriter {
    log: Arc<dyn PartitionLog>,
    producer: (i64, i16),
    next_sequence: i32,
    next_offset: Offset,
}

impl JournalWriter {
    /// Takes the journal over: appends what fences the incarnations before this one, then
    /// `header`, and waits until it is durable. From then on no older one can append.
    ///
    /// # Errors
    /// [`JobError::Fenced`] where another one was faster.
    pub(crate) fn take_over(
        log: Arc<dyn PartitionLog>,
        incarnation: Incarnation,
        header: &Record,
        now: Millis,
    ) -> Result<Self> {
        let id = JOURNAL_PRODUCER + i64::from(incarnation.0 / EPOCHS_A_PRODUCER);
        let epoch = (incarnation.0 % EPOCHS_A_PRODUCER) as i16;
        if epoch == 0 && incarnation.0 > 0 {
            let fence = Record::Fence(incarnation);
            append_durably(&*log, encode(&fence, (id - 1, i16::MAX), 0, now)?)?;
        }
        let producer = (id, epoch);
        let appended = append_durably(&*log, encode(header, producer, 0, now)?)?;
        if appended.duplicate {
            let detail = format!("incarnation {} is taken", incarnation.0);
            return Err(JobError::Fenced(detail));
        }
        Ok(Self { log, producer, next_sequence: 1, next_offset: appended.next_offset })
    }

    /// Appends an entry. Gives the offset after it; `durable` is called when it is on disk.
    ///
    /// # Errors
    /// [`JobError::Fenced`] where a newer incarnation has taken over, and the log's.
    pub(crate) fn append(
        &mut self,
        record: &Record,
        now: Millis,
        durable: DurableCallback,
    ) -> Result<Offset> {
        let batch = encode(record, self.producer, self.next_sequence, now)?;
        let appended = self.log.append(batch)?;
        if appended.duplicate || appended.base_offset != self.next_offset {
            let detail = format!(
                "the journal's next entry was to have offset {}, but it got {}",
                self.next_offset, appended.base_offset
            );
            return Err(JobError::Fenced(detail));
        }
        self.next_sequence = self.next_sequence.checked_add(1).unwrap_or(0);
        self.next_offset = appended.next_offset;
        self.log.when_durable(appended.next_offset, durable);
        Ok(appended.next_offset)
    }

    /// The same, waiting until it is on disk.
    pub(crate) fn append_durably(&mut self, record: &Record, now: Millis) -> Result<Offset> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let durable = move |outcome| drop(sender.send(outcome));
        let next = self.append(record, now, Box::new(durable))?;
        receiver.recv().unwrap_or(Err(LogError::Stopped))?;
        Ok(next)
    }

    /// Offset that the next entry will get.
    pub(crate) fn next_offset(&self) -> Offset {
        self.next_offset
    }
}

fn encode(record: &Record, producer: (i64, i16), sequence: i32, now: Millis) -> Result<Bytes> {
    let value = record.encode();
    let mut batch = BatchBuilder::new(Compression::None).producer(producer.0, producer.1, sequence);
    let record = NewRecord { timestamp: now.max(0), value: Some(&value), ..NewRecord::default() };
    batch
        .push(&record)
        .and_then(|()| batch.build())
        .map_err(|error| JobError::Internal(format!("journal entry: {error}")))
}
