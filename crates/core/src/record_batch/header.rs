//! Batch headers on raw bytes: parse, check, split, set offset and epoch in place.

use super::{BatchError, Compression};
use crate::ids::Offset;
use crate::time::Millis;

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;

/// Bytes that the batch length field does not count: base offset and itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;

/// The format version.
pub const MAGIC: i8 = 2;

/// Producer id of a batch without idempotence.
pub const NO_PRODUCER_ID: i64 = -1;

/// Producer epoch of a batch without idempotence.
pub const NO_PRODUCER_EPOCH: i16 = -1;

/// Base sequence of a batch without idempotence, and of control batches.
pub const NO_SEQUENCE: i32 = -1;

const AT_LENGTH: usize = 8;
const AT_LEADER_EPOCH: usize = 12;
const AT_MAGIC: usize = 16;
const AT_CRC: usize = 17;
const AT_ATTRIBUTES: usize = 21;
const AT_LAST_OFFSET_DELTA: usize = 23;
const AT_BASE_TIMESTAMP: usize = 27;
const AT_MAX_TIMESTAMP: usize = 35;
const AT_PRODUCER_ID: usize = 43;
const AT_PRODUCER_EPOCH: usize = 51;
const AT_BASE_SEQUENCE: usize = 53;
const AT_RECORD_COUNT: usize = 57;

/// Who set the timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer, for each record.
    CreateTime,
    /// The log, once for the whole batch: its max timestamp.
    LogAppendTime,
}

