//! `__consumer_offsets`: the topic that holds what is remembered of groups, and from
//! which alone it is rebuilt.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::partition_log::{Appended, Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, BatchError, BatchHeader, Compression, ControlKind, DecompressionLimits,
    NewRecord, Record, RecordBatch, last_sequence_of, parse_control_record, split,
};
use thalweg_core::time::Millis;

use super::messages::TransactionRef;
use super::record::Entry;
use super::record::legacy::LegacyLine;
use crate::broker::BrokerError;

/// Name of the topic.
pub(crate) const TOPIC: &str = "__consumer_offsets";
/// Its only partition.
pub(crate) const PARTITION: i32 = 0;
/// Bytes read at a time when the topic is replayed.
const READ_BYTES: usize = 1 << 20;
/// A batch is closed when it has this many bytes. Below that what is appended together is
/// there as a whole after a crash, or not at all: a group that changes its protocol, with
/// as many members as are let in, is never found between the two.
const BATCH_BYTES: usize = 28 << 20;

/// Settings of the topic. What must be kept is pinned, and written anew now and then; the
/// rest goes once there is more than a little.
const CONFIG: &[(&str, &str)] = &[
    ("max.message.bytes", "33554432"),
    ("retention.bytes", "67108864"),
    ("retention.ms", "-1"),
    ("segment.bytes", "16777216"),
];

/// A record of the topic.
pub(super) enum Item {
    /// A change that counts.
    Entry(Entry),
    /// A change that counts when its transaction ends.
    InTransaction(TransactionRef, Entry),
    /// The end of a transaction.
    Marker(ProducerId, ControlKind),
    /// A record of the form before Kafka's.
    Legacy(LegacyLine),
}

/// The topic.
pub(super) struct OffsetsTopic {
    log: Arc<dyn PartitionLog>,
}

impl OffsetsTopic {
    /// Opens the topic, creating it where it is missing, and pins all of it until
    /// [`OffsetsTopic::keep_from`] says what is still needed.
    ///
    /// # Errors
    /// As the log reports them.
    pub(super) fn open(store: &dyn LogStore) -> Result<Self, LogError> {
        if store.topic(TOPIC).is_none() {
            let config: Vec<_> =
                CONFIG.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            store.create_topic(TOPIC, 1, &config)?;
        }
        let topic = Self { log: store.partition(TOPIC, PARTITION)? };
        topic.keep_from(topic.log.offsets().start);
        Ok(topic)
    }

    /// Gives every record that is needed, from the oldest to the newest, with its offset
    /// and its size in bytes.
    ///
    /// # Errors
    /// The topic cannot be read, or holds something that this version does not know.
    pub(super) fn replay(
        &self,
        mut each: impl FnMut(Offset, usize, Item),
    ) -> Result<(), BrokerError> {
        let offsets = self.log.offsets();
        let (mut next, mut scratch) = (offsets.start, Vec::new());
        while next < offsets.high_watermark {
            let chunk = self.log.read(next, READ_BYTES, Isolation::ReadUncommitted)?;
            let before = next;
            for batch in split(&chunk) {
                let batch = batch.map_err(|error| self.damaged(next, &error))?;
                self.replay_batch(&batch, next, &mut scratch, &mut each)?;
                next = batch.header().next_offset();
            }
            if next == before {
                return Err(self.damaged(next, &"no record where there should be one"));
            }
        }
        Ok(())
    }

    fn replay_batch(
        &self,
        batch: &RecordBatch<'_>,
        from: Offset,
        scratch: &mut Vec<u8>,
        each: &mut impl FnMut(Offset, usize, Item),
    ) -> Result<(), BrokerError> {
        let records = batch.records(scratch, &DecompressionLimits::default());
        for record in records.map_err(|error| self.damaged(from, &error))? {
            let record = record.map_err(|error| self.damaged(from, &error))?;
            if record.offset < from {
                continue;
            }
            let item = read(batch.header(), &record);
            let item = item.map_err(|detail| self.damaged(record.offset, &detail))?;
            let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            if let Some(item) = item {
                each(record.offset, size, item);
            }
        }
        Ok(())
    }

