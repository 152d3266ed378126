//! Reads one partition.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{BatchHeader, Record};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::record::{BadRecord, RawRecordsRef};
use thalweg_stream::source::{Available, BatchSink, Cut, Position, SourceBatch, SplitReader};

use super::columns::RecordDecoder;
use super::fetch::Feed;
use super::metadata::Place;
use super::records::{each_record, raw};
use crate::batch::{BATCH_INPUT_BYTES, KEPT_OF_OVERSIZED_BYTES, MAX_RECORD_BYTES, record_batch};

/// Reads the records of a partition.
pub(super) struct PartitionReader {
    pub(super) feed: Arc<Feed>,
    pub(super) records: RawRecordsRef,
    pub(super) split_id: String,
    /// Where reading ends for good.
    pub(super) end: Option<Offset>,
    pub(super) schema: SchemaRef,
    pub(super) decoder: RecordDecoder,
    /// For unpacking compressed batches.
    pub(super) scratch: Vec<u8>,
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
    /// Offsets of its records, from the first to behind the last.
    offsets: Range<Offset>,
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
        let mut wanted = offset(from)..offset(to);
        let mut pending =
            Pending { batch_rows, records: 0, bytes: 0, bad: Vec::new(), offsets: 0..0 };
        let feed = self.feed.clone();
        let mut scratch = std::mem::take(&mut self.scratch);
        while wanted.start < wanted.end {
            let Some(piece) = feed.take(wanted.start)? else {
                self.check_missing(wanted)?;
                break;
            };
            let _all = each_record(&feed, &piece, &wanted, &mut scratch, |record, place| {
                self.decode(record, place, &mut pending);
                if pending.records >= pending.batch_rows.max(1)
                    || pending.bytes >= BATCH_INPUT_BYTES
                {
                    self.emit(&mut pending, sink)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
            wanted.start = piece.next;
        }
        self.scratch = scratch;
        self.emit(&mut pending, sink)
    }
}

impl PartitionReader {
    /// Nothing is there from `at` on: fine where compaction left nothing before `to`.
    fn check_missing(&self, Range { start, end }: Range<Offset>) -> Result<()> {
        let stable = self.feed.log.offsets().last_stable;
        if stable >= end {
            return Ok(());
        }
        Err(StreamError::Incompatible(format!(
            "{}: records {start}..{end} are to be read, but the log ends at {stable}",
            self.feed.log.name()
        )))
    }

    fn decode(&mut self, record: &Record<'_>, place: &Place<'_>, pending: &mut Pending) {
        if pending.records == 0 {
            pending.offsets.start = record.offset;
        }
        pending.offsets.end = record.offset + 1;
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
            pending.bad.push(raw(record).refused(&self.split_id, reason, kept));
        }
    }

    fn emit(&mut self, pending: &mut Pending, sink: &mut BatchSink<'_>) -> Result<()> {
        pending.bytes = 0;
        if std::mem::take(&mut pending.records) == 0 {
            return Ok(());
        }
        let rows = self.decoder.rows();
        let rows = record_batch(&self.schema, self.decoder.finish()?, rows)?;
        sink(SourceBatch {
            rows,
            bad: std::mem::take(&mut pending.bad),
            positions: position(pending.offsets.start)..position(pending.offsets.end),
            records: Some(self.records.clone()),
        })
    }
}
