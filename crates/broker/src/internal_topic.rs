//! Internal topics: the broker's own state as records of the log it serves.
//!
//! A record's value is framed, so that damage and newer versions are noticed apart from
//! what the log itself checks:
//!
//! ```text
//!  0 crc32c u32 (from 4)   4 format version u8   5 payload ...
//! ```

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{Appended, Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, BatchError, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_core::time::Millis;

use crate::broker::BrokerError;

/// Bytes of a frame before its payload.
const FRAME_BYTES: usize = 5;
/// Bytes read at a time when a topic is replayed.
const READ_BYTES: usize = 1 << 20;
/// A batch is closed when it has this many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Settings of internal topics. What must be kept is pinned; the rest of it goes once
/// there is more than a little.
const CONFIG: &[(&str, &str)] = &[
    ("max.message.bytes", "33554432"),
    ("retention.bytes", "268435456"),
    ("retention.ms", "-1"),
    ("segment.bytes", "16777216"),
];

/// A topic of one partition that holds state of the broker.
pub(crate) struct InternalTopic {
    log: Arc<dyn PartitionLog>,
    format_version: u8,
}

impl InternalTopic {
    /// Opens the topic, creating it where it is missing, and pins all of it until
    /// [`InternalTopic::keep_from`] says what is still needed.
    ///
    /// # Errors
    /// As the log reports them.
    pub(crate) fn open(
        store: &dyn LogStore,
        name: &str,
        format_version: u8,
    ) -> Result<Self, LogError> {
        if store.topic(name).is_none() {
            let config: Vec<_> =
                CONFIG.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            store.create_topic(name, 1, &config)?;
        }
        let topic = Self { log: store.partition(name, 0)?, format_version };
        topic.keep_from(topic.log.offsets().start);
        Ok(topic)
    }

    /// Stable id of the topic, as 128 bits.
    pub(crate) fn id(&self) -> u128 {
        self.log.topic_id().0
    }

    /// Gives every payload from the oldest to the newest.
    ///
    /// # Errors
    /// The topic cannot be read, or holds something that this version does not know.
    pub(crate) fn replay(
        &self,
        mut each: impl FnMut(Offset, &[u8]) -> Result<(), String>,
    ) -> Result<(), BrokerError> {
        let offsets = self.log.offsets();
        let (mut next, mut scratch) = (offsets.start, Vec::new());
        while next < offsets.high_watermark {
            let chunk = self.log.read(next, READ_BYTES, Isolation::ReadUncommitted)?;
            let before = next;
            for batch in split(&chunk) {
                let batch = batch.map_err(|error| self.damaged(next, &error))?;
                let records = batch.records(&mut scratch, &DecompressionLimits::default());
                for record in records.map_err(|error| self.damaged(next, &error))? {
                    let record = record.map_err(|error| self.damaged(next, &error))?;
                    let payload = self.unframe(record.offset, record.value.unwrap_or_default())?;
                    each(record.offset, payload)
                        .map_err(|detail| self.damaged(record.offset, &detail))?;
                    next = record.offset + 1;
                }
            }
            if next == before {
                return Err(self.damaged(next, &"no record where there should be one"));
            }
        }
        Ok(())
    }

    fn unframe<'a>(&self, offset: Offset, value: &'a [u8]) -> Result<&'a [u8], BrokerError> {
        let (version, payload) = unframe(value).map_err(|detail| self.damaged(offset, &detail))?;
        if version > self.format_version {
            return Err(BrokerError::NewerFormat {
                topic: self.log.name().topic.clone(),
                offset,
                found: version,
                known: self.format_version,
            });
        }
        Ok(payload)
    }

    fn damaged(&self, offset: Offset, detail: &dyn std::fmt::Display) -> BrokerError {
        BrokerError::State {
            topic: self.log.name().topic.clone(),
            offset,
            detail: detail.to_string(),
        }
    }

    /// Appends payloads as records; see [`InternalTopic::when_durable`].
    ///
    /// # Errors
    /// As the log reports them. Nothing was appended then.
    pub(crate) fn append(
        &self,
        payloads: impl IntoIterator<Item = Vec<u8>>,
        timestamp: Millis,
    ) -> Result<Appended, LogError> {
        let invalid = |error: BatchError| LogError::InvalidBatch {
            partition: self.log.name().clone(),
            detail: error.to_string(),
        };
        let batches = self.encode(payloads, timestamp).map_err(invalid)?;
        self.log.append(batches)
    }

    fn encode(
        &self,
        payloads: impl IntoIterator<Item = Vec<u8>>,
        timestamp: Millis,
    ) -> Result<Bytes, BatchError> {
        let mut done = BytesMut::new();
        let mut batch = BatchBuilder::new(Compression::None);
        for payload in payloads {
            if batch.size_bytes() >= BATCH_BYTES {
                let full = std::mem::replace(&mut batch, BatchBuilder::new(Compression::None));
                done.extend_from_slice(&full.build()?);
            }
            let value = frame(self.format_version, &payload);
            batch.push(&NewRecord { timestamp, value: Some(&value), ..NewRecord::default() })?;
        }
        let last = batch.build()?;
        if done.is_empty() {
            return Ok(last);
        }
        done.extend_from_slice(&last);
        Ok(done.freeze())
    }

    /// Calls back when everything before this offset is durable.
    pub(crate) fn when_durable(
        &self,
        offset: Offset,
        done: impl FnOnce(Result<(), LogError>) + Send + 'static,
    ) {
        self.log.when_durable(offset, Box::new(done));
    }

    /// Lets go of everything before this offset.
    pub(crate) fn keep_from(&self, offset: Offset) {
        self.log.pin("broker", Some(offset));
    }
}

/// The value of a record.
fn frame(version: u8, payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(FRAME_BYTES + payload.len());
    value.extend_from_slice(&[0; 4]);
    value.push(version);
    value.extend_from_slice(payload);
    let crc = crc32c::crc32c(&value[4..]);
    value[..4].copy_from_slice(&crc.to_be_bytes());
    value
}

/// Version and payload of a record's value.
fn unframe(value: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let (crc, framed) = value.split_first_chunk().ok_or("a short record")?;
    let (version, payload) = framed.split_first().ok_or("a short record")?;
    if crc32c::crc32c(framed) != u32::from_be_bytes(*crc) {
        return Err("a record's checksum does not match");
    }
    Ok((*version, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_show_damage() {
        let good = frame(1, b"payload");
        assert_eq!(unframe(&good), Ok((1, &b"payload"[..])));
        for at in 0..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            assert!(unframe(&damaged).is_err(), "byte {at}");
        }
        assert!((0..good.len()).all(|length| unframe(&good[..length]).is_err()));
    }
}
