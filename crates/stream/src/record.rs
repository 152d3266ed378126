//! Records as they came, before any decoding: what a bad one is kept as.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::record_batch::Headers;

use crate::error::Result;
use crate::source::Position;

/// A record as it came.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Where it stands in its split.
    pub position: Position,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; of a line the bytes before its line end. `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, where the source knows such.
    pub headers: Option<Headers<'a>>,
}

/// A record that could not be turned into a row, or whose row could not be used. It is
/// never dropped in silence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRecord {
    /// The record's key, as it came.
    pub key: Option<Bytes>,
    /// The record's value, as it came; `None` where it had none.
    pub raw: Option<Bytes>,
    /// The record's headers, as they came: names and values.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// Split in which it stands.
    pub split: String,
    /// Position of the record.
    pub position: Position,
    /// Why it was refused, in words.
    pub reason: String,
}

impl RawRecord<'_> {
    /// The record as a bad one. Of key, value and headers at most `max_bytes` each are kept;
    /// headers are kept whole or not at all.
    pub fn refused(&self, split: &str, reason: String, max_bytes: usize) -> BadRecord {
        let keep = |bytes: &[u8]| Bytes::copy_from_slice(&bytes[..bytes.len().min(max_bytes)]);
        let mut room = max_bytes;
        let mut headers = Vec::new();
        for header in self.headers.into_iter().flatten() {
            let size = header.key.len() + header.value.map_or(0, <[u8]>::len);
            let Some(left) = room.checked_sub(size) else { break };
            room = left;
            let value = header.value.map(Bytes::copy_from_slice);
            headers.push((Bytes::copy_from_slice(header.key), value));
        }
        BadRecord {
            key: self.key.map(keep),
            raw: self.value.map(keep),
            headers,
            split: split.to_owned(),
            position: self.position,
            reason,
        }
    }
}

/// Takes records one by one; breaks off when it has seen enough.
pub type RecordVisitor<'a> = dyn FnMut(&RawRecord<'_>) -> ControlFlow<()> + 'a;

/// The records of a split, to be looked at again after they were read.
pub trait RawRecords: Send + Sync {
    /// Visits every record of a range in order: those that a reader makes a row or a bad
    /// record of, and no others (no blank line, no control record).
    ///
    /// # Errors
    /// As [`crate::source::SplitReader::read`].
    fn visit(&self, range: Range<Position>, visitor: &mut RecordVisitor<'_>) -> Result<()>;
}

/// Shared records of a split.
pub type RawRecordsRef = Arc<dyn RawRecords>;

#[cfg(test)]
mod tests {
    use thalweg_core::record_batch::{
        BatchBuilder, Compression, DecompressionLimits, NewRecord, RecordBatch,
    };

    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut batch = BatchBuilder::new(Compression::None);
        let headers: [(&str, Option<&[u8]>); 3] =
            [("a", Some(b"1")), ("none", None), ("large", Some(b"0123456789"))];
        let record = NewRecord { timestamp: 1, key: Some(b"key"), value: None, headers: &headers };
        batch.push(&record).unwrap();
        let bytes = batch.build().unwrap();
        let mut scratch = Vec::new();
        let batch = RecordBatch::parse(&bytes).unwrap();
        let mut records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
        let record = records.next().unwrap().unwrap();
        let raw = RawRecord {
            position: 7,
            key: record.key,
            value: Some(b"a longer value"),
            headers: Some(record.headers),
        };
        let bad = raw.refused("0", "why".into(), 8);
        assert_eq!(bad.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(bad.raw.as_deref(), Some(&b"a longer"[..]));
        let kept = [(Bytes::from("a"), Some(Bytes::from("1"))), (Bytes::from("none"), None)];
        assert_eq!(bad.headers, kept, "the third does not fit");
        assert_eq!(raw.refused("0", "why".into(), 1000).headers.len(), 3);
        let none = RawRecord { value: None, headers: None, ..raw };
        assert_eq!(none.refused("0", "why".into(), 8).raw, None);
    }
}
