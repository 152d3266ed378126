//! Batches as compaction leaves them: some records gone, everything else as it was.
//!
//! The base offset, the offset of the last record, the producer's fields and each
//! remaining record's offset and timestamp stay. Where a batch holds what may only go some
//! time later (a tombstone, the marker of a transaction without records), it carries its
//! *delete horizon*: the time from which on it may, in place of the base timestamp, which
//! the records' timestamps are then relative to (KIP-534).

use bytes::Bytes;

use super::builder::{pack, put_record};
use super::header::{self, Attributes, BatchHeader, HEADER_BYTES};
use super::{BatchError, Compression, Record, TimestampType};
use crate::time::Millis;

/// Collects the records that stay of a batch, in their order.
#[derive(Clone, Debug)]
pub struct Retained {
    source: BatchHeader,
    delete_horizon: Option<Millis>,
    base_timestamp: Millis,
    /// Place for the header, then the records as they are before compression.
    bytes: Vec<u8>,
    count: i32,
    max_timestamp: Millis,
}

impl Retained {
    /// Nothing yet of the batch with the header `source`.
    pub fn new(source: &BatchHeader, delete_horizon: Option<Millis>) -> Self {
        Self {
            source: *source,
            delete_horizon,
            base_timestamp: delete_horizon.unwrap_or(source.base_timestamp),
            bytes: vec![0; HEADER_BYTES],
            count: 0,
            max_timestamp: -1,
        }
    }

    /// Adds a record of the batch.
    ///
    /// # Errors
    /// [`BatchError::Malformed`] where it cannot be one of the batch.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), BatchError> {
        let offset_delta = i32::try_from(record.offset - self.source.base_offset)
            .map_err(|_| BatchError::Malformed("a record of another batch"))?;
        let timestamp_delta = record
            .timestamp
            .checked_sub(self.base_timestamp)
            .ok_or(BatchError::Malformed("timestamps too far apart for one batch"))?;
        let headers = record.headers.map(|header| (header.key, header.value));
        let deltas = (timestamp_delta, offset_delta);
        put_record(&mut self.bytes, deltas, record.key, record.value, headers)?;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.count += 1;
        Ok(())
    }

    /// The batch, without records where none was added.
    ///
    /// # Errors
    /// Of compression, which does not fail on memory.
    pub fn build(self) -> Result<Bytes, BatchError> {
        let codec = match self.count {
            0 => Compression::None,
            _ => self.source.attributes.compression()?,
        };
        let mut attributes = self.source.attributes.with_compression(codec);
        attributes = match (self.delete_horizon, self.count) {
            (Some(_), 1..) => attributes.with_delete_horizon(),
            _ => attributes.without_delete_horizon(),
        };
        let stamped = attributes.timestamp_type() == TimestampType::LogAppendTime;
        // A batch without records keeps its time, as Kafka's does.
        let max_timestamp = match self.count {
            1.. if !stamped => self.max_timestamp,
            _ => self.source.max_timestamp,
        };
        let mut bytes = pack(self.bytes, codec)?;
        let fields = BatchHeader {
            size: bytes.len(),
            attributes,
            base_timestamp: self.base_timestamp,
            max_timestamp,
            record_count: self.count,
            ..self.source
        };
        header::write(&fields, &mut bytes);
        Ok(bytes.into())
    }
}

impl Attributes {
    pub(super) fn with_compression(self, codec: Compression) -> Self {
        Self((self.0 & !Self::COMPRESSION) | codec as i16)
    }

    fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    fn without_delete_horizon(self) -> Self {
        Self(self.0 & !Self::DELETE_HORIZON)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        BatchBuilder, DecompressionLimits, NewRecord, RecordBatch, set_append_time,
    };
    use super::*;

    fn source(codec: Compression) -> Vec<u8> {
        let mut batch = BatchBuilder::new(codec).producer(9, 3, 40).transactional(true);
        let headers = [("h", Some(&b"1"[..])), ("h", None)];
        for n in 0..10_u8 {
            let value = [n; 20];
            batch
                .push(&NewRecord {
                    timestamp: 1_000 + i64::from(n),
                    key: Some(&[n]),
                    value: (n != 4).then_some(&value),
                    headers: &headers,
                })
                .unwrap();
        }
        let mut bytes = batch.build().unwrap().to_vec();
        header::set_base_offset(&mut bytes, 700);
        bytes
    }

    type Plain = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

    fn plain(batch: &RecordBatch<'_>) -> Vec<Plain> {
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
        let plain = |record: Record<'_>| {
            let (key, value) = (record.key.unwrap().to_vec(), record.value.map(<[u8]>::to_vec));
            (record.offset, record.timestamp, key, value, record.headers.count())
        };
        records.map(|record| plain(record.unwrap())).collect()
    }

    /// Leaves out what `keep` does not want, by number.
    fn rewrite(bytes: &[u8], horizon: Option<Millis>, keep: impl Fn(usize) -> bool) -> Bytes {
        let batch = RecordBatch::parse(bytes).unwrap();
        let mut retained = Retained::new(batch.header(), horizon);
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
        for (number, record) in records.enumerate() {
            if keep(number) {
                retained.push(&record.unwrap()).unwrap();
            }
        }
        retained.build().unwrap()
    }

    #[test]
    fn what_stays_is_as_it_was() {
        for codec in Compression::ALL {
            let bytes = source(codec);
            let before = RecordBatch::parse(&bytes).unwrap();
            for horizon in [None, Some(99_000), Some(5)] {
                let kept = rewrite(&bytes, horizon, |number| number % 2 == 0 && number < 7);
                let after = RecordBatch::parse(&kept).unwrap();
                after.verify_crc().unwrap();
                let expected: Vec<_> =
                    plain(&before).into_iter().filter(|r| r.0 % 2 == 0 && r.0 < 707).collect();
                assert_eq!(plain(&after), expected, "{codec}, {horizon:?}");
                let (old, new) = (before.header(), after.header());
                assert_eq!((new.base_offset, new.last_offset()), (700, 709));
                assert_eq!((new.producer_id, new.producer_epoch, new.last_sequence()), (9, 3, 49));
                assert_eq!((new.record_count, new.max_timestamp), (4, 1_006));
                assert_eq!(new.delete_horizon(), horizon);
                assert!(new.attributes.is_transactional());
                assert_eq!(new.attributes.compression(), Ok(codec));
                assert_eq!(old.delete_horizon(), None);
            }
        }
    }

    #[test]
    fn a_batch_may_stay_without_records() {
        let bytes = source(Compression::Zstd);
        let kept = rewrite(&bytes, Some(5), |_| false);
        assert_eq!(kept.len(), HEADER_BYTES);
        let batch = RecordBatch::parse(&kept).unwrap();
        batch.verify_crc().unwrap();
        assert_eq!(plain(&batch), []);
        let header = batch.header();
        assert_eq!((header.base_offset, header.last_offset(), header.record_count), (700, 709, 0));
        assert_eq!((header.max_timestamp, header.delete_horizon()), (1_009, None));
        assert_eq!(header.attributes.compression(), Ok(Compression::None));
        // And again.
        assert_eq!(rewrite(&kept, None, |_| true)[..], kept[..]);
    }

    #[test]
    fn the_time_of_the_append_stays() {
        let mut bytes = source(Compression::Lz4);
        set_append_time(&mut bytes, 77_000);
        let kept = rewrite(&bytes, Some(80_000), |number| number == 3);
        let batch = RecordBatch::parse(&kept).unwrap();
        assert_eq!(batch.header().max_timestamp, 77_000);
        assert_eq!(plain(&batch)[0].1, 77_000);
    }
}
