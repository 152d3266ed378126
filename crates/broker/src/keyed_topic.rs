//! Internal topics in Kafka's own form: the newest record of a key is what holds, one
//! without a value says that the key is gone.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{Appended, Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, BatchError, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_core::time::Millis;
use tokio::sync::oneshot;

use crate::broker::BrokerError;

/// Bytes read at a time when a topic is replayed.
const READ_BYTES: usize = 1 << 20;
/// A batch is closed when it has this many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Settings: nothing is deleted but what was written again.
const CONFIG: &[(&str, &str)] = &[
    ("max.message.bytes", "33554432"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
    ("segment.bytes", "16777216"),
];

/// A topic of one partition whose records replace each other by key.
pub(crate) struct KeyedTopic {
    log: Arc<dyn PartitionLog>,
}

/// A record of a keyed topic.
pub(crate) struct KeyedRecord<'a> {
    pub(crate) offset: Offset,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl KeyedTopic {
    /// Opens the topic, creating it where it is missing.
    ///
    /// # Errors
    /// As the log reports them.
    pub(crate) fn open(store: &dyn LogStore, name: &str) -> Result<Self, LogError> {
        if store.topic(name).is_none() {
            let config: Vec<_> =
                CONFIG.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            store.create_topic(name, 1, &config)?;
        }
        Ok(Self { log: store.partition(name, 0)? })
    }

    /// Gives every record from the oldest to the newest.
    ///
    /// # Errors
    /// The topic cannot be read, or `each` refuses a record.
    pub(crate) fn replay(
        &self,
        mut each: impl FnMut(KeyedRecord<'_>) -> Result<(), BrokerError>,
    ) -> Result<(), BrokerError> {
        let offsets = self.log.offsets();
        let (mut next, mut scratch) = (offsets.start, Vec::new());
        while next < offsets.high_watermark {
            let chunk = self.log.read(next, READ_BYTES, Isolation::ReadUncommitted)?;
            let before = next;
            for batch in split(&chunk) {
                let batch = batch.map_err(|error| self.damaged(next, &error))?;
                batch.verify_crc().map_err(|error| self.damaged(next, &error))?;
                let records = batch.records(&mut scratch, &DecompressionLimits::default());
                for record in records.map_err(|error| self.damaged(next, &error))? {
                    let record = record.map_err(|error| self.damaged(next, &error))?;
                    if record.offset < next {
                        continue;
                    }
                    let key = record
                        .key
                        .ok_or_else(|| self.damaged(record.offset, &"a record without a key"))?;
                    each(KeyedRecord { offset: record.offset, key, value: record.value })?;
                }
                // Compaction leaves gaps, also at the end of a batch.
                next = next.max(batch.header().next_offset());
            }
            if next == before {
                return Err(self.damaged(next, &"no record where there should be one"));
            }
        }
        Ok(())
    }

    /// An error about what stands at an offset.
    pub(crate) fn damaged(&self, offset: Offset, detail: &dyn std::fmt::Display) -> BrokerError {
        BrokerError::State {
            topic: self.log.name().topic.clone(),
            offset,
            detail: detail.to_string(),
        }
    }

    /// Appends records, each a key and a value; see [`KeyedTopic::when_durable`].
    ///
    /// # Errors
    /// As the log reports them. Nothing was appended then.
    pub(crate) fn append(
        &self,
        records: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        timestamp: Millis,
    ) -> Result<Appended, LogError> {
        let batches = encode(records, timestamp).map_err(|error| LogError::InvalidBatch {
            partition: self.log.name().clone(),
            detail: error.to_string(),
        })?;
        self.log.append(batches)
    }

    /// Lets go of everything before this offset, whose records were all written again.
    pub(crate) fn keep_from(&self, offset: Offset) {
        self.log.release(offset);
    }

    /// Whether an append may have to wait for the disk.
    pub(crate) fn append_may_wait(&self) -> bool {
        self.log.append_may_wait(BATCH_BYTES)
    }

    /// Whether everything before this offset is durable.
    pub(crate) fn is_durable(&self, offset: Offset) -> bool {
        self.log.offsets().high_watermark >= offset
    }

    /// Waits until everything before this offset is durable.
    ///
    /// # Errors
    /// The log stopped or failed.
    pub(crate) fn durable(
        &self,
        offset: Offset,
    ) -> impl Future<Output = Result<(), LogError>> + use<> {
        let (sender, receiver) = oneshot::channel();
        self.when_durable(offset, move |outcome| {
            let _ = sender.send(outcome);
        });
        async move { receiver.await.unwrap_or(Err(LogError::Stopped)) }
    }

    /// Calls back when everything before this offset is durable.
    pub(crate) fn when_durable(
        &self,
        offset: Offset,
        done: impl FnOnce(Result<(), LogError>) + Send + 'static,
    ) {
        self.log.when_durable(offset, Box::new(done));
    }
}

fn encode(
    records: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    timestamp: Millis,
) -> Result<Bytes, BatchError> {
    let mut done = BytesMut::new();
    let mut batch = BatchBuilder::new(Compression::None);
    for (key, value) in records {
        if batch.size_bytes() >= BATCH_BYTES {
            let full = std::mem::replace(&mut batch, BatchBuilder::new(Compression::None));
            done.extend_from_slice(&full.build()?);
        }
        let (key, value) = (Some(key.as_slice()), value.as_deref());
        batch.push(&NewRecord { timestamp, key, value, headers: &[] })?;
    }
    done.extend_from_slice(&batch.build()?);
    Ok(done.freeze())
}
