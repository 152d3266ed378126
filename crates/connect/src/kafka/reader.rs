//! Reads one partition.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{BatchHeader, DecompressionLimits, Record, RecordBatch, split};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::source::{
    Available, BadRecord, BatchSink, Cut, Position, SourceBatch, SplitReader,
};

use super::columns::RecordDecoder;
use super::fetch::Feed;
use super::metadata::Place;
use crate::batch::{BATCH_INPUT_BYTES, KEPT_OF_OVERSIZED_BYTES, MAX_RECORD_BYTES, record_batch};

/// Reads the records of a partition.
pub(super) struct PartitionReader {
    pub(super) feed: Arc<Feed>,
    pub(super) split_id: String,
    /// Where reading ends for good.
    pub(super) end: Option<Offset>,
    pub(super) schema: SchemaRef,
    pub(super) decoder: RecordDecoder,
    /// For unpacking compressed batches.
    pub(super) scratch: Vec<u8>,
    pub(super) limits: DecompressionLimits,
}

/// An offset as a position. Offsets are never negative.
pub(super) fn position(offset: Offset) -> Position {
    offset.max(0) as Position
}

/// A position as an offset.
pub(super) fn offset(position: Position) -> Offset {
    Offset::try_from(position).unwrap_or(Offset::MAX)
}

/// A batch under construction.
struct Pending {
    batch_rows: usize,
    records: usize,
    bytes: u64,
    bad: Vec<BadRecord>,
}

impl SplitReader for PartitionReader {
    fn available(&mut self) -> Result<Available> {
        let stable = self.feed.log.offsets().last_stable;
        let end = self.end.map_or(stable, |end| end.min(stable));
        Ok(Available { end: position(end), finished: self.end.is_some_and(|end| stable >= end) })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let limit = offset(self.available()?.end);
        let mut at = offset(from);
        let mut bytes = 0;
        'pieces: while at < limit {
            let Some(piece) = self.feed.look(at)? else { break };
            let mut rest = &piece.bytes[..];
            while !rest.is_empty() {
                let header =
                    BatchHeader::parse(rest).map_err(|error| self.feed.corrupt(at, &error))?;
                rest = rest.get(header.size..).unwrap_or_default();
                if header.next_offset() <= at {
                    continue;
                }
                let size = header.size as u64;
                if at >= limit || (bytes > 0 && bytes + size > max_bytes) {
                    break 'pieces;
                }
                bytes += size;
                at = header.next_offset();
            }
        }
        Ok(Cut { end: position(at.min(limit).max(offset(from))), bytes })
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let (mut at, to) = (offset(from), offset(to));
        let mut pending = Pending { batch_rows, records: 0, bytes: 0, bad: Vec::new() };
        let feed = self.feed.clone();
        while at < to {
            let Some(piece) = feed.take(at)? else {
                self.check_missing(at, to)?;
                break;
            };
            for batch in split(&piece.bytes) {
                let batch = batch.map_err(|error| feed.corrupt(at, &error))?;
                if batch.header().base_offset >= to {
                    break;
                }
                if batch.header().next_offset() > at && !batch.header().attributes.is_control() {
                    self.read_batch(&batch, at..to, &mut pending, sink)?;
                }
            }
            at = piece.next;
        }
        self.emit(&mut pending, sink)
    }
}

impl PartitionReader {
    /// Nothing is there from `at` on: fine where compaction left nothing before `to`.
    fn check_missing(&self, at: Offset, to: Offset) -> Result<()> {
        let stable = self.feed.log.offsets().last_stable;
        if stable >= to {
            return Ok(());
        }
        Err(StreamError::Incompatible(format!(
            "{}: records {at}..{to} are to be read, but the log ends at {stable}",
            self.feed.log.name()
        )))
    }

    fn read_batch(
        &mut self,
        batch: &RecordBatch<'_>,
        wanted: std::ops::Range<Offset>,
        pending: &mut Pending,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let feed = self.feed.clone();
        let header = *batch.header();
        let corrupt = |error| feed.corrupt(header.base_offset, &error);
        let mut scratch = std::mem::take(&mut self.scratch);
        let name = feed.log.name();
        let place = Place {
            topic: &name.topic,
            partition: name.partition,
            leader_epoch: header.leader_epoch,
            timestamp_type: header.attributes.timestamp_type(),
        };
        for record in batch.records(&mut scratch, &self.limits).map_err(corrupt)? {
            let record = record.map_err(corrupt)?;
            if !wanted.contains(&record.offset) {
                continue;
            }
            self.decode(&record, &place, pending);
            if pending.records >= pending.batch_rows.max(1) || pending.bytes >= BATCH_INPUT_BYTES {
                self.emit(pending, sink)?;
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    fn decode(&mut self, record: &Record<'_>, place: &Place<'_>, pending: &mut Pending) {
        pending.records += 1;
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as u64);
        let size = len(record.key) + len(record.value);
        let (decoded, kept) = if size > MAX_RECORD_BYTES as u64 {
            let reason =
                format!("a record of {size} bytes; at most {MAX_RECORD_BYTES} are decoded");
            (Err(reason), KEPT_OF_OVERSIZED_BYTES)
        } else {
            (self.decoder.decode(record, place), MAX_RECORD_BYTES)
        };
        pending.bytes += size.min(kept as u64);
        if let Err(reason) = decoded {
            let keep = |bytes: &[u8]| Bytes::copy_from_slice(&bytes[..bytes.len().min(kept)]);
            pending.bad.push(BadRecord {
                key: record.key.map(keep),
                raw: record.value.map(keep).unwrap_or_default(),
                split: self.split_id.clone(),
                position: position(record.offset),
                reason,
            });
        }
    }

    fn emit(&mut self, pending: &mut Pending, sink: &mut BatchSink<'_>) -> Result<()> {
        pending.bytes = 0;
        if std::mem::take(&mut pending.records) == 0 {
            return Ok(());
        }
        let rows = self.decoder.rows();
        let rows = record_batch(&self.schema, self.decoder.finish()?, rows)?;
        sink(SourceBatch { rows, bad: std::mem::take(&mut pending.bad) })
    }
}