    fn damaged(&self, offset: Offset, detail: &dyn std::fmt::Display) -> BrokerError {
        BrokerError::State { topic: TOPIC.into(), offset, detail: detail.to_string() }
    }

    /// Appends entries, whose records get offsets one after another; see
    /// [`OffsetsTopic::when_durable`]. Gives their bytes as well.
    ///
    /// # Errors
    /// As the log reports them. Nothing was appended then.
    pub(super) fn append(
        &self,
        entries: &[Entry],
        transaction: Option<TransactionRef>,
        timestamp: Millis,
    ) -> Result<(Appended, usize), LogError> {
        let invalid = |error: BatchError| LogError::InvalidBatch {
            partition: self.log.name().clone(),
            detail: error.to_string(),
        };
        let batches = self.encode(entries, transaction, timestamp).map_err(invalid)?;
        let bytes = batches.len();
        Ok((self.log.append(batches)?, bytes))
    }

    fn encode(
        &self,
        entries: &[Entry],
        transaction: Option<TransactionRef>,
        timestamp: Millis,
    ) -> Result<Bytes, BatchError> {
        let mut sequence = transaction.map_or(0, |of| self.next_sequence(of));
        let begin = |sequence| match transaction {
            None => BatchBuilder::new(Compression::None),
            Some(of) => BatchBuilder::new(Compression::None)
                .producer(of.producer_id, of.producer_epoch, sequence)
                .transactional(true),
        };
        let (mut done, mut batch) = (BytesMut::new(), begin(sequence));
        for entry in entries {
            if batch.size_bytes() >= BATCH_BYTES {
                sequence = last_sequence_of(sequence, batch.len() as i32);
                let full = std::mem::replace(&mut batch, begin(sequence));
                done.extend_from_slice(&full.build()?);
            }
            let (key, value) = entry.encode();
            let (key, value) = (Some(&key[..]), value.as_deref());
            batch.push(&NewRecord { timestamp, key, value, headers: &[] })?;
        }
        let last = batch.build()?;
        if done.is_empty() {
            return Ok(last);
        }
        done.extend_from_slice(&last);
        Ok(done.freeze())
    }

    /// The sequence number that the log expects of a producer: nobody but the coordinator
    /// writes in its name here.
    fn next_sequence(&self, of: TransactionRef) -> i32 {
        let position = self.log.producer(of.producer());
        let position = position.filter(|position| position.epoch == of.producer_epoch);
        position.map_or(0, |position| match position.last_sequence {
            ..0 => 0,
            last => last_sequence_of(last, 1),
        })
    }

    /// Whether an append may have to wait for the disk.
    pub(super) fn append_may_wait(&self) -> bool {
        self.log.append_may_wait(BATCH_BYTES)
    }

    /// Whether everything before this offset is durable.
    pub(super) fn is_durable(&self, offset: Offset) -> bool {
        self.log.offsets().high_watermark >= offset
    }

    /// Calls back when everything before this offset is durable.
    pub(super) fn when_durable(
        &self,
        offset: Offset,
        done: impl FnOnce(Result<(), LogError>) + Send + 'static,
    ) {
        self.log.when_durable(offset, Box::new(done));
    }

    /// Lets go of everything before this offset.
    pub(super) fn keep_from(&self, offset: Offset) {
        self.log.pin("broker", Some(offset));
        self.log.release(offset);
    }
}

/// What a record says; `None` where this version can do without it.
fn read(header: &BatchHeader, record: &Record<'_>) -> Result<Option<Item>, String> {
    if header.attributes.is_control() {
        let kind = parse_control_record(record).map_err(|error| error.to_string())?;
        return Ok(kind.map(|kind| Item::Marker(ProducerId(header.producer_id), kind)));
    }
    let Some(key) = record.key else {
        return LegacyLine::decode(record.value.unwrap_or_default()).map(Item::Legacy).map(Some);
    };
    let Some(entry) = Entry::decode(key, record.value)? else { return Ok(None) };
    Ok(Some(match header.attributes.is_transactional() {
        false => Item::Entry(entry),
        true => {
            let (producer_id, producer_epoch) = (header.producer_id, header.producer_epoch);
            Item::InTransaction(TransactionRef { producer_id, producer_epoch }, entry)
        }
    }))
}