/// The bits of the attributes field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    pub(super) const COMPRESSION: i16 = 7;
    const TIMESTAMP_TYPE: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    pub(super) const DELETE_HORIZON: i16 = 1 << 6;

    /// Attributes with these properties.
    pub fn new(compression: Compression, transactional: bool, control: bool) -> Self {
        let mut bits = compression as i16;
        bits |= if transactional { Self::TRANSACTIONAL } else { 0 };
        bits |= if control { Self::CONTROL } else { 0 };
        Self(bits)
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`].
    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id((self.0 & Self::COMPRESSION) as u8)
    }

    /// Who set the timestamps.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::TIMESTAMP_TYPE == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a transaction's end and no data.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon (KIP-534, set by compaction).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// The header of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes of the whole batch, header included; at least [`HEADER_BYTES`].
    pub size: usize,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset; at least 0.
    pub last_offset_delta: i32,
    /// What records' timestamps are relative to.
    pub base_timestamp: Millis,
    /// The largest timestamp, -1 where records have none.
    pub max_timestamp: Millis,
    /// Idempotent producer, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Epoch of the producer, or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// Sequence number of the first record, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Records in the batch, as it says; not more than its offsets have place for.
    pub record_count: i32,
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, which need not hold the records.
    ///
    /// Checked: magic, a length that a batch can have, last offset delta, record count
    /// and codec. Not checked: whether the records are there, and the checksum.
    ///
    /// # Errors
    /// [`BatchError::Truncated`], [`BatchError::Magic`], [`BatchError::UnknownCodec`],
    /// [`BatchError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            // The magic of the formats before is at the same place: say which it is.
            return Err(match bytes.get(AT_MAGIC) {
                Some(&magic) if magic as i8 != MAGIC => BatchError::Magic(magic as i8),
                _ => BatchError::Truncated { needed: HEADER_BYTES, available: bytes.len() },
            });
        };
        let magic = bytes[AT_MAGIC] as i8;
        if magic != MAGIC {
            return Err(BatchError::Magic(magic));
        }
        let length = i32::from_be_bytes(field(bytes, AT_LENGTH));
        let size = usize::try_from(length)
            .ok()
            .map(|length| length + LENGTH_PREFIX_BYTES)
            .filter(|&size| size >= HEADER_BYTES)
            .ok_or(BatchError::Malformed("batch length is too small for a header"))?;
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            size,
            leader_epoch: i32::from_be_bytes(field(bytes, AT_LEADER_EPOCH)),
            crc: u32::from_be_bytes(field(bytes, AT_CRC)),
            attributes: Attributes(i16::from_be_bytes(field(bytes, AT_ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(field(bytes, AT_LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(field(bytes, AT_BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(field(bytes, AT_MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(field(bytes, AT_PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(bytes, AT_PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(bytes, AT_BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(field(bytes, AT_RECORD_COUNT)),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        if self.base_offset < 0 || self.base_offset > i64::MAX - (1 << 32) {
            return Err(BatchError::Malformed("base offset is out of range"));
        }
        if self.last_offset_delta < 0 {
            return Err(BatchError::Malformed("last offset delta is negative"));
        }
        if self.record_count < 0 {
            return Err(BatchError::Malformed("record count is negative"));
        }
        // Compaction may leave fewer records than offsets, never more.
        if i64::from(self.record_count) > i64::from(self.last_offset_delta) + 1 {
            return Err(BatchError::Malformed("more records than offsets"));
        }
        self.attributes.compression().map(|_| ())
    }

    /// Checks what a batch fresh from a producer must satisfy beyond its format: each
    /// offset has its record, and the producer's fields belong together.
    ///
    /// # Errors
    /// [`BatchError::Malformed`].
    pub fn check_produced(&self) -> Result<(), BatchError> {
        if self.record_count < 1 {
            return Err(BatchError::Malformed("a batch without records"));
        }
        if i64::from(self.record_count) != i64::from(self.last_offset_delta) + 1 {
            return Err(BatchError::Malformed("record count and last offset delta disagree"));
        }
        if self.has_producer() {
            if self.producer_epoch < 0 {
                return Err(BatchError::Malformed("a producer id without an epoch"));
            }
            if self.base_sequence < 0 && !self.attributes.is_control() {
                return Err(BatchError::Malformed("a producer id without a sequence"));
            }
        } else if self.attributes.is_transactional() || self.attributes.is_control() {
            return Err(BatchError::Malformed("a transaction without a producer id"));
        }
        if self.attributes.has_delete_horizon() {
            return Err(BatchError::Malformed("a delete horizon in a new batch"));
        }
        Ok(())
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// Whether an idempotent producer sent the batch.
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// From when on compaction may remove the tombstones or the marker in the batch
    /// (KIP-534); `None` where that is not decided yet.
    pub fn delete_horizon(&self) -> Option<Millis> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Sequence number of the last record; sequences wrap from the largest to 0.
    pub fn last_sequence(&self) -> i32 {
        last_sequence_of(self.base_sequence, self.last_offset_delta)
    }
}

/// The sequence number `delta` after `base`, wrapping from the largest to 0;
/// [`NO_SEQUENCE`] where there is none to begin with.
pub fn last_sequence_of(base: i32, delta: i32) -> i32 {
    if base < 0 {
        return NO_SEQUENCE;
    }
    ((i64::from(base) + i64::from(delta)) & i64::from(i32::MAX)) as i32
}

/// A whole batch, still encoded.
#[derive(Clone, Copy, Debug)]
pub struct RecordBatch<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> RecordBatch<'a> {
    /// The batch at the front of `bytes`; what follows it does not matter.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`], and [`BatchError::Truncated`] where records are missing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let batch = bytes
            .get(..header.size)
            .ok_or(BatchError::Truncated { needed: header.size, available: bytes.len() })?;
        Ok(Self { header, bytes: batch })
    }

    /// Its header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header: the records, compressed as the attributes say.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Compares the checksum with the bytes.
    ///
    /// # Errors
    /// [`BatchError::Checksum`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let found = crc32c::crc32c(&self.bytes[AT_ATTRIBUTES..]);
        if found == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Checksum { expected: self.header.crc, found })
        }
    }
}

/// The batches that lie one after another in `bytes`.
pub fn split(bytes: &[u8]) -> RecordBatches<'_> {
    RecordBatches { rest: bytes }
}

/// Iterator of [`split`]. After an error it ends.
#[derive(Clone, Debug)]
pub struct RecordBatches<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RecordBatches<'a> {
    type Item = Result<RecordBatch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = RecordBatch::parse(self.rest);
        self.rest = match &batch {
            Ok(batch) => &self.rest[batch.header.size..],
            Err(_) => &[],
        };
        Some(batch)
    }
}

fn put<const N: usize>(batch: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = batch.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

/// Sets the base offset of the batch at the front of `batch`. The checksum stays valid.
/// Bytes too short for a header are left as they are.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) {
    put(batch, 0, offset.to_be_bytes());
}

/// Sets the leader epoch of the batch at the front of `batch`. The checksum stays valid.
/// Bytes too short for a header are left as they are.
pub fn set_leader_epoch(batch: &mut [u8], epoch: i32) {
    put(batch, AT_LEADER_EPOCH, epoch.to_be_bytes());
}

/// Stamps the batch that `batch` holds with the time of its append (`LogAppendTime`)
/// and computes its checksum anew. `batch` must be exactly one batch.
pub fn set_append_time(batch: &mut [u8], append_time: Millis) {
    if batch.len() < HEADER_BYTES {
        return;
    }
    batch[AT_ATTRIBUTES + 1] |= Attributes::TIMESTAMP_TYPE as u8;
    put(batch, AT_MAX_TIMESTAMP, append_time.to_be_bytes());
    seal(batch);
}

/// Computes the checksum of the one batch that `batch` holds.
fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[AT_ATTRIBUTES..]);
    put(batch, AT_CRC, crc.to_be_bytes());
}

/// Writes `header` over the front of `batch`, its size being that of `batch`, and
/// computes the checksum.
pub(super) fn write(header: &BatchHeader, batch: &mut [u8]) {
    put(batch, 0, header.base_offset.to_be_bytes());
    put(batch, AT_LENGTH, ((batch.len() - LENGTH_PREFIX_BYTES) as i32).to_be_bytes());
    put(batch, AT_LEADER_EPOCH, header.leader_epoch.to_be_bytes());
    put(batch, AT_MAGIC, MAGIC.to_be_bytes());
    put(batch, AT_ATTRIBUTES, header.attributes.0.to_be_bytes());
    put(batch, AT_LAST_OFFSET_DELTA, header.last_offset_delta.to_be_bytes());
    put(batch, AT_BASE_TIMESTAMP, header.base_timestamp.to_be_bytes());
    put(batch, AT_MAX_TIMESTAMP, header.max_timestamp.to_be_bytes());
    put(batch, AT_PRODUCER_ID, header.producer_id.to_be_bytes());
    put(batch, AT_PRODUCER_EPOCH, header.producer_epoch.to_be_bytes());
    put(batch, AT_BASE_SEQUENCE, header.base_sequence.to_be_bytes());
    put(batch, AT_RECORD_COUNT, header.record_count.to_be_bytes());
    seal(batch);
}
