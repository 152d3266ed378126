//! Writing batches.

use bytes::Bytes;

use super::header::{self, Attributes, BatchHeader, HEADER_BYTES, LENGTH_PREFIX_BYTES};
use super::{
    BatchError, Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, compress,
    varint,
};
use crate::time::Millis;

/// A record to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NewRecord<'a> {
    /// Milliseconds since the epoch.
    pub timestamp: Millis,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The value, if any.
    pub value: Option<&'a [u8]>,
    /// Headers: keys and values.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Collects records into one batch. Its base offset is 0; a log sets the real one.
///
/// ```
/// # use thalweg_core::record_batch::{BatchBuilder, NewRecord, Compression};
/// let mut batch = BatchBuilder::new(Compression::Lz4);
/// batch.push(&NewRecord { timestamp: 1, value: Some(b"21.5"), ..NewRecord::default() })?;
/// let bytes = batch.build()?;
/// # Ok::<(), thalweg_core::record_batch::BatchError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Place for the header, then the records as they are before compression.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: Millis,
    max_timestamp: Millis,
    compression: Compression,
    producer: (i64, i16, i32),
    transactional: bool,
    control: bool,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(compression: Compression) -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            count: 0,
            base_timestamp: 0,
            max_timestamp: -1,
            compression,
            producer: (NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE),
            transactional: false,
            control: false,
        }
    }

    /// Names the idempotent producer, its epoch and the sequence of the first record.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Makes the batch part of the producer's transaction.
    #[must_use]
    pub fn transactional(mut self, transactional: bool) -> Self {
        self.transactional = transactional;
        self
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`BatchError::Malformed`] beyond what a batch can hold; nothing was added then.
    pub fn push(&mut self, record: &NewRecord<'_>) -> Result<(), BatchError> {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        let timestamp_delta = record
            .timestamp
            .checked_sub(self.base_timestamp)
            .ok_or(BatchError::Malformed("timestamps too far apart for one batch"))?;
        if self.count == i32::MAX {
            return Err(BatchError::Malformed("too much for one batch"));
        }
        let headers = record.headers.iter().map(|(key, value)| (key.as_bytes(), *value));
        let deltas = (timestamp_delta, self.count);
        put_record(&mut self.bytes, deltas, record.key, record.value, headers)?;
        self.max_timestamp = if self.count == 0 {
            record.timestamp
        } else {
            self.max_timestamp.max(record.timestamp)
        };
        self.count += 1;
        Ok(())
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The batch.
    ///
    /// # Errors
    /// [`BatchError::Malformed`] where it has no records.
    pub fn build(mut self) -> Result<Bytes, BatchError> {
        if self.count == 0 {
            return Err(BatchError::Malformed("a batch without records"));
        }
        self.bytes = pack(self.bytes, self.compression)?;
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let fields = BatchHeader {
            base_offset: 0,
            size: self.bytes.len(),
            leader_epoch: -1,
            crc: 0,
            attributes: Attributes::new(self.compression, self.transactional, self.control),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count: self.count,
        };
        header::write(&fields, &mut self.bytes);
        Ok(self.bytes.into())
    }
}

/// Compresses the records behind the place for the header, and checks that a batch can
/// hold them.
pub(super) fn pack(bytes: Vec<u8>, compression: Compression) -> Result<Vec<u8>, BatchError> {
    let mut packed = bytes;
    if compression != Compression::None {
        let plain = std::mem::replace(&mut packed, vec![0; HEADER_BYTES]);
        compress(compression, &plain[HEADER_BYTES..], &mut packed)?;
    }
    match i32::try_from(packed.len() - LENGTH_PREFIX_BYTES) {
        Ok(_) => Ok(packed),
        Err(_) => Err(BatchError::Malformed("too much for one batch")),
    }
}

/// Appends a record: its timestamp and offset less those of the batch, its fields.
pub(super) fn put_record<'a>(
    out: &mut Vec<u8>,
    (timestamp_delta, offset_delta): (i64, i32),
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
) -> Result<(), BatchError> {
    let (mut count, mut header_bytes) = (0, 0);
    for (key, value) in headers.clone() {
        count += 1;
        header_bytes += nullable_len(Some(key)) + nullable_len(value);
    }
    let len = 1
        + varint::len(timestamp_delta)
        + varint::len(i64::from(offset_delta))
        + nullable_len(key)
        + nullable_len(value)
        + varint::len(count)
        + header_bytes;
    if i32::try_from(out.len() + len + 10).is_err() {
        return Err(BatchError::Malformed("too much for one batch"));
    }
    varint::put(out, len as i64);
    out.push(0);
    varint::put(out, timestamp_delta);
    varint::put(out, i64::from(offset_delta));
    put_nullable(out, key);
    put_nullable(out, value);
    varint::put(out, count);
    for (key, value) in headers {
        put_nullable(out, Some(key));
        put_nullable(out, value);
    }
    Ok(())
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len(bytes.len() as i64) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlKind {
    /// Its records never happened.
    Abort,
    /// Its records are valid.
    Commit,
}

/// The batch that ends a producer's transaction on a partition.
///
/// # Errors
/// None that the arguments could cause.
pub fn control_batch(
    kind: ControlKind,
    producer_id: i64,
    producer_epoch: i16,
    coordinator_epoch: i32,
    timestamp: Millis,
) -> Result<Bytes, BatchError> {
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(producer_id, producer_epoch, NO_SEQUENCE)
        .transactional(true);
    builder.control = true;
    let key = match kind {
        ControlKind::Abort => [0, 0, 0, 0],
        ControlKind::Commit => [0, 0, 0, 1],
    };
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    builder.push(&NewRecord { timestamp, key: Some(&key), value: Some(&value), headers: &[] })?;
    builder.build()
}

/// What the marker at the end of a transaction says (`EndTxnMarker`, KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndMarker {
    /// How the transaction ended.
    pub kind: ControlKind,
    /// Epoch of the coordinator that wrote it; -1 where it does not say.
    pub coordinator_epoch: i32,
}

impl EndMarker {
    /// Reads the record of a control batch; `None` for a kind that is none of ours.
    ///
    /// # Errors
    /// [`BatchError::Malformed`].
    pub fn parse(record: &Record<'_>) -> Result<Option<Self>, BatchError> {
        let Some(kind) = parse_control_record(record)? else { return Ok(None) };
        let epoch = record.value.and_then(|value| value.get(2..6)?.first_chunk().copied());
        Ok(Some(Self { kind, coordinator_epoch: epoch.map_or(-1, i32::from_be_bytes) }))
    }
}

/// What the record of a control batch says; `None` for a kind that is none of ours,
/// which readers must skip.
///
/// # Errors
/// [`BatchError::Malformed`].
pub fn parse_control_record(record: &Record<'_>) -> Result<Option<ControlKind>, BatchError> {
    match record.key {
        Some([_, _, 0, 0, ..]) => Ok(Some(ControlKind::Abort)),
        Some([_, _, 0, 1, ..]) => Ok(Some(ControlKind::Commit)),
        Some([_, _, _, _, ..]) => Ok(None),
        _ => Err(BatchError::Malformed("a control record without a kind")),
    }
}
